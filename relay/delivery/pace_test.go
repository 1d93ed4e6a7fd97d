package delivery

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/pacing"
	"graphrelay/relay/spool"
)

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
				x.Rate = pacing.Rate{Count: 30, Per: time.Minute}
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
			if n := r.store.Counts()[spool.Sending]; n != 0 {
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
				return outcome.Answer{Outcome: outcome.Retry, Scope: outcome.ScopeMailbox, HTTPStatus: 429,
					RetryAfter: 2 * time.Second}
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
			t.Errorf("%d requests at once after three of thirty mailboxes were throttled, want about 64", n)
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
				return outcome.Answer{Outcome: outcome.Retry, Scope: outcome.ScopeMailbox, HTTPStatus: 429,
					RetryAfter: time.Hour}
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
