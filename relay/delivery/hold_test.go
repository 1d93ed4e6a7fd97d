package delivery

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/delivery/hold"
	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

func held(scope outcome.Scope) outcome.Answer {
	return outcome.Answer{Outcome: outcome.Hold, Scope: scope, HTTPStatus: 403, Status: reply.Enhanced{4, 7, 1},
		Text: "refused", Advice: "check the app"}
}

// TestHoldProbeResume: one refusal stops the mailbox and only it; probes come
// at growing intervals, each with another message; the first that passes ends
// the hold, and everything is sent.
func TestHoldProbeResume(t *testing.T) {
	for _, scope := range []outcome.Scope{outcome.ScopeMailbox, outcome.ScopeIdentity} {
		t.Run(fmt.Sprint(scope), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 0)
				r.cfg.Route = func(m envelope.Address) (Route, bool) {
					return Route{Identity: m.Domain(), Sender: r.graph, MaxConcurrent: 1}, true
				}
				box, other := addr(t, "a@contoso.com"), addr(t, "b@fabrikam.com")
				broken := true
				r.graph.answer = func(m envelope.Address, _ envelope.QueueID, _ int) outcome.Answer {
					if broken && m.Equal(box) {
						return held(scope)
					}
					return sent
				}
				for range 50 {
					r.store.put(box, box)
					r.store.put(other, other)
				}
				r.start()
				r.wait(65 * time.Minute)
				var at []string
				probed := map[envelope.QueueID]bool{}
				for _, try := range r.graph.tries {
					if try.mailbox == box.Key() {
						// an identity's lanes may stand back a second each time
						at = append(at, try.at.Truncate(10*time.Second).String())
						probed[try.id] = true
					} else if try.at > time.Second {
						t.Errorf("the other mailbox was delayed to %v", try.at)
					}
				}
				// 1, 2, 4, 8, 16, 30 minutes after the one before
				if got, want := strings.Join(at, " "), "0s 1m0s 3m0s 7m0s 15m0s 31m0s 1h1m0s"; got != want {
					t.Errorf("tried at %s, want %s", got, want)
				}
				if len(probed) != len(at) {
					t.Errorf("%d messages served for %d probes", len(probed), len(at))
				}
				if h := r.Status().Holds; len(h) != 1 || h[0].Probes != 6 || h[0].Text != "refused; check the app" {
					t.Errorf("holds %+v", h)
				}
				if n := r.store.Counts()[spool.Sending]; n != 0 {
					t.Errorf("%d Active", n)
				}
				r.graph.set(func() { broken = false })
				r.wait(31 * time.Minute)
				if n := r.store.Counts()[spool.Sent]; n != 100 {
					t.Errorf("%d sent", n)
				}
				if len(r.store.Seen().EndedHolds) != 1 || len(r.Status().Holds) != 0 || len(r.store.holds()) != 0 {
					t.Errorf("ended %v, left %v", r.store.Seen().EndedHolds, r.store.holds())
				}
				if r.log.count("hold begins") != 1 || r.log.count("hold ends") != 1 {
					t.Error("a hold is to be logged once when it begins and once when it ends")
				}
				id := envelope.QueueID(fmt.Sprintf("%016d", 99))
				if rec := r.store.get(id); rec.HeldFor < 91*time.Minute || rec.HeldFor > 92*time.Minute {
					t.Errorf("held for %v", rec.HeldFor)
				}
				if rec := r.store.get(envelope.QueueID(fmt.Sprintf("%016d", 100))); rec.HeldFor != 0 {
					t.Errorf("the other identity's message was held for %v", rec.HeldFor)
				}
				r.stop()
			})
		})
	}
}

