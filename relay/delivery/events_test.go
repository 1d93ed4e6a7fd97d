package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
)

// TestHoldAlarms: a hold raises an alarm, and its end lowers it.
func TestHoldAlarms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		a := r.reporting()
		works := false
		r.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer {
			if works {
				return sent
			}
			return outcome.Answer{Outcome: outcome.Hold, Scope: outcome.ScopeMailbox, HTTPStatus: 403,
				Text: "no access", Advice: "check the policy"}
		}
		r.start()
		r.arrive(addr(t, "box@contoso.com"))
		r.wait(5 * time.Second)
		const key = "hold:mailbox:box@contoso.com"
		if got := a.text(key); got != "No access (box@contoso.com); check the policy" {
			t.Errorf("the alarm says %q", got)
		}
		r.graph.set(func() { works = true })
		r.ProbeNow()
		r.wait(5 * time.Second)
		if a.text(key) != "" || len(a.log) != 2 {
			t.Errorf("alarms: %v", a.log)
		}
		r.stop()
	})
}
