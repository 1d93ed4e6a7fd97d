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

// of stores a message of a client at an address, accepted a second after the last.
func (f *fixture) of(client, at string, change ...func(*spool.Message)) spool.Message {
	f.Helper()
	f.clock = f.clock.Add(time.Second)
	m := f.message("box@example.org")
	m.Client = envelope.Client{Name: client, Addr: netip.AddrPortFrom(netip.MustParseAddr(at), uint16(f.ids))}
	for _, c := range change {
		c(&m)
	}
	return f.put(m)
}

func turn(client, member string, limit int) spool.Quota {
	return spool.Quota{Turn: spool.Turn{Client: client, Member: member}, Limit: limit}
}

func (f *fixture) claimOf(c spool.Claim) []spool.Record {
	f.Helper()
	c.Mailbox, c.Now = addr("box@example.org"), f.clock
	got, err := f.store.Claim(f.ctx, c)
	f.must(err)
	return got
}

// claimTurns: each turn gives as many as its quota says, in the order in which they
// are named, and all together no more than the limit. A port is no other turn.
func claimTurns(_ *testing.T, f *fixture) {
	a1, a2, a3 := f.of("erp", "192.0.2.7"), f.of("erp", "192.0.2.7"), f.of("erp", "192.0.2.7")
	b := f.of("erp", "192.0.2.8")
	c := f.of("ups", "192.0.2.7")
	f.queuedFor(a1, time.Minute)
	for i, tt := range []struct {
		limit int
		turns []spool.Quota
		want  []envelope.QueueID
	}{
		{9, []spool.Quota{turn("ups", "192.0.2.7", 2), turn("erp", "192.0.2.7", 9)}, idsOf(c, a2, a3)},
		{9, []spool.Quota{turn("erp", "192.0.2.7", 1), turn("erp", "192.0.2.8", 0)}, idsOf(a2, b)},
		{2, []spool.Quota{turn("erp", "192.0.2.7", 5), turn("erp", "192.0.2.8", 5)}, idsOf(a2, a3)},
		{9, []spool.Quota{turn("erp", "192.0.2.9", 5), turn("nobody", "192.0.2.7", 5), turn("", "", 5)}, nil},
		{9, nil, idsOf(a2, a3, b, c)},
	} {
		got := f.claimOf(spool.Claim{Limit: tt.limit, Turns: tt.turns})
		if !slices.Equal(ids(got), tt.want) {
			f.Errorf("claim %d: %v, want %v", i, ids(got), tt.want)
		}
		for _, r := range got {
			f.must(f.store.Unclaim(f.ctx, r.ID, r.Attempts, r.Accepted))
		}
	}
}

// claimTurnsProbe: a probe looks at turns in the order in which they are named.
func claimTurnsProbe(_ *testing.T, f *fixture) {
	a, b := f.of("erp", "192.0.2.7"), f.of("ups", "192.0.2.7")
	for _, m := range []spool.Message{a, b} {
		f.queuedFor(m, time.Hour)
	}
	ring := []spool.Quota{turn("none", "", 1), turn("ups", "192.0.2.7", 1), turn("erp", "192.0.2.7", 1)}
	for _, want := range []spool.Message{b, a} {
		got := f.claimOf(spool.Claim{Limit: 1, Probe: true, Turns: ring})
		if !slices.Equal(ids(got), idsOf(want)) {
			f.Fatalf("probed %v, want %v", ids(got), want.ID)
		}
	}
}

// claimTurnAfter: what was due before the position is not looked at.
func claimTurnAfter(_ *testing.T, f *fixture) {
	f.of("erp", "192.0.2.7")
	b, c := f.of("erp", "192.0.2.7"), f.of("erp", "192.0.2.7")
	q := turn("erp", "192.0.2.7", 5)
	q.After = b.Accepted
	except := []envelope.Address{addr("other@example.org")}
	got := f.claimOf(spool.Claim{Limit: 5, Turns: []spool.Quota{q}, ExceptFrom: except})
	if !slices.Equal(ids(got), idsOf(b, c)) {
		f.Errorf("claimed %v, want %v", ids(got), idsOf(b, c))
	}
}

// claimSaysWhenTheRestIsDue: a claim that found all that it may take of a turn says when
// the next of the rest is, due or not; one that found less, when the next will be due.
func claimSaysWhenTheRestIsDue(_ *testing.T, f *fixture) {
	other := func(m *spool.Message) { m.From = addr("b@example.org") }
	first, _ := f.of("erp", "192.0.2.7"), f.of("erp", "192.0.2.7", other)
	later := f.clock.Add(time.Minute)
	f.queuedFor(f.of("erp", "192.0.2.7"), time.Minute)
	f.queuedFor(f.of("ups", "192.0.2.7"), time.Second)
	for i, tt := range []struct {
		limit  int
		except []envelope.Address
		next   time.Time
		back   bool // what was claimed
	}{
		{1, nil, first.Accepted.Add(time.Second), true},
		{2, nil, later.Add(time.Second), true},
		{3, nil, later.Add(time.Second), true},
		{2, []envelope.Address{addr("b@example.org")}, later.Add(time.Second), true},
		{1, []envelope.Address{addr("b@example.org")}, first.Accepted.Add(time.Second), false},
		{1, []envelope.Address{addr("b@example.org")}, later.Add(time.Second), true},
	} {
		turns := []spool.Quota{turn("none", "", 1), turn("erp", "192.0.2.7", tt.limit)}
		got := f.claimOf(spool.Claim{Limit: 5, Turns: turns, ExceptFrom: tt.except})
		if next := turns[1].Next; !turns[0].Next.IsZero() || !next.Equal(tt.next) {
			f.Errorf("claim %d of %d found %d and says %v, want %v", i, tt.limit, len(got), next, tt.next)
		}
		for _, r := range got {
			if tt.back {
				f.must(f.store.Unclaim(f.ctx, r.ID, r.Attempts, r.Accepted))
			}
		}
	}
}

