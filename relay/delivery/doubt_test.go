package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/spool"
)

var doubtful = outcome.Answer{Outcome: outcome.Retry, Scope: outcome.ScopeMailbox, HTTPStatus: 500, Doubt: true}

// TestAnOutageHoldsNoMoreThanItsSlots: an answer that can follow a message which was sent holds those that were
// under way when it came. The rest is tried one at a time and waits for the end of the outage.
func TestAnOutageHoldsNoMoreThanItsSlots(t *testing.T) {
	for _, tt := range []struct {
		name    string
		unknown UnknownOutcome
		held    int
	}{{"retry", Retry, 0}, {"hold", HoldIt, defaultSlots}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, time.Second)
				r.cfg.Unknown = tt.unknown
				well := false
				r.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer {
					if well {
						return sent
					}
					return doubtful
				}
				box := addr(t, "a@contoso.com")
				for range 40 {
					r.store.put(box, box)
				}
				r.start()
				r.wait(3 * time.Hour)
				if n := r.store.Counts(); n[spool.Held] != tt.held || n[spool.Failed]+n[spool.Sent] != 0 {
					t.Errorf("in the outage: %v, want %d held", n, tt.held)
				}
				if tt.unknown == HoldIt && r.log.count("possible_duplicate=true") == 0 {
					t.Error("nothing says that messages may be sent twice")
				}
				r.graph.set(func() { well = true })
				r.wait(time.Hour)
				if n := r.store.Counts(); n[spool.Held] != tt.held || n[spool.Sent] != 40-tt.held {
					t.Errorf("after the outage: %v", n)
				}
				r.graph.set(func() { well = false })
				lone := r.arrive(box) // with no outage before it
				r.wait(time.Minute)
				if got := r.store.get(lone); (got.State == spool.Held) != (tt.unknown == HoldIt) {
					t.Errorf("a new doubt: %s", got.State)
				}
				r.stop()
			})
		})
	}
}

// TestFirstDoubtSlowsTheLane: after the first one no two requests are under way at once.
func TestFirstDoubtSlowsTheLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		r.cfg.Unknown = HoldIt
		most, first := 0, true
		r.graph.answer = func(m envelope.Address, _ envelope.QueueID, _ int) outcome.Answer {
			if !first {
				most = max(most, r.graph.busy[m.Key()])
			}
			first = false
			if time.Since(r.graph.began) > time.Hour {
				return sent
			}
			return doubtful
		}
		box := addr(t, "a@contoso.com")
		for range 3 {
			r.store.put(box, box)
		}
		r.start()
		r.wait(10 * time.Second) // all three are held
		r.graph.set(func() { most = 0 })
		for range 20 {
			r.arrive(box)
		}
		r.wait(30 * time.Minute)
		r.graph.set(func() {
			if most != 1 {
				t.Errorf("%d at once", most)
			}
		})
		r.stop()
	})
}

// TestOneRefusedForNowDelaysNobody: where only the message is concerned, the mailbox goes on, Retry-After or not.
func TestOneRefusedForNowDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 100*time.Millisecond)
		bad := map[envelope.QueueID]bool{}
		r.graph.answer = func(_ envelope.Address, id envelope.QueueID, _ int) outcome.Answer {
			if bad[id] {
				return outcome.Answer{Outcome: outcome.Retry, HTTPStatus: 403, RetryAfter: 10 * time.Minute}
			}
			return sent
		}
		box := addr(t, "a@contoso.com")
		for range 10 {
			bad[r.store.put(box, box)] = true
		}
		for range 50 {
			r.store.put(box, box)
		}
		r.start()
		r.wait(10 * time.Second)
		if n := r.store.Counts(); n[spool.Sent] != 50 || n[spool.Queued] != 10 || len(r.Status().Holds) != 0 {
			t.Errorf("%v, holds %v", n, r.Status().Holds)
		}
		r.graph.set(func() { clear(bad) })
		r.wait(11 * time.Minute)
		if n := r.store.Counts(); n[spool.Sent] != 60 {
			t.Errorf("%v", n)
		}
		r.stop()
	})
}
