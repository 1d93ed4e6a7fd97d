package delivery

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/spool"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestBudget(t *testing.T) {
	b := budget{limit: 100, per: 5 * time.Minute}
	part := b.per / budgetSteps
	for _, c := range []struct {
		name  string
		at    time.Duration
		cost  int64
		want  time.Duration
		spend bool
	}{
		{"an empty one", 0, 60, 0, true},
		{"what is left", time.Minute, 40, 0, true},
		{"nothing is left", time.Minute, 1, 4*time.Minute + part, false},
		{"more than the first spending", time.Minute, 61, 5*time.Minute + part, false},
		{"just before", 5 * time.Minute, 1, part, false},
		{"the first has left the window", 5*time.Minute + part, 60, 0, true},
		{"more than the limit waits for all", 5*time.Minute + part, 1000, 5*time.Minute + part, false},
		{"more than the limit, alone", 11 * time.Minute, 1000, 0, true},
		{"and after it nothing", 12 * time.Minute, 1, 4*time.Minute + part, false},
		{"the clock set back by a day", -24 * time.Hour, 100, 0, true},
		{"the clock set forward by a year", 365 * 24 * time.Hour, 100, 0, true},
	} {
		now := noon.Add(c.at)
		if got := b.wait(now, c.cost); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if c.spend {
			b.spend(now, c.cost)
		}
	}
	var none budget
	none.spend(noon, 1<<60)
	if none.wait(noon, 1<<60) != 0 {
		t.Error("the zero budget has a limit")
	}
}

// TestBudgetHolds spends at random whenever it may, and never more than the
// limit within any window, nor much less than it could.
func TestBudgetHolds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b := budget{limit: 1000, per: time.Minute}
	type spending struct {
		at   time.Time
		cost int64
	}
	var all []spending
	now, sum := noon, int64(0)
	for range 5000 {
		cost := 1 + r.Int64N(50)
		if w := b.wait(now, cost); w > 0 {
			if b.wait(now.Add(w), cost) != 0 {
				t.Fatalf("at the end of the wait it waits again")
			}
			now = now.Add(w)
		}
		b.spend(now, cost)
		all = append(all, spending{now, cost})
		sum += cost
		window := int64(0)
		for i := len(all) - 1; i >= 0 && now.Sub(all[i].at) < b.per; i-- {
			window += all[i].cost
		}
		if window > b.limit {
			t.Fatalf("%d spent within %v", window, b.per)
		}
		now = now.Add(time.Duration(r.IntN(100)) * time.Millisecond)
	}
	if rate := float64(sum) / now.Sub(noon).Minutes(); rate < 900 {
		t.Errorf("%.0f a minute of 1000", rate)
	}
}

func TestLimiter(t *testing.T) {
	var l limiter
	at := func(d time.Duration) time.Time { return noon.Add(d) }
	want := func(when time.Duration, n int) {
		t.Helper()
		if got := l.allowed(at(when), 64); got != n {
			t.Errorf("after %v: %d, want %d", when, got, n)
		}
	}
	want(0, 64)
	l.throttled(at(-time.Second), at(0), at(0), 64, 64, 1)
	want(0, 32)
	l.throttled(at(-time.Second), at(time.Second), at(time.Second), 64, 31, 1) // was under way with the first
	want(time.Second, 32)
	l.throttled(at(time.Second), at(2*time.Second), at(2*time.Second), 64, 32, 1) // too soon for another step
	want(2*time.Second, 32)
	l.throttled(at(11*time.Second), at(12*time.Second), at(12*time.Second), 64, 10, 1)
	want(12*time.Second, 5)
	want(26*time.Second, 5)
	want(27*time.Second, 9)
	want(12*time.Second+14*raiseEvery, 61)
	want(12*time.Second+15*raiseEvery, 64)
	if l != (limiter{}) {
		t.Errorf("not forgotten: %+v", l)
	}
	l.throttled(at(0), at(0), at(30*time.Minute), 3, 3, 1)
	for when, n := range map[time.Duration]int{0: 1, 30 * time.Minute: 1, 30*time.Minute + raiseEvery: 2, 30*time.Minute + 2*raiseEvery: 3} {
		copied := l
		if got := copied.allowed(at(when), 3); got != n {
			t.Errorf("three slots after %v: %d, want %d", when, got, n)
		}
	}
	for range 10 {
		l.throttled(at(time.Hour), at(time.Hour), at(time.Hour), 3, 0, 1)
	}
	if got := l.allowed(at(time.Hour), 3); got != 1 {
		t.Errorf("lowest limit: %d", got)
	}
	if got := l.allowed(at(-48*time.Hour), 3); got != 1 {
		t.Errorf("clock set back: %d", got)
	}
	if got := l.allowed(at(-47*time.Hour), 3); got != 3 {
		t.Errorf("an hour after the clock was set back: %d", got)
	}
}

