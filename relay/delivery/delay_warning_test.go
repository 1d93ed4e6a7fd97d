package delivery

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// TestDelayWarning: one warning for a mailbox in each period, to the postmaster
// alone, and none during a hold.
func TestDelayWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		r.reporting(func(c *Reports) { c.DelayWarning = 4 * time.Hour })
		slow, held := addr(t, "slow@contoso.com"), addr(t, "held@contoso.com")
		r.graph.answer = func(m envelope.Address, _ envelope.QueueID, _ int) outcome.Answer {
			switch {
			case m.Equal(slow):
				return outcome.Answer{Outcome: outcome.Retry, HTTPStatus: 503, Status: reply.Enhanced{4, 3, 2},
					Text: "the service is unavailable"}
			case m.Equal(held):
				return outcome.Answer{Outcome: outcome.Hold, Scope: outcome.ScopeMailbox, HTTPStatus: 403,
					Text: "no access"}
			}
			return sent
		}
		var first envelope.QueueID
		for i := range 50 {
			id := r.from(slow, clientHeader)
			r.from(held, clientHeader)
			if i == 0 {
				first = id
			}
		}
		r.start()
		r.wait(4*time.Hour - 10*time.Second)
		if got := r.store.reports(); len(got) != 0 {
			t.Errorf("reports before the time: %+v", got)
		}
		r.wait(2 * time.Minute)
		got := r.store.reports()
		if len(got) != 1 || !got[0].ReportDelay || fmt.Sprint(got[0].Envelope.Recipients) != "[admin@contoso.com]" ||
			got[0].ReportOf != first {
			t.Fatalf("reports: %+v", got)
		}
		r.wait(4 * time.Hour)
		if got := r.store.reports(); len(got) != 2 || got[1].ReportOf == first {
			t.Errorf("after twice the time: %+v", got)
		}
		r.stop()
	})
}

// Of several nodes the one that leads warns.
func TestDelayWarningOfTheNodeThatLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		r.reporting(func(c *Reports) { c.DelayWarning = 4 * time.Hour })
		r.store.follows = true
		r.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer {
			return outcome.Answer{Outcome: outcome.Retry, HTTPStatus: 503, Status: reply.Enhanced{4, 3, 2}}
		}
		r.from(addr(t, "slow@contoso.com"), clientHeader)
		r.start()
		r.wait(5 * time.Hour)
		if got := r.store.reports(); len(got) != 0 {
			t.Errorf("reports: %+v", got)
		}
		r.stop()
	})
}

func TestIsDelayed(t *testing.T) {
	now, after := time.Now(), 4*time.Hour
	base := spool.Record{Message: spool.Message{Accepted: now.Add(-after),
		Envelope: envelope.Envelope{ReversePath: addr(t, "a@b.example")}}, State: spool.Queued}
	for name, c := range map[string]struct {
		change func(*spool.Record)
		want   bool
	}{
		"just now":            {func(*spool.Record) {}, true},
		"not yet":             {func(r *spool.Record) { r.Accepted = r.Accepted.Add(time.Second) }, false},
		"held meanwhile":      {func(r *spool.Record) { r.HeldFor = time.Second }, false},
		"warned":              {func(r *spool.Record) { r.DelayWarned = true }, false},
		"on its way":          {func(r *spool.Record) { r.State = spool.Sending }, false},
		"a report":            {func(r *spool.Record) { r.ReportOf = "x" }, false},
		"a null reverse-path": {func(r *spool.Record) { r.Envelope.ReversePath = envelope.Address{} }, false},
	} {
		rec := base
		c.change(&rec)
		if got := isDelayed(rec, now, after); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if isDelayed(base, now, 0) {
		t.Error("a warning though there are none")
	}
}