func claimOnlyFrom(_ *testing.T, f *fixture) {
	f.of("erp", "192.0.2.7")
	b := f.of("ups", "192.0.2.8", func(m *spool.Message) { m.From = addr("b@example.org") })
	for _, probe := range []bool{true, false} {
		got := f.claimOf(spool.Claim{Limit: 5, Probe: probe, OnlyFrom: addr("B@example.org")})
		if !slices.Equal(ids(got), idsOf(b)) {
			f.Fatalf("claimed %v, want %v", ids(got), b.ID)
		}
		f.must(f.store.Unclaim(f.ctx, b.ID, got[0].Attempts, f.clock))
	}
}

// claimBySize: a hold of large mail leaves the rest, its probe takes nothing else, and
// its time is that of the large messages.
func claimBySize(_ *testing.T, f *fixture) {
	small, large := f.of("erp", "192.0.2.7"), f.message("box@example.org")
	f.must(store(f.ctx, f.store, large, make([]byte, 200)))
	box := addr("box@example.org")
	h := f.hold(spool.LargeKey(box, 100), func(h *spool.Hold) { h.Mailbox, h.Above = box, 100 })
	if got, err := f.store.Holds(f.ctx); err != nil || len(got) != 1 || got[0].Above != 100 {
		f.Errorf("holds are %+v, %v", got, err)
	}
	if got := f.claimOf(spool.Claim{Limit: 5, Probe: true, OnlyOver: 100}); !slices.Equal(ids(got), idsOf(large)) {
		f.Errorf("the probe claimed %v, want %v", ids(got), large.ID)
	}
	f.must(f.store.Unclaim(f.ctx, large.ID, 1, f.clock))
	f.wantState(large.ID, spool.Paused)
	turns := []spool.Quota{turn("erp", "192.0.2.7", 5)}
	if got := f.claimOf(spool.Claim{Limit: 5, Turns: turns, ExceptOver: 100}); !slices.Equal(ids(got), idsOf(small)) {
		f.Errorf("claimed %v, want %v", ids(got), small.ID)
	}
	f.clock = f.clock.Add(time.Hour)
	f.must(f.store.EndHold(f.ctx, h.Key, f.clock))
	if a, b := f.get(small.ID).HeldFor, f.get(large.ID).HeldFor; a != 0 || b != time.Hour {
		f.Errorf("held for %v and %v, want 0 and 1h", a, b)
	}
}

// turnsWait: the lane says who waits, how much, and since when, through all that
// becomes of the messages. Reports and test mail are the service's own; on a unix
// socket each user of the host has a turn.
func turnsWait(_ *testing.T, f *fixture) {
	began := f.clock
	at := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
	want := func(step string, turns ...spool.Waits) {
		f.Helper()
		lanes, err := f.store.Lanes(f.ctx)
		f.must(err)
		var got []spool.Waits
		for _, l := range lanes {
			got = append(got, l.Turns...)
		}
		if fmt.Sprint(got) != fmt.Sprint(turns) {
			f.Errorf("%s: %v wait, want %v", step, got, turns)
		}
	}
	waits := func(client, member string, n int, next time.Time) spool.Waits {
		return spool.Waits{Turn: spool.Turn{Client: client, Member: member}, Messages: n, Next: next}
	}
	want("at first")
	f.of("erp", "192.0.2.7")
	f.of("erp", "192.0.2.7")
	f.of("erp", "2001:db8::7")
	as := func(c envelope.Client) func(*spool.Message) { return func(m *spool.Message) { m.Client = c } }
	local := f.of("local", "127.0.0.1", as(envelope.Client{Name: "local", User: "33"}))
	f.of("local", "127.0.0.1", as(envelope.Client{Name: "local"}))
	f.of("local", "127.0.0.1", as(envelope.Client{Name: "local", Addr: envelope.OwnAddr(), Helo: "console"}))
	if got := f.get(local.ID); got.Client.User != "33" {
		f.Errorf("the user is %q", got.Client.User)
	}
	rest := []spool.Waits{waits("erp", "2001:db8::7", 1, at(3)), waits("local", "unix", 1, at(5)),
		waits("local", "user 33", 1, at(4))}
	own, one := waits("", "", 1, at(6)), "192.0.2.7"
	want("accepted", append([]spool.Waits{own, waits("erp", one, 2, at(1))}, rest...)...)
	got := f.claimOf(spool.Claim{Limit: 1, Turns: []spool.Quota{turn("erp", one, 1)}})[0]
	want("claimed", append([]spool.Waits{own, waits("erp", one, 1, at(2))}, rest...)...)
	f.must(f.settle(got, spool.Deferred, func(s *spool.Settlement) { s.NextAttempt = at(1) }))
	want("deferred", append([]spool.Waits{own, waits("erp", one, 2, at(1))}, rest...)...)
	f.must(f.store.Move(f.ctx, got.ID, spool.Held, time.Time{}, "", f.clock))
	want("held", append([]spool.Waits{own, waits("erp", one, 1, at(2))}, rest...)...)
	for range 2 {
		f.must(f.store.Move(f.ctx, got.ID, spool.Queued, at(9), "", f.clock))
	}
	want("released", append([]spool.Waits{own, waits("erp", one, 2, at(2))}, rest...)...)
	f.must(f.store.Delete(f.ctx, got.ID, "", f.clock))
	want("deleted", append([]spool.Waits{own, waits("erp", one, 1, at(2))}, rest...)...)
	f.claimOf(spool.Claim{Limit: 9})
	want("all claimed")
}
