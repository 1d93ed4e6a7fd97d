package spooltest

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// mixed makes messages that differ in everything a filter can ask for, in
// several states.
func (f *fixture) mixed() []spool.Message {
	f.Helper()
	var all []spool.Message
	for i := range 24 {
		m := f.message(fmt.Sprintf("box%d@example.org", i%3))
		m.From = addr(fmt.Sprintf("from%d@example.org", i%4))
		m.Envelope.ReversePath = addr(fmt.Sprintf("bounce%d@example.org", i%5))
		m.Envelope.Recipients = []envelope.Address{
			addr("all@example.net"),
			addr(fmt.Sprintf("to%d@example.net", i%6)),
			addr("all@example.net"),
		}
		if i%7 == 0 {
			m.Envelope.ReversePath = envelope.Address{}
		}
		m.Client = envelope.Client{
			Name: fmt.Sprintf("client%d", i%2),
			Addr: netip.MustParseAddrPort(fmt.Sprintf("192.0.2.%d:2525", i%3)),
		}
		m.MessageID = fmt.Sprintf("<%d@example.org>", i%8)
		m.Subject = fmt.Sprintf("Überweisung %d", i%9)
		all = append(all, f.put(m))
		switch i % 4 {
		case 1:
			f.must(f.store.Move(f.ctx, m.ID, spool.Held, time.Time{}, "test", f.clock))
		case 2:
			f.must(f.store.Move(f.ctx, m.ID, spool.Sent, time.Time{}, "test", f.clock))
		case 3:
			f.must(f.store.Move(f.ctx, m.ID, spool.Failed, time.Time{}, "test", f.clock))
		}
	}
	return all
}

// search asks for each thing alone, with states, and with another thing, and
// expects what Matches says of each message.
func search(_ *testing.T, f *fixture) {
	f.mixed()
	asked := []spool.Filter{
		{}, {Mailbox: addr("BOX1@example.org")}, {Client: "client1"}, {ClientIP: netip.MustParseAddr("192.0.2.2")},
		{Sender: addr("From3@example.org")}, {Sender: addr("bounce2@example.org")},
		{ReversePath: addr("bounce2@example.org")},
		{Recipient: addr("ALL@example.net")}, {Recipient: addr("to4@example.net")}, {MessageID: "<5@example.org>"},
		{Recipient: addr("to4@example.net"), Client: "client0"},
		{Recipient: addr("to4@example.net"), Client: "client1"},
		{Mailbox: addr("box0@example.org"), Sender: addr("from0@example.org"), Recipient: addr("all@example.net")},
		{Recipient: addr("nobody@example.net")}, {ReversePath: addr("from1@example.org")},
		{Mailbox: addr("from1@example.org")},
		{Subject: "überWEISUNG 7"}, {Subject: "weisung", Client: "client1"}, {Subject: "Rechnung"},
		{Find: "to4@EXAMPLE.net"}, {Find: "from3@example.org"}, {Find: "5@example.org"}, {Find: "<5@example.org>"},
		{Find: "192.0.2.2"}, {Find: "o4@example"}, {Find: "@EXAMPLE.net"}, {Find: "client1"}, {Find: " überweisung 3"},
		{Find: "100%"}, {Find: "a*l"}, {Find: "[a]"}, {Find: "ÜBERWEISUNG 3"},
		{Find: "nobody@example.net"}, {Part: "To4@"}, {Part: "ALL@", Client: "client0"},
		{RecipientPart: "to3"}, {SenderPart: "bounce1@"}, {SenderPart: "from1", RecipientPart: "@example.net"},
		{RecipientPart: "from1"}, {SenderPart: "to1"}, {Part: "to4", Recipient: addr("to4@example.net")},
		{MessageID: "<99@example.org>"}, {Client: "client"}, {Recipient: addr("from1@example.org")},
	}
	states := [][]spool.State{
		nil, {spool.Queued}, {spool.Held, spool.Queued}, {spool.Sent}, {spool.Failed, spool.Sent}, {spool.Damaged},
	}
	for _, filter := range asked {
		for _, filter.States = range states {
			for _, filter.Newest = range []bool{false, true} {
				if got, want := f.list(filter), f.matching(filter); !slices.Equal(got, want) {
					f.Errorf("%+v:\ngot  %v\nwant %v", filter, got, want)
				}
			}
		}
	}
}

