package delivery

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// TestDrainRate holds a number of packaging/doc/design.md: 95 % of slots/latency with
// any number of mailboxes, although each commit takes 20 ms, or 300 ms.
func TestDrainRate(t *testing.T) {
	for _, tt := range []struct {
		mailboxes, each, identity int
		commit                    time.Duration
	}{
		{1, 300, 1000, 20 * time.Millisecond},
		{1, 600, 1000, 300 * time.Millisecond},
		{20, 60, 1000, 20 * time.Millisecond},
		{200, 30, 1000, 20 * time.Millisecond},
		{200, 10, 64, 20 * time.Millisecond},
	} {
		for _, accepting := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d mailboxes, %d slots, commit %v, accepting %t", tt.mailboxes, tt.identity, tt.commit,
				accepting), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					drain(t, tt.mailboxes, tt.each, tt.identity, tt.commit,
						accepting)
				})
			})
		}
	}
}

func drain(t *testing.T, mailboxes, each, limit int, commit time.Duration, accepting bool) {
	const latency = 200 * time.Millisecond
	r := newRig(t, latency)
	r.store.slow(commit)
	r.cfg.Route = func(envelope.Address) (Route, bool) {
		return Route{Identity: "contoso", Sender: r.graph, IdentityConcurrent: limit}, true
	}
	var boxes []envelope.Address
	for i := range mailboxes {
		boxes = append(boxes, addr(t, fmt.Sprintf("box%d@contoso.com", i)))
	}
	for n := range each {
		for _, b := range boxes {
			if !accepting || n < each/2 {
				r.store.put(b, b)
			}
		}
	}
	began := time.Now()
	r.start()
	if accepting {
		for range each - each/2 {
			time.Sleep(latency / 6)
			for _, b := range boxes {
				r.arrive(b)
			}
		}
	}
	total := mailboxes * each
	for r.store.Counts()[spool.Sent] < total {
		time.Sleep(10 * time.Millisecond)
	}
	last := r.graph.tries[total-1].at + latency
	slots := min(3*mailboxes, limit)
	bound := time.Duration(total) * latency / time.Duration(slots)
	if share := float64(bound) / float64(last); share < 0.95 {
		t.Errorf("%.1f %% of the bound (%v instead of %v)", 100*share, last, bound)
	}
	if r.graph.most[boxes[0].Key()] > 3 || r.graph.most[""] > slots {
		t.Errorf("%d requests at once for a mailbox, %d for the identity", r.graph.most[boxes[0].Key()],
			r.graph.most[""])
	}
	if time.Since(began) < bound {
		t.Errorf("faster than possible: the measurement is wrong")
	}
	r.stop()
}

func TestImmediateStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		r.start()
		r.wait(10 * time.Minute)
		at := time.Since(r.graph.began)
		id := r.arrive(addr(t, "a@contoso.com"))
		r.wait(2 * time.Second)
		if got := r.graph.times(id); len(got) != 1 || got[0] != at {
			t.Errorf("tried at %v, want %v", got, at)
		}
		r.wantState(id, spool.Sent)
		if n := len(r.Status().Lanes); n != 0 {
			t.Errorf("%d lanes without mail", n)
		}
		r.stop()
	})
}

// TestBackoff sees the whole series of a message that never gets through, up to
// its expiry.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		r.cfg.MaxAge = 3 * time.Hour
		r.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer {
			return outcome.Answer{Outcome: outcome.Retry, HTTPStatus: 500, Text: "500", Status: reply.Enhanced{4, 3, 0}}
		}
		r.start()
		id := r.arrive(addr(t, "a@contoso.com"))
		r.wait(5 * time.Hour)
		var gaps []time.Duration
		times := r.graph.times(id)
		for i := 1; i < len(times); i++ {
			gaps = append(gaps, times[i]-times[i-1])
		}
		want := "[15s 30s 1m0s 2m0s 4m0s 8m0s 16m0s 24m0s 24m0s 24m0s 24m0s 24m0s 24m0s 24m0s]"
		if got := fmt.Sprint(gaps); got != want {
			t.Errorf("gaps %s, want %s", got, want)
		}
		r.wantState(id, spool.Failed)
		if last := times[len(times)-1]; last < 3*time.Hour || last > 3*time.Hour+30*time.Minute {
			t.Errorf("last attempt at %v", last)
		}
		r.stop()
	})
}

