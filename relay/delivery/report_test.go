package delivery

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gomessage "github.com/emersion/go-message"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/spooltest"
)

var refusal = outcome.Answer{Outcome: outcome.Bounce, HTTPStatus: 400, Status: reply.Enhanced{5, 1, 3},
	Text: "a recipient address is not valid", Advice: "correct the recipients"}

func TestAddressees(t *testing.T) {
	sender, admin := addr(t, "erp@contoso.com"), addr(t, "admin@contoso.com")
	both := Reports{ToSender: true, Postmaster: admin}
	from := func(a envelope.Address) spool.Record {
		return spool.Record{Message: spool.Message{Envelope: envelope.Envelope{ReversePath: a}}}
	}
	report := from(sender)
	report.ReportOf = "another"
	never := from(sender)
	never.Envelope.Recipients = []envelope.Address{addr(t, "one@example.net"), addr(t, "two@example.net")}
	some := never
	never.Envelope.Unreported, some.Envelope.Unreported = never.Envelope.Recipients, never.Envelope.Recipients[1:]
	for _, c := range []struct {
		name   string
		rec    spool.Record
		header string
		cfg    Reports
		want   string
	}{
		{"NOTIFY=NEVER for all", never, "", both, "[admin@contoso.com]"},
		{"NOTIFY=NEVER for all, and no postmaster", never, "", Reports{ToSender: true}, "[]"},
		{"NOTIFY=NEVER for one", some, "", both, "[erp@contoso.com admin@contoso.com]"},
		{"both", from(sender), "Subject: x\r\n\r\n", both, "[erp@contoso.com admin@contoso.com]"},
		{"the sender alone", from(sender), "", Reports{ToSender: true}, "[erp@contoso.com]"},
		{"the postmaster alone", from(sender), "", Reports{Postmaster: admin}, "[admin@contoso.com]"},
		{"the postmaster once", from(addr(t, "Admin@contoso.com")), "", both, "[Admin@contoso.com]"},
		{"a null reverse-path", from(envelope.Address{}), "", both, "[]"},
		{"auto-submitted mail", from(sender), "Auto-Submitted: auto-generated\r\n\r\n", both, "[]"},
		{"bulk mail", from(sender), "Precedence: bulk\r\n\r\n", both, "[]"},
		{"a report", report, "", both, "[]"},
		{"a report of somebody else", from(sender), "Content-Type: multipart/report; x=y\r\n\r\n", both, "[]"},
		{"nobody configured", from(sender), "", Reports{}, "[]"},
	} {
		to, why := addressees(c.rec, []byte(c.header), c.cfg)
		if got := fmt.Sprint(to); got != c.want || (len(to) == 0) == (why == "") {
			t.Errorf("%s: %s (%s), want %s", c.name, got, why, c.want)
		}
	}
}

// alarms remembers what fired.
type alarms struct {
	mu  sync.Mutex
	on  map[string]string
	log []string
}

func (a *alarms) raise(key, text string, firing bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.on == nil {
		a.on = map[string]string{}
	}
	a.log = append(a.log, fmt.Sprint(key, " ", firing))
	if delete(a.on, key); firing {
		a.on[key] = text
	}
}

func (a *alarms) text(key string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.on[key]
}

// reporting makes a rig report as its configuration says.
func (r *rig) reporting(change ...func(*Reports)) *alarms {
	cfg := Reports{ToSender: true, Postmaster: addr(r.t, "admin@contoso.com"),
		From:    addr(r.t, "notifications@contoso.com"),
		Mailbox: addr(r.t, "notifications@contoso.com"), Hostname: "relay.test"}
	for _, c := range change {
		c(&cfg)
	}
	a := &alarms{}
	r.cfg.Reports, r.cfg.Alarm = func() Reports { return cfg }, a.raise
	return a
}

const clientHeader = "From: box@contoso.com\r\nTo: one@example.net\r\nSubject: x\r\n\r\n"

// from commits a message that a client sent with this header.
func (r *rig) from(mailbox envelope.Address, header string) envelope.QueueID {
	return r.store.putBody(header+"body", mailbox, mailbox, func(rec *spool.Record) {
		rec.Envelope = envelope.Envelope{ReversePath: mailbox, Recipients: []envelope.Address{addr(r.t,
			"one@example.net")}}
		rec.HeaderSize, rec.Size = int64(len(header)), int64(len(header))+4
	})
}

func TestRefusedIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		r.reporting()
		box := addr(t, "box@contoso.com")
		bad := r.from(box, clientHeader)
		var arrived []byte
		r.graph.answer = func(_ envelope.Address, id envelope.QueueID, _ int) outcome.Answer {
			if id == bad {
				return refusal
			}
			return sent
		}
		r.graph.seeBody = func(id envelope.QueueID, b []byte) {
			if id != bad {
				arrived = b
			}
		}
		r.start()
		r.wait(5 * time.Second)
		r.wantState(bad, spool.Failed)
		got := r.store.reports()
		if len(got) != 1 || got[0].State != spool.Sent || got[0].ReportOf != bad ||
			!got[0].Envelope.ReversePath.IsZero() ||
			fmt.Sprint(got[0].Envelope.Recipients) != "[box@contoso.com admin@contoso.com]" ||
			got[0].Mailbox.String() != "notifications@contoso.com" {
			t.Fatalf("reports: %+v", got)
		}
		e, err := gomessage.Read(bytes.NewReader(arrived))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(e.Body)
		for _, s := range []string{"correct the recipients", "Status: 5.1.3", string(bad), "Subject: x"} {
			if !strings.Contains(string(text), s) {
				t.Errorf("the report that arrived says nothing of %q:\n%s", s, text)
			}
		}
		if e.Header.Get("From") != "Mail relay <notifications@contoso.com>" ||
			int64(bytes.Index(arrived, []byte("\r\n\r\n"))+4) != got[0].HeaderSize {
			t.Errorf("header: %v, size %d", e.Header, got[0].HeaderSize)
		}
		if r.store.get(bad).ReportOwed {
			t.Error("the report is still owed")
		}
		// The operator tries again, and it fails again: no second report.
		if err := r.store.Move(t.Context(), bad, spool.Queued, time.Now(), "again", time.Now()); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Hour)
		r.wantState(bad, spool.Failed)
		if n := len(r.store.reports()); n != 1 {
			t.Errorf("%d reports", n)
		}
		r.stop()
	})
}

// TestReportLeavesOutWhomTheSenderNamed: NOTIFY=NEVER for one of two recipients.
func TestReportLeavesOutWhomTheSenderNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		r.reporting()
		box := addr(t, "box@contoso.com")
		var ids []envelope.QueueID
		for _, quiet := range []string{"two@example.net", "one@example.net two@example.net"} {
			ids = append(ids, r.store.putBody(clientHeader+"body", box, box, func(rec *spool.Record) {
				rec.Envelope = envelope.Envelope{ReversePath: box,
					Recipients: []envelope.Address{addr(t, "one@example.net"), addr(t, "two@example.net")}}
				for _, a := range strings.Fields(quiet) {
					rec.Envelope.Unreported = append(rec.Envelope.Unreported, addr(t, a))
				}
				rec.HeaderSize, rec.Size = int64(len(clientHeader)), int64(len(clientHeader))+4
			}))
			r.store.fail(t, ids[len(ids)-1])
		}
		arrived := map[envelope.QueueID]string{}
		var mu sync.Mutex
		r.graph.seeBody = func(id envelope.QueueID, b []byte) {
			mu.Lock()
			defer mu.Unlock()
			arrived[id] = string(b)
		}
		r.start()
		r.wait(time.Minute)
		for i, rec := range r.store.reports() {
			text := arrived[rec.ID]
			toAdmin := fmt.Sprint(rec.Envelope.Recipients) == "[admin@contoso.com]"
			if all := strings.Contains(text, "rfc822; two@example.net"); toAdmin != (i == 1) || all != (i == 1) ||
				!strings.Contains(text, "rfc822; one@example.net") {
				t.Errorf("report %d for %v:\n%s", i, rec.Envelope.Recipients, text)
			}
		}
		if n := len(r.store.reports()); n != len(ids) {
			t.Errorf("%d reports", n)
		}
		r.stop()
	})
}

// TestReportSurvivesCrash: what is owed when the service starts is reported.
func TestReportSurvivesCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		r.reporting()
		var ids []envelope.QueueID
		for range 3 * reportBatch {
			id := r.from(addr(t, "box@contoso.com"), clientHeader)
			r.store.fail(t, id)
			ids = append(ids, id)
		}
		r.start()
		r.wait(time.Hour)
		got := r.store.reports()
		if len(got) != len(ids) {
			t.Fatalf("%d reports for %d messages", len(got), len(ids))
		}
		for i, rec := range got {
			if rec.ReportOf != ids[i] || rec.State != spool.Sent {
				t.Errorf("report %d is of %s (%s), want %s", i, rec.ReportOf, rec.State, ids[i])
			}
		}
		r.stop()
	})
}