// TestOddOne: a message that alone meets a refusal ends up held alone, and
// costs its siblings a minute.
func TestOddOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 100*time.Millisecond)
		box := addr(t, "a@contoso.com")
		odd := r.store.put(box, box)
		r.graph.answer = func(_ envelope.Address, id envelope.QueueID, _ int) outcome.Answer {
			if id == odd {
				return held(outcome.ScopeMailbox)
			}
			return sent
		}
		for range 5 {
			r.store.put(box, box)
		}
		r.start()
		for range 60 { // mail keeps coming
			r.wait(10 * time.Second)
			r.arrive(box)
		}
		r.wait(time.Minute)
		r.wantState(odd, spool.Held)
		if n := r.store.Counts()[spool.Sent]; n != 65 {
			t.Errorf("%d sent", n)
		}
		if !r.holds.None() {
			t.Errorf("left: %v, or strikes", r.Status().Holds)
		}
		if n := r.log.count("hold begins"); n != 1 {
			t.Errorf("the mailbox was held %d times", n)
		}
		if n := len(r.graph.times(odd)); n != 1+hold.MaxAlone {
			t.Errorf("%d attempts", n)
		}
		r.stop()
	})
}

// TestOutageHoldsNobodyAlone: all that failed in an outage is sent after it.
func TestOutageHoldsNobodyAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 100*time.Millisecond)
		box := addr(t, "a@contoso.com")
		broken := true
		r.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer {
			if broken {
				return held(outcome.ScopeIdentity)
			}
			return sent
		}
		r.start()
		for range 100 {
			r.arrive(box)
			r.wait(3 * time.Minute)
		}
		r.graph.set(func() { broken = false })
		r.wait(31 * time.Minute)
		if n := r.store.Counts()[spool.Sent]; n != 100 {
			t.Errorf("%v", r.store.Counts())
		}
		r.stop()
	})
}

// TestMailAcceptedWhileALaneLooks: accepted before the lane looks behind what a narrow hold
// stops, and committed after that, it goes at once and not at the next look a minute later.
func TestMailAcceptedWhileALaneLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		box, alias := addr(t, "a@contoso.com"), addr(t, "alias@contoso.com")
		bad := r.store.put(box, alias)
		r.graph.answer = func(_ envelope.Address, id envelope.QueueID, _ int) outcome.Answer {
			if id == bad {
				return held(outcome.ScopeSendAs)
			}
			return sent
		}
		accepted := time.Now()
		time.Sleep(time.Second)
		r.start()
		r.wantState(bad, spool.Paused)
		late := r.store.put(box, box, func(rec *spool.Record) { rec.Accepted, rec.NextAttempt = accepted, accepted })
		r.came(late)
		r.wait(time.Second)
		r.wantState(late, spool.Sent)
		r.stop()
	})
}

// TestSendAsHold covers that mailbox and From only.
func TestSendAsHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		box, alias, third := addr(t, "a@contoso.com"), addr(t, "alias@contoso.com"), addr(t, "c@contoso.com")
		bad := map[envelope.QueueID]bool{}
		broken := true
		r.graph.answer = func(_ envelope.Address, id envelope.QueueID, _ int) outcome.Answer {
			if broken && bad[id] {
				return held(outcome.ScopeSendAs)
			}
			return sent
		}
		for range 20 {
			bad[r.store.put(box, alias)] = true
			r.store.put(box, box)
			r.store.put(box, third)
		}
		r.start()
		r.wait(10 * time.Minute)
		if n := r.store.Counts(); n[spool.Sent] != 40 || n[spool.Queued] != 20 {
			t.Errorf("%v", n)
		}
		if n := r.graph.count(); n > 40+3+5 || r.store.Seen().Unclaims > 20 {
			t.Errorf("%d attempts, %d taken back", n, r.store.Seen().Unclaims)
		}
		for range 3 { // ordinary mail goes on beside the probes
			r.graph.set(func() { bad[r.store.put(box, alias)] = true })
			id := r.arrive(box)
			r.wait(7 * time.Minute)
			r.wantState(id, spool.Sent)
		}
		r.graph.set(func() { broken = false })
		r.wait(31 * time.Minute)
		if n := r.store.Counts()[spool.Sent]; n != 66 {
			t.Errorf("%v", r.store.Counts())
		}
		if len(r.store.holds()) != 0 {
			t.Errorf("left: %v", r.store.holds())
		}
		r.stop()
	})
}

