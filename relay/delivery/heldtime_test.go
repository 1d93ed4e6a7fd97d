package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/spool"
)

// TestProbesKeepTheirPlace: messages that probed a hold, and were taken back
// afterwards because Graph asked for time, are sent before those that were
// accepted later.
func TestProbesKeepTheirPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		box := addr(t, "a@contoso.com")
		var ids []envelope.QueueID
		for range 40 {
			ids = append(ids, r.store.put(box, box))
			time.Sleep(time.Second)
		}
		broken, throttled := true, false
		var passed envelope.QueueID // the probe that ends the hold
		r.graph.answer = func(_ envelope.Address, id envelope.QueueID, _ int) outcome.Answer {
			switch {
			case broken:
				return held(outcome.ScopeMailbox)
			case id == ids[2] && !throttled:
				throttled = true
				return outcome.Answer{Outcome: outcome.Retry, Scope: outcome.ScopeMailbox, HTTPStatus: 429,
					RetryAfter: 5 * time.Second}
			case passed == "":
				passed = id
			}
			return sent
		}
		r.start()
		r.wait(5 * time.Hour)
		if n := r.Status().Holds[0].Probes; n < 10 {
			t.Errorf("%d probes", n)
		}
		r.graph.set(func() { broken = false })
		r.wait(time.Hour)
		var last time.Duration
		for i, id := range ids {
			r.wantState(id, spool.Sent)
			tries := r.graph.times(id)
			if at := tries[len(tries)-1]; id != ids[2] && id != passed {
				if at < last {
					t.Errorf("message %d was sent at %v, and an older one at %v", i, at, last)
				}
				last = at
			}
		}
		r.stop()
	})
}

// TestOverlappingHolds: time in two holds at once counts once towards max_hold.
func TestOverlappingHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		r.cfg.MaxHold = 24 * time.Hour
		box, other := addr(t, "a@contoso.com"), addr(t, "b@contoso.com")
		stage := 0
		r.graph.answer = func(m envelope.Address, _ envelope.QueueID, _ int) outcome.Answer {
			switch {
			case stage == 0:
				return outcome.Answer{Outcome: outcome.Retry}
			case stage == 2:
				return held(outcome.ScopeIdentity)
			case m.Equal(box):
				return held(outcome.ScopeMailbox)
			}
			return sent
		}
		id := r.store.put(box, box)
		r.start()
		stages := func(n int, d time.Duration) {
			r.graph.set(func() { stage = n })
			r.arrive(other)
			r.wait(d)
		}
		stages(0, 10*time.Hour) // not held: this time does not count
		stages(1, time.Hour)
		since := r.Status().Holds[0].Since
		stages(2, 9*time.Hour)
		stages(1, time.Hour)
		if h := r.Status().Holds; len(h) != 1 || !h[0].Since.Equal(since) {
			t.Fatalf("%+v", h)
		}
		r.wait(time.Until(since.Add(24*time.Hour - time.Second)))
		r.wantState(id, spool.Paused)
		r.wait(expireEvery + time.Second)
		r.wantState(id, spool.Failed)
		r.stop()
	})
}

// TestMaxHoldCountsEarlierHolds: the hold that a message waits for may be young.
func TestMaxHoldCountsEarlierHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		r.cfg.MaxHold = 24 * time.Hour
		box := addr(t, "a@contoso.com")
		scope := outcome.ScopeIdentity
		r.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer { return held(scope) }
		id := r.store.put(box, box)
		r.start()
		r.wait(20 * time.Hour)
		r.graph.set(func() { scope = outcome.ScopeMailbox })
		r.wait(4*time.Hour - time.Second)
		if h := r.Status().Holds; len(h) != 1 || h[0].Key != "mailbox:a@contoso.com" {
			t.Errorf("%+v", h)
		}
		r.wantState(id, spool.Paused)
		r.wait(expireEvery + time.Second)
		r.wantState(id, spool.Failed)
		r.stop()
	})
}

// TestHoldThatStoppedNothing: the end of a hold of an identity that has no more
// mail adds nothing to the held time of other identities' mail.
func TestHoldThatStoppedNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		box, other := addr(t, "a@contoso.com"), addr(t, "b@fabrikam.com")
		r.cfg.Route = func(m envelope.Address) (Route, bool) {
			return Route{Identity: m.Domain(), Sender: r.graph}, true
		}
		broken := true
		r.graph.answer = func(m envelope.Address, _ envelope.QueueID, _ int) outcome.Answer {
			switch {
			case m.Equal(other):
				return outcome.Answer{Outcome: outcome.Retry}
			case broken:
				return held(outcome.ScopeIdentity)
			}
			return sent
		}
		id, bystander := r.store.put(box, box), r.store.put(other, other)
		r.start()
		r.wait(10 * time.Hour)
		r.graph.set(func() { broken = false })
		r.wait(time.Hour)
		r.wantState(id, spool.Sent)
		if rec := r.store.get(bystander); len(r.Status().Holds) != 0 || rec.HeldFor != 0 {
			t.Errorf("holds %+v, %v of them for a message of another identity", r.Status().Holds, rec.HeldFor)
		}
		r.stop()
	})
}

// TestNothingIsHeldLongerThanItIsOld bounds what is left of counting twice: a
// SendAs hold, which stops a part of a mailbox, overlapping that of its identity.
func TestNothingIsHeldLongerThanItIsOld(t *testing.T) {
	r := newRig(t, 0)
	r.Delivery = New(r.cfg)
	box, now := addr(t, "a@contoso.com"), time.Now()
	id := r.store.put(box, box, func(m *spool.Record) { m.Accepted, m.HeldFor = now.Add(-20*time.Hour), 15*time.Hour })
	for limit, want := range map[time.Duration]spool.State{21 * time.Hour: spool.Queued, 19 * time.Hour: spool.Failed} {
		r.store.Edit(id, func(m *spool.Record) { m.State = spool.Queued })
		if err := r.expireIf(t.Context(), r.store.get(id), limit, now.Add(-15*time.Hour), now); err != nil {
			t.Error(err)
		}
		r.wantState(id, want)
	}
}