// TestRate: a mailbox keeps to its rate, also where its lane ends in between,
// and gives back what it had claimed.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 10*time.Millisecond)
		route := r.cfg.Route
		slow, fast := addr(t, "slow@contoso.com"), addr(t, "fast@contoso.com")
		r.cfg.Route = func(m envelope.Address) (Route, bool) {
			x, ok := route(m)
			if m.Equal(slow) {
				x.Rate = Rate{30, time.Minute}
			}
			return x, ok
		}
		for range 100 {
			r.store.put(slow, slow)
			r.store.put(fast, fast)
		}
		r.start()
		sentOf := func(m envelope.Address) int {
			r.graph.mu.Lock()
			defer r.graph.mu.Unlock()
			n := 0
			for _, x := range r.graph.tries {
				if x.mailbox == m.Key() {
					n++
				}
			}
			return n
		}
		for minute, want := range []int{30, 60, 90, 100} {
			r.wait(50 * time.Second)
			if got := sentOf(slow); got != want {
				t.Errorf("minute %d: %d, want %d", minute, got, want)
			}
			if got := sentOf(fast); got != 100 {
				t.Errorf("another mailbox sent %d of 100", got)
			}
			if n := r.store.Counts()[spool.Active]; n != 0 {
				t.Errorf("%d messages are claimed and not sent", n)
			}
			r.wait(15 * time.Second)
		}
		r.wait(10 * time.Minute)
		for range 3 { // the lane ends after each of these
			for range 15 {
				r.arrive(slow)
			}
			r.wait(5 * time.Second)
		}
		if got := sentOf(slow); got != 130 {
			t.Errorf("%d at once after a rest, want 30", got-100)
		}
		r.wait(time.Hour)
		if n := len(r.paces); n != 0 {
			t.Errorf("%d mailboxes are remembered", n)
		}
		r.stop()
	})
}

// TestPaceIsRemembered: what a mailbox without mail was slowed down to is not
// forgotten before it is over.
func TestPaceIsRemembered(t *testing.T) {
	p := &pace{budgets: newBudgets()}
	if !p.isFresh(noon) {
		t.Error("a new one is not fresh")
	}
	p.limiter.throttled(noon, noon, noon, 3, 3, 1)
	if p.isFresh(noon.Add(raiseEvery)) || p.limiter.allowed(noon.Add(raiseEvery), 3) != 2 {
		t.Error("forgotten while its slots come back")
	}
	if !p.isFresh(noon.Add(10 * raiseEvery)) {
		t.Error("never forgotten")
	}
	p.budgets.spend(noon, 1)
	if p.isFresh(noon.Add(uploadPer)) || !p.isFresh(noon.Add(2*requestPer)) {
		t.Error("what was spent is forgotten too early or never")
	}
}

// TestUploadBudget: 150 MB of requests in five minutes for a mailbox.
func TestUploadBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 100*time.Millisecond)
		box := addr(t, "box@contoso.com")
		for range 120 {
			r.store.put(box, box, func(m *spool.Record) { m.Size = 2_200_000 }) // 2.9 MB each as sent
		}
		r.start()
		r.wait(5 * time.Minute)
		if n := r.graph.count(); n != 51 {
			t.Errorf("%d in five minutes, want 51", n)
		}
		r.wait(4 * time.Minute)
		if n := r.graph.count(); n != 102 {
			t.Errorf("%d in nine minutes, want 102", n)
		}
		r.wait(2 * time.Minute)
		if n := r.store.Counts()[spool.Sent]; n != 120 {
			t.Errorf("%d sent of 120", n)
		}
		r.stop()
	})
}