// TestReportWaitsForStore: a store that takes nothing raises an alarm, and the
// report is made when it does.
func TestReportWaitsForStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		a := r.reporting()
		bad := r.from(addr(t, "box@contoso.com"), clientHeader)
		r.graph.answer = func(_ envelope.Address, id envelope.QueueID, _ int) outcome.Answer {
			if id == bad {
				return refusal
			}
			return sent
		}
		r.store.failIf(func(op string, _ envelope.QueueID) error {
			if op == "begin" {
				return spool.ErrFull
			}
			return nil
		})
		r.start()
		r.wait(10 * time.Minute)
		if a.text(reportAlarm) == "" || len(r.store.reports()) != 0 || !r.store.get(bad).ReportOwed {
			t.Errorf("alarm %q, reports %v", a.text(reportAlarm), r.store.reports())
		}
		r.store.failIf(nil)
		r.wait(2 * time.Minute)
		if a.text(reportAlarm) != "" || len(r.store.reports()) != 1 {
			t.Errorf("after the store recovered: alarm %q, reports %v", a.text(reportAlarm), r.store.reports())
		}
		r.stop()
	})
}

// TestReportPassesTheStuck: messages that cannot be read keep no other report
// and no warning back; they are visible, and reported when they can be read.
func TestReportPassesTheStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		a := r.reporting(func(c *Reports) { c.DelayWarning = 4 * time.Hour })
		box, slow := addr(t, "box@contoso.com"), addr(t, "slow@contoso.com")
		r.graph.answer = func(m envelope.Address, _ envelope.QueueID, _ int) outcome.Answer {
			if m.Equal(slow) {
				return outcome.Answer{Outcome: outcome.Retry, HTTPStatus: 503, Status: reply.Enhanced{4, 3, 2},
					Text: "the service is unavailable"}
			}
			return sent
		}
		bad := map[envelope.QueueID]bool{}
		var ids []envelope.QueueID
		fail := func(unreadable bool) {
			id := r.from(box, clientHeader)
			r.store.fail(t, id)
			ids, bad[id] = append(ids, id), unreadable
		}
		for range reportBatch + 5 {
			fail(true)
		}
		for range 3 * reportBatch {
			fail(false)
		}
		bad[r.from(slow, clientHeader)] = true // the oldest, of which the postmaster would be told
		late := r.from(slow, clientHeader)
		r.store.failIf(func(op string, id envelope.QueueID) error {
			if op == "open" && bad[id] {
				return errDisk
			}
			return nil
		})
		r.start()
		r.wait(10 * time.Minute)
		if got := len(r.store.reports()); got != 3*reportBatch {
			t.Errorf("%d reports", got)
		}
		if text := a.text(reportAlarm); !strings.Contains(text, string(ids[0])) || !strings.Contains(text, "24 more") ||
			!strings.Contains(text, "check the disk") {
			t.Errorf("the alarm says %q", text)
		}
		r.wait(4 * time.Hour)
		if got := r.store.reports(); len(got) != 3*reportBatch+1 || got[len(got)-1].ReportOf != late {
			t.Errorf("%d reports; no warning of the message that can be read", len(got))
		}
		r.store.Inject(func(*spooltest.Faults) { clear(bad) })
		r.wait(2 * time.Minute)
		reported := map[envelope.QueueID]int{}
		for _, rec := range r.store.reports() {
			reported[rec.ReportOf]++
		}
		for _, id := range ids {
			if reported[id] != 1 {
				t.Errorf("message %s has %d reports", id, reported[id])
			}
		}
		if text := a.text(reportAlarm); text != "" {
			t.Errorf("the alarm goes on: %s", text)
		}
		r.stop()
	})
}

// TestReportNotNeeded: the alarm of a report that could not be made ends when it
// is not owed any more, though none is sent.
func TestReportNotNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		a := r.reporting()
		bad := r.from(addr(t, "box@contoso.com"), clientHeader)
		r.graph.answer = func(_ envelope.Address, _ envelope.QueueID, n int) outcome.Answer {
			if n == 0 {
				return refusal
			}
			return sent
		}
		r.store.failIf(func(op string, _ envelope.QueueID) error {
			if op == "begin" {
				return spool.ErrFull
			}
			return nil
		})
		r.start()
		r.wait(10 * time.Minute)
		if a.text(reportAlarm) == "" {
			t.Error("no alarm")
		}
		r.again(bad, "retry")
		r.wait(5 * time.Minute)
		r.wantState(bad, spool.Sent)
		if a.text(reportAlarm) != "" {
			t.Errorf("the alarm goes on: %s", a.text(reportAlarm))
		}
		r.stop()
	})
}

