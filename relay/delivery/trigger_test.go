package delivery

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/spool"
)

// unconnected is the answer of a request for which there was no connection.
func unconnected() outcome.Answer {
	return outcome.Answer{Outcome: outcome.Retry, Scope: outcome.ScopeIdentity, Text: "no connection"}
}

// A cause that ends probes the holds that it explains at once, and no other.
func TestCausesProbeWhatTheyExplain(t *testing.T) {
	for name, c := range map[string]struct {
		scope        outcome.Scope
		again, roles bool
		identity     string
		probes       int
	}{
		"a login works again, identity held":       {outcome.ScopeIdentity, true, false, "contoso", 1},
		"a login works again, mailbox held":        {outcome.ScopeMailbox, true, false, "contoso", 0},
		"new roles, identity held":                 {outcome.ScopeIdentity, false, true, "contoso", 1},
		"new roles, access to the mailbox refused": {outcome.ScopeMailbox, false, true, "contoso", 1},
		"new roles, From refused":                  {outcome.ScopeSendAs, false, true, "contoso", 0},
		"of another identity":                      {outcome.ScopeIdentity, true, true, "fabrikam", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 0)
				box := addr(t, "a@contoso.com")
				broken := true
				r.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer {
					if broken {
						return held(c.scope)
					}
					return sent
				}
				for range 5 {
					r.store.put(box, box)
				}
				r.start()
				r.wait(20 * time.Minute) // the next probe is due in 11 minutes
				r.graph.set(func() { broken = false })
				before := r.graph.count()
				r.LoggedIn(c.identity, c.again, c.roles)
				r.wait(2 * time.Second)
				if n := r.store.Counts()[spool.Sent]; n != 5*c.probes || r.graph.count()-before < c.probes {
					t.Errorf("%d sent", n)
				}
				r.stop()
			})
		})
	}
}

// A probe that got no answer proves nothing: another follows soon, and at once
// when the network is back.
func TestNetworkBackProbesWhatGotNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		box, other := addr(t, "a@contoso.com"), addr(t, "b@contoso.com")
		stage := 0
		r.graph.answer = func(m envelope.Address, _ envelope.QueueID, _ int) outcome.Answer {
			switch {
			case stage == 1:
				return unconnected()
			case stage == 0 && m.Equal(box):
				return held(outcome.ScopeMailbox)
			}
			return sent
		}
		for range 10 {
			r.store.put(box, box)
		}
		r.start()
		r.wait(20 * time.Minute) // probed at 1, 3, 7, 15; due at 31
		r.graph.set(func() { stage = 1 })
		r.wait(40 * time.Minute)
		h := r.Status().Holds
		if len(h) != 1 || h[0].Probes != 4 || time.Until(h[0].NextProbe) > 5*time.Minute {
			t.Fatalf("%+v", h)
		}
		r.wait(time.Until(h[0].NextProbe) + time.Second) // the next one is minutes away
		r.graph.set(func() { stage = 2 })
		id := r.arrive(other)
		r.wait(2 * time.Second)
		r.wantState(id, spool.Sent)
		// Those that probed in vain have their own backoff.
		if n := r.store.Counts()[spool.Sent]; n < 2 || len(r.Status().Holds) != 0 {
			t.Errorf("%d sent at once, held: %+v", n, r.Status().Holds)
		}
		r.stop()
	})
}

// However often a network or a login comes and goes, the probes of a hold stay
// about a minute apart; what an operator asks for is done at once.
func TestNoProbeStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		box, other := addr(t, "a@contoso.com"), addr(t, "b@contoso.com")
		n := 0
		var at []string
		began := time.Now()
		r.graph.answer = func(m envelope.Address, _ envelope.QueueID, _ int) outcome.Answer {
			if n++; m.Equal(box) {
				at = append(at, fmt.Sprint(time.Since(began).Truncate(time.Second)))
				if n == 1 {
					return held(outcome.ScopeMailbox)
				}
				return unconnected()
			}
			return sent
		}
		r.store.put(box, box)
		r.start()
		for range 10 * 60 * 5 { // ten minutes
			r.LoggedIn("contoso", true, true)
			r.arrive(other)
			r.wait(200 * time.Millisecond)
		}
		r.graph.set(func() {
			if got := strings.Join(at, " "); len(at) > 20 {
				t.Errorf("%d probes: %s", len(at), got)
			}
		})
		before := r.graph.count()
		r.ProbeNow()
		r.wait(time.Second)
		if r.graph.count() <= before {
			t.Error("an operator's probe waits")
		}
		r.stop()
	})
}

// A cause that ends while a probe is under way is not forgotten: that probe may
// have begun before.
func TestACauseDuringAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 10*time.Second)
		box := addr(t, "a@contoso.com")
		r.graph.answer = func(_ envelope.Address, _ envelope.QueueID, _ int) outcome.Answer {
			if r.graph.all > 0 && len(r.graph.tries) < 3 {
				return held(outcome.ScopeIdentity)
			}
			return sent
		}
		r.store.put(box, box)
		r.start()
		r.wait(75 * time.Second) // the probe of the first minute is under way
		r.LoggedIn("contoso", false, true)
		r.wait(30 * time.Second)
		if n := r.store.Counts()[spool.Sent]; n != 1 {
			t.Errorf("%v; tried at %v", r.store.Counts(), r.graph.tries)
		}
		r.stop()
	})
}
