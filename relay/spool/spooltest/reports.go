package spooltest

import (
	"slices"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

func (f *fixture) owed() []envelope.QueueID {
	f.Helper()
	records, err := f.store.Owed(f.ctx, 10)
	f.must(err)
	for _, r := range records {
		if !r.ReportOwed {
			f.Errorf("%s is listed as owing a report, and its record says it does not", r.ID)
		}
	}
	return ids(records)
}

func (f *fixture) wantOwed(want ...envelope.QueueID) {
	f.Helper()
	if got := f.owed(); !slices.Equal(got, want) {
		f.Errorf("reports owed for %v, want %v", got, want)
	}
}

// failed is a message that failed just now.
func (f *fixture) failed(mailbox string) envelope.QueueID {
	f.Helper()
	r := f.active(mailbox)
	f.clock = f.clock.Add(time.Second)
	f.must(f.settle(r, spool.Failed))
	return r.ID
}

// reportsOwed follows the mark through the states: a message that fails owes a
// report, one that is queued again does not, and one that was reported never
// will.
func reportsOwed(_ *testing.T, f *fixture) {
	first := f.accept("box@example.org").ID
	second := f.failed("other@example.org")
	f.clock = f.clock.Add(time.Second)
	f.must(f.store.Move(f.ctx, first, spool.Failed, time.Time{}, "held too long", f.clock))
	f.wantOwed(second, first) // in the order in which they failed

	one, err := f.store.Owed(f.ctx, 1)
	f.must(err)
	if got := ids(one); !slices.Equal(got, []envelope.QueueID{second}) {
		f.Errorf("one owed report: %v, want %v", got, second)
	}
	f.must(f.store.Move(f.ctx, first, spool.Queued, f.clock, "try again", f.clock))
	f.wantOwed(second)
	for range 2 { // a second call is not an error
		f.must(f.store.Reported(f.ctx, second))
	}
	f.wantOwed()
	f.must(f.store.Move(f.ctx, second, spool.Queued, f.clock, "try again", f.clock))
	again := f.claim("other@example.org", 1)
	f.must(f.settle(again[0], spool.Failed))
	f.wantOwed() // one report for a message, however often it fails
}

func (f *fixture) report(of envelope.QueueID, delay bool) (spool.Message, error) {
	m := f.message("reports@example.org")
	m.Envelope.ReversePath, m.ReportOf, m.ReportDelay = envelope.Address{}, of, delay
	return m, store(f.ctx, f.store, m, []byte("A: b\r\n\r\nbody\r\n"))
}

// reportsCommit wants the report stored and no longer owed in one commit, and no
// second report.
func reportsCommit(_ *testing.T, f *fixture) {
	id := f.failed("box@example.org")
	m, err := f.report(id, false)
	f.must(err)
	f.wantOwed()
	if r := f.wantState(m.ID, spool.Queued); r.ReportOf != id || r.ReportDelay {
		f.Errorf("stored report: %+v", r)
	}
	second, err := f.report(id, false)
	f.wants(err, spool.ErrState)
	_, err = f.store.Get(f.ctx, second.ID)
	f.wants(err, spool.ErrNotFound)
	_, err = f.report(envelope.NewQueueID(f.clock), false)
	f.wants(err, spool.ErrState)
	_, err = f.report(f.accept("box@example.org").ID, false)
	f.wants(err, spool.ErrState)
}

func delayWarning(_ *testing.T, f *fixture) {
	id := f.accept("box@example.org").ID
	_, err := f.report(id, true)
	f.must(err)
	if !f.get(id).DelayWarned {
		f.Error("the message does not know of its warning")
	}
	_, err = f.report(id, true)
	f.wants(err, spool.ErrState)
	r := f.claim("box@example.org", 1)[0]
	f.must(f.settle(r, spool.Failed))
	f.wantOwed(id) // a warning is not a report
	_, err = f.report(f.failed("box@example.org"), true)
	f.wants(err, spool.ErrState)
}

// sentRecipients counts the recipients by mailbox and hour.
func sentRecipients(_ *testing.T, f *fixture) {
	began := f.clock
	for _, c := range []struct {
		mailbox string
		state   spool.State
		after   time.Duration
	}{
		{"Box@example.org", spool.Sent, 0}, {"box@example.org", spool.Sent, 10 * time.Minute},
		{"box@example.org", spool.Failed, 0},
		{"box@example.org", spool.Sent, time.Hour}, {"other@example.org", spool.Sent, 0},
	} {
		f.clock = f.clock.Add(c.after)
		f.must(f.settle(f.active(c.mailbox), c.state))
	}
	f.accept("box@example.org")
	got, err := f.store.SentRecipients(f.ctx, began, f.clock.Add(time.Hour))
	f.must(err)
	sums := map[string]int{}
	for _, u := range got {
		sums[u.Mailbox.String()+u.Hour.Format(" 15:04")] += u.Recipients
	}
	want := map[string]int{"box@example.org 12:00": 4, "box@example.org 13:00": 2, "other@example.org 13:00": 2}
	if len(sums) != len(want) {
		f.Errorf("counted %v, want %v", sums, want)
	}
	for key, n := range want {
		if sums[key] != n {
			f.Errorf("counted %v, want %v", sums, want)
		}
	}
	got, err = f.store.SentRecipients(f.ctx, began, began.Add(30*time.Minute))
	f.must(err)
	if len(got) != 1 || got[0].Recipients != 4 || !got[0].Hour.Equal(began.Truncate(time.Hour)) {
		f.Errorf("counted %v in the first half hour, want 4", got)
	}
	got, err = f.store.SentRecipients(f.ctx, f.clock.Add(time.Hour), f.clock.Add(2*time.Hour))
	f.must(err)
	if len(got) != 0 {
		f.Errorf("counted %v of the future", got)
	}
}