// TestReportThatFails stays failed and visible, raises an alarm, and is not reported.
func TestReportThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		a := r.reporting()
		bad := r.from(addr(t, "box@contoso.com"), clientHeader)
		fails := true
		r.graph.answer = func(_ envelope.Address, id envelope.QueueID, _ int) outcome.Answer {
			if id == bad || fails {
				return refusal
			}
			return sent
		}
		r.start()
		r.wait(time.Hour)
		got := r.store.reports()
		if len(got) != 1 || got[0].State != spool.Failed || got[0].ReportOwed || got[0].BodyGone {
			t.Fatalf("reports: %+v", got)
		}
		if text := a.text(reportAlarm); !strings.Contains(text, string(got[0].ID)) || !strings.Contains(text, "queue") {
			t.Errorf("the alarm says %q", text)
		}
		r.graph.set(func() { fails = false })
		second := r.from(addr(t, "box@contoso.com"), clientHeader)
		r.store.fail(t, second)
		r.wait(2 * time.Minute)
		if a.text(reportAlarm) != "" {
			t.Error("the alarm goes on though reports are sent again")
		}
		r.again(got[0].ID, "retry")
		r.wait(2 * time.Minute)
		r.wantState(got[0].ID, spool.Sent)
		r.stop()
	})
}

func TestNoReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		r.reporting()
		r.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer { return refusal }
		box := addr(t, "box@contoso.com")
		auto := r.from(box, "Auto-Submitted: auto-generated\r\n\r\n")
		null := r.from(box, clientHeader)
		r.store.Edit(null, func(m *spool.Record) { m.Envelope.ReversePath = envelope.Address{} })
		r.start()
		r.wait(time.Hour)
		if got := r.store.reports(); len(got) != 0 {
			t.Errorf("reports: %+v", got)
		}
		for _, id := range []envelope.QueueID{auto, null} {
			if rec := r.store.get(id); rec.State != spool.Failed || rec.ReportOwed {
				t.Errorf("%s is %s, report owed: %v", id, rec.State, rec.ReportOwed)
			}
		}
		if n := r.log.count("no report"); n != 2 {
			t.Errorf("%d log lines tell of no report", n)
		}
		r.stop()
	})
}

// TestWrongSender: a From that Graph refuses fails where the client chose it,
// and is held where the configuration did.
func TestWrongSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		box := addr(t, "box@contoso.com")
		r.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer {
			return outcome.Answer{Outcome: outcome.Hold, Scope: outcome.ScopeSendAs, HTTPStatus: 403,
				Status: reply.Enhanced{4, 7, 1}, Text: "may not send as"}
		}
		chosen := r.store.put(box, addr(t, "chosen@contoso.com"),
			func(rec *spool.Record) { rec.ConfiguredFrom = false })
		fixed := r.store.put(box, addr(t, "fixed@contoso.com"))
		r.start()
		r.wait(10 * time.Second)
		if rec := r.store.get(chosen); rec.State != spool.Failed || rec.LastStatus != (reply.Enhanced{5, 7, 1}) {
			t.Errorf("chosen by the client: %s %v", rec.State, rec.LastStatus)
		}
		r.wantState(fixed, spool.Paused)
		holds := r.Status().Holds
		if len(holds) != 1 || holds[0].Key != "sendas:box@contoso.com from fixed@contoso.com" {
			t.Errorf("holds: %+v", holds)
		}
		r.stop()
	})
}

// TestReportNotKept: an error of the commit leaves the report owed.
func TestReportNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		r.reporting()
		bad := r.from(addr(t, "box@contoso.com"), clientHeader)
		r.store.fail(t, bad)
		tries := 0
		r.store.failIf(func(op string, _ envelope.QueueID) error {
			if op == "commit" {
				if tries++; tries < 3 {
					return errors.New("input/output error")
				}
			}
			return nil
		})
		r.start()
		r.wait(5 * time.Minute)
		if got := r.store.reports(); len(got) != 1 || got[0].State != spool.Sent {
			t.Errorf("reports: %+v", got)
		}
		r.stop()
	})
}
