package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/spool"
)

// TestMaxHold: what is held longer than max_hold becomes Failed, and only that.
func TestMaxHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		r.cfg.MaxHold = 2 * 24 * time.Hour
		box, free, shared := addr(t, "a@contoso.com"), addr(t, "b@contoso.com"), addr(t, "c@contoso.com")
		var aliased envelope.QueueID
		r.graph.answer = func(m envelope.Address, id envelope.QueueID, _ int) outcome.Answer {
			switch {
			case m.Equal(box):
				return held(outcome.ScopeMailbox)
			case m.Equal(shared) && id == aliased:
				return held(outcome.ScopeSendAs)
			}
			return outcome.Answer{Outcome: outcome.Retry}
		}
		aliased = r.store.put(shared, box)
		own := r.store.put(shared, shared)
		old := r.store.put(box, box)
		alone := r.store.put(free, free, func(m *spool.Record) { m.State, m.HeldSince = spool.Held, time.Now() })
		deferred := r.store.put(free, free)
		r.start()
		r.wait(24 * time.Hour)
		young := r.arrive(box)
		r.wait(24*time.Hour + 15*time.Minute)
		r.wantState(old, spool.Failed)
		r.wantState(alone, spool.Failed)
		r.wantState(aliased, spool.Failed)
		r.wantState(own, spool.Deferred)
		r.wantState(young, spool.Paused)
		r.wantState(deferred, spool.Deferred)
		// A lane looks behind a SendAs hold once a minute, and the others less often.
		if most := 49*60 + 1000; r.store.Seen().Claims > most {
			t.Errorf("%d claims in two days, want %d at most", r.store.Seen().Claims, most)
		}
		r.stop()
	})
}