// TestFairness: a mailbox with a thousand messages does not keep one with two
// from its share of the identity's slots.
func TestFairness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		r.cfg.Route = func(m envelope.Address) (Route, bool) {
			return Route{Identity: "contoso", Sender: r.graph, MaxConcurrent: 4, IdentityConcurrent: 4}, true
		}
		big, small := addr(t, "big@contoso.com"), addr(t, "small@contoso.com")
		for range 1000 {
			r.store.put(big, big)
		}
		r.start()
		r.wait(10*time.Second + 500*time.Millisecond)
		at := time.Since(r.graph.began)
		a, b := r.arrive(small), r.arrive(small)
		r.wait(3 * time.Second)
		for i, id := range []envelope.QueueID{a, b} { // one slot per turn
			if got := r.graph.times(id); len(got) == 0 || got[0] > at+time.Duration(i+1)*time.Second {
				t.Errorf("message %d of the small mailbox was tried at %v, it arrived at %v", i+1, got, at)
			}
		}
		r.stop()
	})
}

// TestThrottledLaneAlone: Retry-After is kept to the second, by this lane only.
func TestThrottledLaneAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 100*time.Millisecond)
		slow, fast := addr(t, "slow@contoso.com"), addr(t, "fast@contoso.com")
		throttled := false
		r.graph.answer = func(m envelope.Address, id envelope.QueueID, n int) outcome.Answer {
			if m.Equal(slow) && !throttled {
				throttled = true
				return outcome.Answer{Outcome: outcome.Retry, Scope: outcome.ScopeMailbox, HTTPStatus: 429,
					RetryAfter: 37 * time.Second, Text: "429"}
			}
			return sent
		}
		for range 30 {
			r.store.put(slow, slow)
			r.store.put(fast, fast)
		}
		r.start()
		r.wait(5 * time.Second)
		if n := r.store.Counts()[spool.Sending]; n != 0 {
			t.Errorf("%d messages Active in a pause", n)
		}
		for _, try := range r.graph.tries {
			if try.mailbox == slow.Key() && try.at > 100*time.Millisecond {
				t.Errorf("tried in the pause, at %v", try.at)
			}
			if try.mailbox == fast.Key() && try.at > 1100*time.Millisecond {
				t.Errorf("the other lane was delayed to %v", try.at)
			}
		}
		before := r.graph.count()
		r.wait(40 * time.Second)
		if at := r.graph.tries[before].at; at != 37*time.Second+100*time.Millisecond {
			t.Errorf("resumed at %v, want 37.1s", at)
		}
		if n := r.store.Counts()[spool.Sent]; n != 60 {
			t.Errorf("%d sent", n)
		}
		r.stop()
	})
}

// TestThrottledIdentity pauses all its lanes and nobody else's.
func TestThrottledIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 100*time.Millisecond)
		a, b, c := addr(t, "a@contoso.com"), addr(t, "b@contoso.com"), addr(t, "c@fabrikam.com")
		r.cfg.Route = func(m envelope.Address) (Route, bool) {
			return Route{Identity: m.Domain(), Sender: r.graph}, true
		}
		r.graph.answer = func(m envelope.Address, id envelope.QueueID, n int) outcome.Answer {
			if m.Equal(a) && n == 0 {
				return outcome.Answer{Outcome: outcome.Retry, Scope: outcome.ScopeIdentity, HTTPStatus: 429,
					RetryAfter: 20 * time.Second}
			}
			return sent
		}
		r.start()
		r.arrive(a)
		r.wait(time.Second)
		at := time.Since(r.graph.began)
		idB, idC := r.arrive(b), r.arrive(c)
		r.wait(30 * time.Second)
		if got := r.graph.times(idB)[0]; got != 20*time.Second+100*time.Millisecond {
			t.Errorf("b was tried at %v", got)
		}
		if got := r.graph.times(idC)[0]; got != at {
			t.Errorf("c was tried at %v", got)
		}
		r.stop()
	})
}

// TestMemoryWindow: a lane holds few messages, whatever the backlog, even when
// nothing can be recorded.
func TestMemoryWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 10*time.Millisecond)
		r.store.slow(5 * time.Millisecond)
		box := addr(t, "a@contoso.com")
		for range 2000 {
			r.store.put(box, box)
		}
		r.store.failIf(func(op string, _ envelope.QueueID) error {
			if op == "settle" {
				return errDisk
			}
			return nil
		})
		r.start()
		r.wait(10 * time.Minute)
		if got := r.store.Seen().MaxActive[box.Key()]; got > window(3) || got < 3 {
			t.Errorf("%d messages Active, want at most %d", got, window(3))
		}
		for id, n := range r.graph.seen {
			if n > 1 {
				t.Errorf("message %s was tried %d times although its first outcome was not recorded", id, n)
			}
		}
		r.store.failIf(nil)
		r.wait(time.Hour)
		if n := r.store.Counts()[spool.Sent]; n != 2000 {
			t.Errorf("%d sent", n)
		}
		if r.graph.count() != 2000 {
			t.Errorf("%d attempts", r.graph.count())
		}
		r.stop()
	})
}

