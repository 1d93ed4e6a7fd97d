package delivery

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// Bounces are reported by the rules of reports: not of reports, and to nobody who finds the bounce in
// a mailbox of his own.
func TestBounceAddressees(t *testing.T) {
	sender, admin, box := addr(t, "erp@contoso.com"), addr(t, "admin@contoso.com"), addr(t, "box@contoso.com")
	one, two := addr(t, "one@example.net"), addr(t, "two@example.net")
	both := Reports{ToSender: true, Postmaster: admin}
	message := func(change func(*spool.Record)) spool.Record {
		r := spool.Record{Message: spool.Message{Mailbox: box}}
		r.Envelope = envelope.Envelope{ReversePath: sender, Recipients: []envelope.Address{one, two}}
		change(&r)
		return r
	}
	for _, c := range []struct {
		name   string
		rec    spool.Record
		origin envelope.Address
		want   string
	}{
		{"both", message(func(*spool.Record) {}), box, "[erp@contoso.com admin@contoso.com]"},
		{"a report", message(func(r *spool.Record) { r.ReportOf = "x" }), box, "[]"},
		{"auto-submitted", message(func(r *spool.Record) { r.Automatic = true }), box, "[]"},
		{"null reverse-path", message(func(r *spool.Record) { r.Envelope.ReversePath = envelope.Address{} }), box,
			"[]"},
		{"the mailbox itself", message(func(r *spool.Record) { r.Envelope.ReversePath = box }), box,
			"[admin@contoso.com]"},
		{"where it lies", message(func(*spool.Record) {}), sender, "[admin@contoso.com]"},
		{"NOTIFY=NEVER for one", message(func(r *spool.Record) { r.Envelope.Unreported = []envelope.Address{one} }),
			box, "[admin@contoso.com]"},
		{"NOTIFY=NEVER for two", message(func(r *spool.Record) { r.Envelope.Unreported = []envelope.Address{two} }),
			box, "[erp@contoso.com admin@contoso.com]"},
	} {
		bounced := []spool.Event{{Kind: spool.EventBounced, Recipient: one, Origin: c.origin}}
		to, why := bounceAddressees(c.rec, bounced, both)
		if got := fmt.Sprint(to); got != c.want || len(to) == 0 && why == "" {
			t.Errorf("%s: %s (%s), want %s", c.name, got, why, c.want)
		}
	}
}

// Each bounce is reported once, with the words of the host; one that is probable is not.
func TestBouncesAreReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		r.reporting()
		var arrived []string
		r.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer { return sent }
		r.graph.seeBody = func(_ envelope.QueueID, b []byte) { arrived = append(arrived, string(b)) }
		box, from := addr(t, "box@contoso.com"), addr(t, "erp@contoso.com")
		id := r.from(from, clientHeader)
		r.start()
		r.wait(5 * time.Second)
		bounce := func(to string, probable bool) {
			e := spool.Event{
				ID: id, At: time.Now(), Kind: spool.EventBounced, Recipient: addr(t, to),
				Status: reply.Enhanced{5, 1, 10}, Text: "550 no such user",
				Remote: "mx.example.net", Origin: box, Probable: probable,
			}
			if _, err := r.store.Bounced(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			r.ReportBounces()
			r.wait(5 * time.Second)
		}
		bounce("maybe@example.net", true)
		bounce("one@example.net", false)
		bounce("one@example.net", false)
		got := r.store.reports()
		if len(got) != 1 || got[0].ReportOf != id || got[0].ReportBounces != 1 || got[0].State != spool.Sent {
			t.Errorf("the reports are %+v", got)
		}
		if text := arrived[len(arrived)-1]; !strings.Contains(text, "mx.example.net said: 550 no such user") ||
			!strings.Contains(text, "Not_delivered") && !strings.Contains(text, "Not delivered") {
			t.Errorf("the report is\n%s", text)
		}
		bounce("two@example.net", false)
		if got := r.store.reports(); len(got) != 2 {
			t.Errorf("two bounces: %d reports", len(got))
		}
		r.stop()
	})
}

// What carries no mail waits for mail, and counts against the same budget.
func TestMailComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		box, n := addr(t, "box@contoso.com"), 0
		r.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer { return sent }
		r.start()
		for r.Aside(box) {
			n++
		}
		if !r.Aside(addr(t, "nobodys@elsewhere.com")) {
			t.Error("none in a mailbox that no mail goes through")
		}
		if n < 7000 || n > 8001 {
			t.Errorf("%d requests beside mail in one window; 8,000 of 10,000 are for them", n)
		}
		r.wait(11 * time.Minute)
		if !r.Aside(box) {
			t.Error("none after the window")
		}
		busy := outcome.Answer{
			Outcome: outcome.Retry, Scope: outcome.ScopeMailbox, HTTPStatus: 429, RetryAfter: time.Hour,
		}
		r.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer { return busy }
		r.store.put(box, box)
		r.Wake(box)
		r.wait(5 * time.Second)
		if r.Aside(box) {
			t.Error("a request while Graph asks for time")
		}
		r.stop()
	})
}
