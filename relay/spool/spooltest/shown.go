package spooltest

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// waiting makes messages of two mailboxes, two From addresses and two clients, some of
// which were tried before.
func (f *fixture) waiting() (all []envelope.QueueID) {
	f.Helper()
	for i := range 16 {
		m := f.message([]string{"a@example.org", "b@example.org"}[i&1])
		m.From = addr([]string{"x@example.org", "y@example.org"}[i>>1&1])
		m.Client.Name = []string{"erp", "ups"}[i>>2&1]
		all = append(all, f.put(m).ID)
		if i >= 8 {
			got, err := f.store.Claim(f.ctx, spool.Claim{Mailbox: m.Mailbox, Now: f.clock, Probe: true})
			f.must(err)
			f.must(f.settle(got[0], spool.Deferred))
		}
	}
	return all
}

// shown holds records, filters and counts against one another, under holds of each scope.
func shown(_ *testing.T, f *fixture) {
	all := f.waiting()
	a := addr("a@example.org")
	for _, c := range []struct {
		hold   spool.Hold
		paused int
	}{
		{spool.Hold{Key: "mailbox:a@example.org", Mailbox: a}, 8},
		{spool.Hold{Key: "mailbox:c@example.org", Mailbox: addr("c@example.org")}, 0},
		{spool.Hold{Key: "identity:contoso", Identity: "contoso", Mailboxes: []envelope.Address{a}}, 8},
		{spool.Hold{Key: "audit:contoso", Identity: "contoso"}, 0}, // all that waits is mail of others
		{spool.Hold{Key: "sendas:a@example.org from x@example.org", Mailbox: a, From: addr("X@example.org")}, 4},
		{spool.Hold{Key: spool.ClientKey(a, "erp"), Mailbox: a, Client: "erp"}, 4},
		{spool.Hold{Key: spool.LargeKey(a, 100), Mailbox: a, Above: 100}, 0},
		{spool.Hold{Key: spool.LargeKey(a, 1), Mailbox: a, Above: 1}, 8},
	} {
		c.hold.Text, c.hold.Since = "why", f.clock
		f.must(f.store.SetHold(f.ctx, c.hold))
		f.wantShown(c.hold.Key, all, c.paused)
		f.must(f.store.EndHold(f.ctx, c.hold.Key, f.clock))
	}
	f.wantShown("no hold", all, 0)
	// The widest hold is named, and what two holds stop counts once.
	for _, h := range []spool.Hold{
		{Key: spool.ClientKey(a, "erp"), Mailbox: a, Client: "erp", Since: f.clock},
		{Key: "sendas:a@example.org from x@example.org", Mailbox: a, From: addr("x@example.org"), Since: f.clock},
	} {
		f.must(f.store.SetHold(f.ctx, h))
	}
	f.wantShown("two narrow holds", all, 6)
	f.must(f.store.SetHold(f.ctx, spool.Hold{Key: "mailbox:a@example.org", Mailbox: a, Text: "why", Since: f.clock}))
	f.wantShown("three holds", all, 8)
	if by := f.wantState(all[0], spool.Paused).PausedBy; by.Key != "mailbox:a@example.org" || by.Text != "why" {
		f.Errorf("paused by %+v, want the hold of the whole mailbox", by)
	}
}

// wantShown counts the states of the records, and expects the same of lanes, stats and filters.
func (f *fixture) wantShown(name string, all []envelope.QueueID, paused int) {
	f.Helper()
	by := map[spool.State][]envelope.QueueID{}
	for _, id := range all {
		r := f.get(id)
		if (r.State == spool.Paused) != (r.PausedBy != nil) || r.State == spool.Deferred && r.Attempts == 0 ||
			r.State == spool.Queued && r.Attempts > 0 {
			f.Errorf("%s: %s after %d attempts, paused by %+v", name, r.State, r.Attempts, r.PausedBy)
		}
		by[r.State] = append(by[r.State], id)
	}
	if len(by[spool.Paused]) != paused {
		f.Errorf("%s: %d are paused, want %d", name, len(by[spool.Paused]), paused)
	}
	for _, state := range spool.Waiting() {
		for _, filter := range []spool.Filter{
			{States: []spool.State{state}}, {States: []spool.State{state}, Recipient: addr("one@example.net")},
		} {
			if got := f.list(filter); !slices.Equal(got, by[state]) {
				f.Errorf("%s: %+v lists %v, want %v", name, filter, got, by[state])
			}
		}
	}
	stats, err := f.store.Stats(f.ctx)
	f.must(err)
	lanes, err := f.store.Lanes(f.ctx)
	f.must(err)
	var sum, want spool.Stats
	for _, l := range lanes {
		sum.Add(l)
		if l.Waiting() != len(all)/2 || l.Next.After(f.clock.Add(time.Minute)) {
			f.Errorf("%s: lane %+v", name, l)
		}
	}
	want.Queued, want.Deferred, want.Paused = len(by[spool.Queued]), len(by[spool.Deferred]), len(by[spool.Paused])
	if stats.Bytes = 0; !reflect.DeepEqual(stats, want) || !reflect.DeepEqual(sum, want) {
		f.Errorf("%s: stats %+v, lanes %+v, want %+v", name, stats, sum, want)
	}
}