// TestUploadsCountWithTheirRepetitions: what an upload sent twice is spent too,
// and each of its many requests.
func TestUploadsCountWithTheirRepetitions(t *testing.T) {
	b, now := newBudgets(), time.Unix(1_800_000_000, 0)
	b.spend(now, 60_000_000) // 80 MB as guessed
	if b.uploaded(now, 60_000_000, 70_000_000, 20); b.upload.sum != 60_000_000*4/3+2048 || b.requests.sum != 23 {
		t.Errorf("less than the guess: %d octets, %d requests", b.upload.sum, b.requests.sum)
	}
	if b.uploaded(now, 60_000_000, 120_000_000, 1_000); b.upload.sum != 120_000_000 || b.requests.sum != 1_000 {
		t.Errorf("more than the guess: %d octets, %d requests", b.upload.sum, b.requests.sum)
	}
}

// TestThrottlingLowersSlots: throttling halves the slots of the mailbox, and
// those of the identity only when most of its mailboxes are throttled, each of
// which keeps one; all come back slowly.
func TestThrottlingLowersSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		throttled := map[string]bool{}
		r.graph.answer = func(m envelope.Address, _ envelope.QueueID, _ int) outcome.Answer {
			if throttled[m.Key()] {
				delete(throttled, m.Key())
				return outcome.Answer{Outcome: outcome.Retry, Scope: outcome.ScopeMailbox, HTTPStatus: 429, RetryAfter: 2 * time.Second}
			}
			return sent
		}
		var boxes []envelope.Address
		for i := range 30 {
			boxes = append(boxes, addr(t, fmt.Sprintf("box%d@contoso.com", i)))
			for range 500 {
				r.store.put(boxes[i], boxes[i])
			}
		}
		most := func(d time.Duration, mailbox string) int {
			r.graph.set(func() { clear(r.graph.most) })
			r.wait(d)
			r.graph.mu.Lock()
			defer r.graph.mu.Unlock()
			return r.graph.most[mailbox]
		}
		r.start()
		if n := most(10*time.Second, ""); n != 64 {
			t.Fatalf("%d requests at once, want 64", n)
		}
		r.graph.set(func() { throttled["box0@contoso.com"] = true })
		r.wait(5 * time.Second)
		if n := most(9*time.Second, "box0@contoso.com"); n != 1 {
			t.Errorf("the throttled mailbox has %d requests at once, want 1", n)
		}
		if n := most(5*time.Second, ""); n != 64 {
			t.Errorf("the identity has %d requests at once, want 64", n)
		}
		throttle := func(boxes []envelope.Address) {
			r.graph.set(func() {
				for _, box := range boxes {
					throttled[box.Key()] = true
				}
			})
		}
		throttle(boxes[1:3])
		r.wait(4 * time.Second)
		if n := most(8*time.Second, ""); n < 60 {
			t.Errorf("the identity has %d requests at once after three of thirty mailboxes were throttled, want about 64", n)
		}
		throttle(boxes[:25])
		r.wait(4 * time.Second)
		if n := most(8*time.Second, ""); n > 34 || n < 30 { // a slot for each, or half of what was under way
			t.Errorf("the identity has %d requests at once after most mailboxes were throttled, want about 30", n)
		}
		r.wait(40 * time.Second)
		if n := most(5*time.Second, ""); n <= 32 || n >= 64 {
			t.Errorf("a minute later %d, want more and not all", n)
		}
		r.stop()
	})
}

// TestQuotaHour: the hour that a used-up quota asks for is kept to the second.
func TestQuotaHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		r.graph.answer = func(_ envelope.Address, _ envelope.QueueID, n int) outcome.Answer {
			if n == 0 {
				return outcome.Answer{Outcome: outcome.Retry, Scope: outcome.ScopeMailbox, HTTPStatus: 429, RetryAfter: time.Hour}
			}
			return sent
		}
		r.start()
		id := r.arrive(addr(t, "box@contoso.com"))
		r.wait(2 * time.Hour)
		if got := fmt.Sprint(r.graph.times(id)); got != "[0s 1h0m0s]" {
			t.Errorf("tried at %s", got)
		}
		r.stop()
	})
}