// TestHoldRestored: a hold survives a restart, which probes it at once.
func TestHoldRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		box := addr(t, "a@contoso.com")
		broken := true
		r.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer {
			if broken {
				return held(outcome.ScopeMailbox)
			}
			return sent
		}
		for range 10 {
			r.store.put(box, box)
		}
		r.start()
		r.wait(10 * time.Minute)
		r.stop()
		if n := r.store.Counts()[spool.Queued]; n != 10 || len(r.store.holds()) != 1 {
			t.Fatalf("%v, holds %v", r.store.Counts(), r.store.holds())
		}
		n := r.graph.count()
		r.start()
		r.wait(time.Second)
		if got := r.graph.count(); got != n+1 {
			t.Errorf("%d attempts after the restart, want one probe", got-n)
		}
		r.graph.set(func() { broken = false })
		r.ProbeNow()
		r.wait(time.Second)
		if n := r.store.Counts()[spool.Sent]; n != 10 {
			t.Errorf("%d sent at once after ProbeNow", n)
		}
		r.stop()
	})
}

// TestMissingRoute: mail of a sender that the configuration dropped is kept.
func TestMissingRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		box := addr(t, "a@contoso.com")
		var there atomic.Bool
		r.cfg.Route = func(envelope.Address) (Route, bool) {
			return Route{Identity: "contoso", Sender: r.graph}, there.Load()
		}
		id := r.store.put(box, box)
		r.start()
		r.wait(24 * time.Hour)
		r.wantState(id, spool.Paused)
		if h := r.Status().Holds; len(h) != 1 || !strings.Contains(h[0].Text, "senders:") || len(r.store.holds()) != 1 {
			t.Errorf("holds %+v", h)
		}
		r.stop()
		r.start()
		there.Store(true)
		r.ProbeNow()
		r.wait(2 * time.Second)
		r.wantState(id, spool.Sent)
		if rec := r.store.get(id); rec.HeldFor < 24*time.Hour || len(r.store.holds()) != 0 {
			t.Errorf("held for %v, holds %v", rec.HeldFor, r.store.holds())
		}
		r.stop()
	})
}

// TestExpiryLeavesOutHeldTime: a message older than max_age that was held all
// the time is tried after the hold, and again after that.
func TestExpiryLeavesOutHeldTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		r.cfg.MaxAge = time.Hour
		r.store.slow(50 * time.Millisecond)
		box := addr(t, "a@contoso.com")
		stage := 0
		r.graph.answer = func(_ envelope.Address, id envelope.QueueID, _ int) outcome.Answer {
			switch {
			case stage == 0:
				return held(outcome.ScopeMailbox)
			case stage == 1 && id != "0000000000000001":
				return outcome.Answer{Outcome: outcome.Retry, Text: "500"}
			}
			return sent
		}
		for range 3 {
			r.store.put(box, box)
		}
		r.start()
		r.wait(10 * time.Hour)
		r.graph.set(func() { stage = 1 })
		r.wait(32*time.Minute + 30*time.Second)
		r.graph.set(func() { stage = 2 })
		r.wait(30 * time.Minute)
		if n := r.store.Counts()[spool.Sent]; n != 3 {
			t.Errorf("%v", r.store.Counts())
		}
		r.stop()
	})
}

