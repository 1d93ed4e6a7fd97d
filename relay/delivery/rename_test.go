package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/delivery/hold"
	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// TestRenamedIdentity: an identity that has another name by now ends the hold of
// its old one. The time in it does not count towards max_age, whether a reload or
// a restart brought the name, and nobody else is credited.
func TestRenamedIdentity(t *testing.T) {
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, time.Second)
			box, other := addr(t, "box@contoso.com"), addr(t, "box@fabrikam.com")
			name := "old"
			r.cfg.MaxAge = 5 * time.Hour
			r.cfg.Route = func(m envelope.Address) (Route, bool) {
				if m.Equal(other) {
					return Route{Identity: "fabrikam", Sender: r.graph}, true
				}
				return Route{Identity: name, Sender: r.graph}, true
			}
			r.cfg.Identity = func(x string) bool { return x == name || x == "fabrikam" }
			works := false
			away := outcome.Answer{Outcome: outcome.Retry, HTTPStatus: 503, Status: reply.Enhanced{4, 3, 2},
				Text: "unavailable"}
			r.graph.answer = func(m envelope.Address, _ envelope.QueueID, _ int) outcome.Answer {
				switch {
				case works:
					return sent
				case m.Equal(other) || name == "new":
					return away
				}
				return held(outcome.ScopeIdentity)
			}
			r.start()
			id := r.arrive(box)
			r.wait(6 * time.Hour)
			stranger := r.arrive(other)
			r.wait(time.Hour)
			if restart {
				r.stop()
				name = "new"
				r.start()
			} else {
				r.graph.set(func() { name = "new" })
				r.ProbeNow()
			}
			r.wait(5 * time.Minute)
			if rec := r.store.get(id); rec.State != spool.Deferred || rec.HeldFor < 7*time.Hour-time.Minute ||
				rec.LastText != "unavailable" {
				t.Errorf("restart %v: %s, held for %s: %s", restart, rec.State, rec.HeldFor, rec.LastText)
			}
			if rec := r.store.get(stranger); rec.HeldFor != 0 {
				t.Errorf("restart %v: a mailbox of another identity is credited %s", restart, rec.HeldFor)
			}
			if len(r.Status().Holds) != 0 || len(r.store.holds()) != 0 {
				t.Errorf("restart %v: holds %+v", restart, r.Status().Holds)
			}
			r.graph.set(func() { works = true })
			r.wait(time.Hour)
			r.wantState(id, spool.Sent)
			r.stop()
		})
	}
}

// TestProbeNowByKey: a hold that is named is probed, and no other.
func TestProbeNowByKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		one, two := addr(t, "one@contoso.com"), addr(t, "two@contoso.com")
		works := false
		r.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer {
			if works {
				return sent
			}
			return held(outcome.ScopeMailbox)
		}
		r.start()
		first, second := r.arrive(one), r.arrive(two)
		r.wait(70 * time.Second) // both were probed once, the next is due in two minutes
		r.graph.set(func() { works = true })
		r.ProbeNow(hold.MailboxKey(one))
		r.wait(10 * time.Second)
		r.wantState(first, spool.Sent)
		r.wantState(second, spool.Paused)
		if n := len(r.graph.times(second)); n != 2 {
			t.Errorf("the other hold was probed %d times", n)
		}
		r.wait(5 * time.Minute)
		r.wantState(second, spool.Sent)
		r.stop()
	})
}
