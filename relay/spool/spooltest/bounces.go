package spooltest

import (
	"slices"
	"testing"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// sent is a message to two recipients that was sent just now.
func (f *fixture) sent(mailbox string) spool.Message {
	f.Helper()
	m := f.message(mailbox)
	m.Envelope.Recipients = []envelope.Address{f.addr("one@example.net"), f.addr("two@example.net")}
	f.must(store(f.ctx, f.store, m, []byte("A: b\r\n\r\nbody\r\n")))
	claimed := f.claim(mailbox, 1)
	f.clock = f.clock.Add(1e9)
	f.must(f.settle(claimed[0], spool.Sent))
	return m
}

func (f *fixture) bounced(m spool.Message, kind spool.EventKind, to string, probable bool) bool {
	f.Helper()
	e := spool.Event{
		ID: m.ID, At: f.clock, Kind: kind, Status: reply.Enhanced{5, 1, 10}, Text: "550 no such user",
		Remote: "mx.example.net", Origin: m.Mailbox, Probable: probable,
	}
	if to != "" {
		e.Recipient = f.addr(to)
	}
	added, err := f.store.Bounced(f.ctx, e)
	f.must(err)
	return added
}

// bounces are rows of the history, one for each recipient and kind, and change nothing else.
func bounces(_ *testing.T, f *fixture) {
	m, other := f.sent("box@example.org"), f.sent("box@example.org")
	if !f.bounced(m, spool.EventDelayed, "one@example.net", false) ||
		!f.bounced(m, spool.EventBounced, "one@example.net", false) ||
		!f.bounced(m, spool.EventBounced, "", true) {
		f.Error("a bounce was known before it came")
	}
	if f.bounced(m, spool.EventBounced, "one@example.net", false) || f.bounced(m, spool.EventBounced, "", false) {
		f.Error("a bounce counts twice")
	}
	r := f.wantState(m.ID, spool.Sent)
	if r.Bounces != 2 || !r.BodyGone {
		f.Errorf("after two bounces: %+v", r)
	}
	history, err := f.store.History(f.ctx, m.ID)
	f.must(err)
	last := history[len(history)-2]
	if last.Kind != spool.EventBounced || last.Recipient.String() != "one@example.net" ||
		last.Remote != "mx.example.net" ||
		!last.Origin.Equal(m.Mailbox) || last.Status != (reply.Enhanced{5, 1, 10}) || last.Text != "550 no such user" {
		f.Errorf("the history has %+v", last)
	}
	fates := spool.Fates(m, history)
	if len(fates) != 3 || fates[0].Kind != spool.EventBounced || fates[1].Kind != spool.EventSent ||
		fates[1].Recipient.String() != "two@example.net" || !fates[2].Recipient.IsZero() || !fates[2].Probable {
		f.Errorf("the fates are %+v", fates)
	}
	failed := f.failed("third@example.org")
	list, err := f.store.List(f.ctx, spool.Filter{Undelivered: true})
	f.must(err)
	if got := ids(list); !slices.Equal(got, []envelope.QueueID{m.ID, failed}) {
		f.Errorf("undelivered are %v, want %v and %v", got, m.ID, failed)
	}
	if _, err := f.store.Bounced(f.ctx, spool.Event{ID: "0000000000000000", Kind: spool.EventBounced}); err == nil {
		f.Error("a bounce of a message that does not exist was kept")
	}
	f.wantState(other.ID, spool.Sent)
}

// bouncesReported: each certain bounce of a message that was sent is reported once.
func bouncesReported(_ *testing.T, f *fixture) {
	m := f.sent("box@example.org")
	f.bounced(m, spool.EventDelayed, "one@example.net", false)
	f.bounced(m, spool.EventBounced, "two@example.net", true)
	f.wantOwed()
	f.bounced(m, spool.EventBounced, "one@example.net", false)
	f.wantOwed(m.ID)
	f.bounced(m, spool.EventBounced, "", false)
	report := func() (spool.Message, error) {
		r := f.message("reports@example.org")
		r.Envelope.ReversePath, r.ReportOf, r.ReportBounces = envelope.Address{}, m.ID, 1
		return r, store(f.ctx, f.store, r, []byte("A: b\r\n\r\nbody\r\n"))
	}
	first, err := report()
	f.must(err)
	f.wantOwed(m.ID) // the second bounce came before the commit
	if got, err := f.store.Get(f.ctx, m.ID); err != nil || got.BouncesReported != 1 {
		f.Errorf("one report: %+v, %v", got, err)
	}
	_, err = report()
	f.must(err)
	f.wantOwed()
	if _, err := report(); err == nil {
		f.Error("a report that nobody owes was kept")
	}
	f.clock = f.clock.Add(1e9)
	got := f.claim("reports@example.org", 1)
	f.must(f.settle(got[0], spool.Sent))
	if got[0].ID != first.ID || got[0].ReportBounces != 1 {
		f.Errorf("the report is %+v", got[0])
	}
	f.bounced(got[0].Message, spool.EventBounced, "", false) // a report that bounces is not reported
	f.wantOwed()

	next := f.sent("box@example.org")
	f.bounced(next, spool.EventBounced, "one@example.net", false)
	f.must(f.store.Reported(f.ctx, next.ID))
	f.wantOwed()
	f.bounced(next, spool.EventBounced, "two@example.net", false)
	f.wantOwed(next.ID)
	if got, err := f.store.Get(f.ctx, next.ID); err != nil || got.BouncesReported != 1 || got.Bounces != 2 {
		f.Errorf("two bounces: %+v, %v", got, err)
	}
}

func notes(_ *testing.T, f *fixture) {
	for _, want := range []string{"", "one", "two"} {
		if want != "" {
			f.must(f.store.Note(f.ctx, "a@b", want))
		}
		if got, err := f.store.Noted(f.ctx, "a@b"); err != nil || got != want {
			f.Errorf("noted %q, %v; want %q", got, err, want)
		}
	}
	if got, err := f.store.Noted(f.ctx, "other"); err != nil || got != "" {
		f.Errorf("another key has %q, %v", got, err)
	}
}

func (f *fixture) addr(s string) envelope.Address {
	f.Helper()
	a, err := envelope.ParseAddress(s)
	f.must(err)
	return a
}