// matching is what List must answer, by looking at every message.
func (f *fixture) matching(filter spool.Filter) []envelope.QueueID {
	f.Helper()
	all, err := f.store.List(f.ctx, spool.Filter{Limit: 1000})
	f.must(err)
	var want []envelope.QueueID
	for _, r := range all {
		if filter.Matches(r) {
			want = append(want, r.ID)
		}
	}
	if filter.Newest {
		slices.Reverse(want)
	}
	return want
}

func searchPages(_ *testing.T, f *fixture) {
	f.mixed()
	for _, filter := range []spool.Filter{
		{}, {States: []spool.State{spool.Queued, spool.Held}}, {States: []spool.State{spool.Sent, spool.Failed}},
		{Recipient: addr("all@example.net")},
		{Recipient: addr("all@example.net"), States: []spool.State{spool.Queued, spool.Held}},
		{Mailbox: addr("box1@example.org")}, {Mailbox: addr("box1@example.org"), States: []spool.State{spool.Queued}},
	} {
		for _, filter.Newest = range []bool{false, true} {
			want, got := f.matching(filter), []envelope.QueueID{}
			for filter.Limit = 5; ; filter.After = got[len(got)-1] {
				page := f.list(filter)
				if got = append(got, page...); len(page) < filter.Limit || len(got) > len(want) {
					break
				}
			}
			if !slices.Equal(got, want) {
				f.Errorf("%+v:\ngot  %v\nwant %v", filter, got, want)
			}
			filter.After = ""
		}
	}
}

// searchTimes accepts a message every ten minutes.
func searchTimes(_ *testing.T, f *fixture) {
	begin := f.clock
	for range 30 {
		f.accept("box@example.org")
		f.clock = f.clock.Add(10 * time.Minute)
	}
	sent := f.claim("box@example.org", 1)[0]
	f.must(f.settle(sent, spool.Sent))
	for _, filter := range []spool.Filter{
		{Since: begin.Add(50 * time.Minute)}, {Until: begin.Add(50 * time.Minute)}, {Until: begin}, {Since: f.clock},
		{Since: begin.Add(45 * time.Minute), Until: begin.Add(75 * time.Minute)}, {Since: begin, Until: f.clock},
	} {
		for _, ask := range []spool.Filter{
			{}, {Recipient: addr("one@example.net")}, {States: []spool.State{spool.Queued}},
		} {
			ask.Since, ask.Until = filter.Since, filter.Until
			if got, want := f.list(ask), f.matching(ask); !slices.Equal(got, want) {
				f.Errorf("%+v:\ngot  %v\nwant %v", ask, got, want)
			}
		}
	}
	between := spool.Filter{Since: begin.Add(10 * time.Minute), Until: begin.Add(30 * time.Minute)}
	if got := f.list(between); len(got) != 2 {
		f.Errorf("between 10 and 30 minutes: %d messages, want 2: Since is included, Until is not", len(got))
	}
}

func byMessageID(_ *testing.T, f *fixture) {
	var same []spool.Message
	for range 3 {
		m := f.message("box@example.org")
		m.MessageID = "<same@example.org>"
		same = append(same, f.put(m))
		f.accept("box@example.org")
	}
	nameless := f.message("box@example.org")
	nameless.MessageID = ""
	f.put(nameless)
	got, err := f.store.ByMessageID(f.ctx, "<same@example.org>", 2)
	f.must(err)
	if want := idsOf(same[2], same[1]); !slices.Equal(ids(got), want) {
		f.Errorf("found %v, want %v", ids(got), want)
	}
	for _, none := range []string{"", "<other@example.org>", "same@example.org"} {
		if got, err := f.store.ByMessageID(f.ctx, none, 10); err != nil || len(got) != 0 {
			f.Errorf("%q: %v, %v, want none", none, ids(got), err)
		}
	}
	f.must(f.store.Delete(f.ctx, same[0].ID, "test", f.clock))
	f.clock = f.clock.Add(time.Hour)
	f.must(f.store.Sweep(f.ctx, f.clock, time.Minute, time.Minute))
	got, err = f.store.ByMessageID(f.ctx, "<same@example.org>", 10)
	if err != nil || !slices.Equal(ids(got), idsOf(same[2], same[1])) {
		f.Errorf("after the sweep: %v, %v", ids(got), err)
	}
}