// TestTrouble: while Graph is away a backlog is not burnt through, and the lane
// is back soon after.
func TestTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Millisecond)
		box := addr(t, "a@contoso.com")
		away := true
		r.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer {
			if away {
				return outcome.Answer{Outcome: outcome.Retry, Text: "no route to host"}
			}
			return sent
		}
		for range 1000 {
			r.store.put(box, box)
		}
		r.start()
		r.wait(time.Hour)
		if n := r.graph.count(); n > 30 {
			t.Errorf("%d attempts in an hour", n)
		}
		r.graph.set(func() { away = false })
		r.wait(10 * time.Minute)
		if n := r.store.Counts()[spool.Sent]; n < 990 {
			t.Errorf("%d sent", n)
		}
		r.stop()
	})
}

// TestClock: jumps of the clock neither expire nor strand mail.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		box := addr(t, "a@contoso.com")
		var skew atomic.Int64
		r.cfg.Now = func() time.Time { return time.Now().Add(time.Duration(skew.Load())) }
		r.graph.answer = func(_ envelope.Address, _ envelope.QueueID, n int) outcome.Answer {
			if n < 11 {
				return outcome.Answer{Outcome: outcome.Retry, Text: "500"}
			}
			return sent
		}
		r.start()
		id := r.arrive(box)
		r.wait(40 * time.Minute)           // waits 24 min now
		skew.Store(int64(-48 * time.Hour)) // the stored time of the next attempt is two days away
		r.wait(MaxDelay + 2*time.Minute)
		n := len(r.graph.times(id))
		if n < 9 {
			t.Errorf("%d attempts: the clock set back strands the message", n)
		}
		skew.Store(0)
		r.wait(2 * time.Minute)
		if len(r.graph.times(id)) == n {
			t.Error("the clock set forward is not noticed")
		}
		r.wantState(id, spool.Sent)
		old := r.store.put(box, box, func(m *spool.Record) { m.Accepted = time.Now().Add(-30 * 24 * time.Hour) })
		r.graph.set(func() { r.graph.answer = nil })
		r.came(old)
		r.wait(time.Minute)
		r.wantState(old, spool.Sent) // age alone fails nothing
		r.stop()
	})
}

// TestEachIsTriedWhenItIsDue: of several messages of one turn that are due at different
// times, each is tried at its own.
func TestEachIsTriedWhenItIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 10*time.Millisecond)
		var ids []envelope.QueueID
		at := func(n int) time.Duration { return 10*time.Second + time.Duration(n)*100*time.Millisecond }
		for n := range 8 {
			ids = append(ids, r.store.put(addr(t, "box@contoso.com"), addr(t, "box@contoso.com"),
				func(m *spool.Record) { m.Attempts, m.NextAttempt = 1, time.Now().Add(at(n)) }))
		}
		r.start()
		r.wait(time.Minute)
		for n, id := range ids {
			if got := r.graph.times(id); len(got) != 1 || got[0] != at(n) {
				t.Errorf("message %d was tried at %v, want %v", n, got, at(n))
			}
		}
		r.stop()
	})
}

// TestDeferredBefore: what an earlier run deferred is tried when it is due, not
// at the next poll of the minute.
func TestDeferredBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		box := addr(t, "a@contoso.com")
		due := []time.Duration{10 * time.Second, 75 * time.Second, 80 * time.Second, 100 * time.Second,
			12 * time.Minute}
		var ids []envelope.QueueID
		for _, d := range due {
			ids = append(ids, r.store.put(box, box, func(m *spool.Record) { m.NextAttempt = time.Now().Add(d) }))
		}
		r.start()
		r.wait(15 * time.Minute)
		for i, id := range ids {
			if got := r.graph.times(id); len(got) != 1 || got[0] < due[i] || got[0] > due[i]+2*time.Second {
				t.Errorf("due at %v, tried at %v", due[i], got)
			}
		}
		r.stop()
	})
}

// TestPlaceInLine: messages that were taken back keep their place.
func TestPlaceInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		box := addr(t, "a@contoso.com")
		for range 30 {
			r.store.put(box, box)
			time.Sleep(time.Millisecond)
		}
		for range 5 {
			r.start()
			r.wait(1500 * time.Millisecond)
			r.stop()
		}
		for i := 1; i < len(r.graph.tries); i++ {
			if a, b := r.graph.tries[i-1].id, r.graph.tries[i].id; b < a &&
				r.graph.tries[i-1].at != r.graph.tries[i].at {
				t.Errorf("%s was tried before %s", a, b)
			}
		}
		r.wait(0)
	})
}