// TestIdentityProbesRotate: an identity is probed by its mailboxes in turn, and
// only its own mail is credited with the time.
func TestIdentityProbesRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		r.cfg.Route = func(m envelope.Address) (Route, bool) {
			return Route{Identity: m.Domain(), Sender: r.graph, MaxConcurrent: 1}, true
		}
		broken := true
		r.graph.answer = func(m envelope.Address, _ envelope.QueueID, _ int) outcome.Answer {
			switch {
			case m.Domain() == "fabrikam.com":
				return outcome.Answer{Outcome: outcome.Retry}
			case broken:
				return held(outcome.ScopeIdentity)
			}
			return sent
		}
		for i := range 4 {
			box := addr(t, fmt.Sprintf("box%d@contoso.com", i))
			for range 10 {
				r.store.put(box, box)
			}
		}
		other := addr(t, "b@fabrikam.com")
		foreign := r.store.put(other, other)
		r.start()
		r.wait(32 * time.Minute)
		r.graph.mu.Lock()
		var order []string
		for _, try := range r.graph.tries {
			if try.at > 30*time.Second && try.mailbox != other.Key() {
				order = append(order, try.mailbox)
			}
		}
		r.graph.mu.Unlock()
		seen := map[string]bool{}
		for _, m := range order[:min(4, len(order))] {
			seen[m] = true
		}
		if len(order) != 5 || len(seen) != 4 {
			t.Errorf("probed by %v", order)
		}
		r.graph.set(func() { broken = false })
		r.ProbeNow()
		r.wait(2 * time.Second)
		if n := r.store.Counts()[spool.Sent]; n != 40 {
			t.Errorf("%v", r.store.Counts())
		}
		if rec := r.store.get(foreign); rec.State != spool.Deferred || rec.HeldFor != 0 {
			t.Errorf("the other identity's message: %s, held for %v", rec.State, rec.HeldFor)
		}
		r.stop()
	})
}

// TestNarrowRefusalEndsWideHold: where Graph refuses the mailbox, the identity works.
func TestNarrowRefusalEndsWideHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		gone, good := addr(t, "gone@contoso.com"), addr(t, "good@contoso.com")
		broken := true
		r.graph.answer = func(m envelope.Address, _ envelope.QueueID, _ int) outcome.Answer {
			switch {
			case broken:
				return held(outcome.ScopeIdentity)
			case m.Equal(gone):
				return held(outcome.ScopeMailbox)
			}
			return sent
		}
		r.start()
		for range 5 {
			r.arrive(gone)
		}
		r.wait(30 * time.Second)
		r.graph.set(func() { broken = false })
		r.wait(time.Minute)
		if h := r.Status().Holds; len(h) != 1 || h[0].Key != "mailbox:gone@contoso.com" || len(r.store.holds()) != 1 {
			t.Errorf("holds %+v", h)
		}
		id := r.arrive(good)
		r.wait(time.Second)
		r.wantState(id, spool.Sent)
		r.stop()
	})
}

// TestHoldsOfAnIdentityThatIsGone end, whatever began them; those of mailboxes
// and of other identities stay.
func TestHoldsOfAnIdentityThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		a := r.reporting()
		box := addr(t, "box@contoso.com")
		r.cfg.Identity = func(name string) bool { return name == "contoso" }
		for _, h := range []spool.Hold{
			{Key: hold.IdentityKey("old"), Identity: "old", Text: "the secret has expired"},
			{Key: state.AuditKey("old"), Identity: "old", Text: "not restricted"},
			{Key: state.AuditKey("contoso"), Identity: "contoso", Text: "not restricted"},
			{Key: hold.MailboxKey(box), Identity: "old", Mailbox: box, Text: "refused"},
		} {
			h.Since = time.Now()
			if err := r.store.SetHold(t.Context(), h); err != nil {
				t.Fatal(err)
			}
		}
		r.start()
		r.wait(time.Minute)
		var left []string
		for _, h := range r.Status().Holds {
			left = append(left, h.Key)
		}
		if got := strings.Join(left, " "); got != "audit:contoso mailbox:box@contoso.com" || len(r.store.holds()) != 2 {
			t.Errorf("left: %s, stored: %v", got, r.store.holds())
		}
		if a.text("hold:identity:old") != "" || a.text("audit:old") != "" || a.text("audit:contoso") == "" {
			t.Error("the alarm of a hold that is over goes on, or another has stopped")
		}
		r.stop()
	})
}