func deleteMessage(_ *testing.T, f *fixture) {
	for state, m := range f.oneOfEach() {
		id := m[0].ID
		err := f.store.Delete(f.ctx, id, "not wanted", f.clock)
		switch state {
		case spool.Sending, spool.Sent:
			f.wants(err, spool.ErrState)
			f.wantState(id, state)
			continue
		}
		f.must(err)
		f.must(f.store.Delete(f.ctx, id, "again", f.clock)) // no error, and no second event
		r := f.wantState(id, spool.Deleted)
		if !r.BodyGone || !r.FinishedAt.Equal(f.clock) || !r.NextAttempt.IsZero() {
			f.Errorf("%s: deleted %+v", state, r)
		}
		_, err = f.store.Open(f.ctx, id)
		f.wants(err, spool.ErrNotFound)
		events, err := f.store.History(f.ctx, id)
		f.must(err)
		last := events[len(events)-1]
		if last.Kind != spool.EventDeleted || last.Text != "not wanted" || !last.At.Equal(f.clock) {
			f.Errorf("%s: the last event is %+v", state, last)
		}
		f.wants(f.store.Move(f.ctx, id, spool.Queued, f.clock, "back", f.clock), spool.ErrState)
	}
	f.wants(f.store.Delete(f.ctx, envelope.NewQueueID(f.clock), "why", f.clock), spool.ErrNotFound)
	f.wants(f.store.Move(f.ctx, f.accept("box@example.org").ID, spool.Deleted, f.clock, "why", f.clock), spool.ErrState)
	stats, err := f.store.Stats(f.ctx)
	f.must(err)
	stats.Bytes -= int64(8 * len("A: b\r\n\r\nbody\r\n"))
	if stats != (spool.Stats{Queued: 2, Deferred: 1, Sending: 2, Held: 1, Failed: 1, Damaged: 1}) {
		f.Errorf("stats are %+v", stats)
	}
}

// sweepKeepsHistory drops a failed message's body before its history.
func sweepKeepsHistory(_ *testing.T, f *fixture) {
	failed, deleted := f.active("box@example.org"), f.accept("two@example.org")
	f.must(f.settle(failed, spool.Failed))
	f.must(f.store.Delete(f.ctx, deleted.ID, "test", f.clock))
	f.clock = f.clock.Add(10 * 24 * time.Hour)
	f.must(f.store.Sweep(f.ctx, f.clock, 11*24*time.Hour, 9*24*time.Hour))
	if r := f.wantState(failed.ID, spool.Failed); !r.BodyGone {
		f.Error("the body outlived keep_failed")
	} else if r.ReportOwed {
		f.Error("a report of what is gone is still owed")
	}
	if got := f.kinds(failed.ID); len(got) != 3 {
		f.Errorf("history %v", got)
	}
	_, err := f.store.Open(f.ctx, failed.ID)
	f.wants(err, spool.ErrNotFound)
	f.wants(f.store.Move(f.ctx, failed.ID, spool.Queued, f.clock, "its bytes are gone", f.clock), spool.ErrState)
	f.wantState(deleted.ID, spool.Deleted)
	if stats, err := f.store.Stats(f.ctx); err != nil || stats != (spool.Stats{Failed: 1}) {
		f.Errorf("stats are %+v, %v", stats, err)
	}
	f.must(f.store.Sweep(f.ctx, f.clock, 9*24*time.Hour, 9*24*time.Hour))
	for _, id := range []envelope.QueueID{failed.ID, deleted.ID} {
		_, err := f.store.Get(f.ctx, id)
		f.wants(err, spool.ErrNotFound)
	}
	if got := f.list(spool.Filter{Recipient: addr("one@example.net")}); len(got) != 0 {
		f.Errorf("found %v, which were swept", got)
	}
}
