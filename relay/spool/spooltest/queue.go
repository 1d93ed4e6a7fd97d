package spooltest

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

func (f *fixture) list(filter spool.Filter) []envelope.QueueID {
	f.Helper()
	got, err := f.store.List(f.ctx, filter)
	f.must(err)
	return ids(got)
}

// oneOfEach makes a message of each state in two mailboxes.
func (f *fixture) oneOfEach() map[spool.State][]spool.Message {
	f.Helper()
	all := map[spool.State][]spool.Message{}
	for _, state := range []spool.State{
		spool.Sent, spool.Held, spool.Deferred, spool.Failed, spool.Damaged, spool.Sending, spool.Queued,
	} {
		for _, mailbox := range []string{"one@example.org", "two@example.org"} {
			m := f.accept(mailbox)
			all[state] = append(all[state], m)
			if state == spool.Queued {
				continue
			}
			r := f.claim(mailbox, 1)[0]
			if state != spool.Sending {
				f.must(f.settle(r, state))
			}
		}
	}
	return all
}

func listFilters(_ *testing.T, f *fixture) {
	if got := f.list(spool.Filter{}); len(got) != 0 {
		f.Fatalf("an empty store lists %v", got)
	}
	all := f.oneOfEach()
	var every []envelope.QueueID
	for state, m := range all {
		every = append(every, idsOf(m...)...)
		if got := f.list(spool.Filter{States: []spool.State{state}}); !slices.Equal(got, idsOf(m...)) {
			f.Errorf("%s: %v, want %v", state, got, idsOf(m...))
		}
		one := spool.Filter{States: []spool.State{state}, Mailbox: addr("TWO@example.org")}
		if got := f.list(one); !slices.Equal(got, idsOf(m[1])) {
			f.Errorf("%s of one mailbox: %v, want %v", state, got, m[1].ID)
		}
	}
	slices.Sort(every)
	if got := f.list(spool.Filter{}); !slices.Equal(got, every) {
		f.Errorf("all: %v, want %v", got, every)
	}
	several := []spool.State{spool.Queued, spool.Sent, spool.Held, spool.Held}
	want := slices.Sorted(slices.Values(idsOf(slices.Concat(all[spool.Queued], all[spool.Sent], all[spool.Held])...)))
	if got := f.list(spool.Filter{States: several}); !slices.Equal(got, want) {
		f.Errorf("several states: %v, want %v", got, want)
	}
	if _, err := f.store.List(f.ctx, spool.Filter{States: []spool.State{"nonsense"}}); err == nil {
		f.Error("listed a state that does not exist")
	}
}

func listPages(_ *testing.T, f *fixture) {
	var want []envelope.QueueID
	for range 250 {
		want = append(want, f.accept("box@example.org").ID)
	}
	for _, filter := range []spool.Filter{
		{}, {States: []spool.State{spool.Queued, spool.Held}}, {Mailbox: addr("box@example.org")},
	} {
		var got []envelope.QueueID
		for {
			page := f.list(filter)
			if len(page) == 0 {
				break
			}
			if len(page) > 100 {
				f.Fatalf("a page has %d messages, want 100", len(page))
			}
			got = append(got, page...)
			filter.After = page[len(page)-1]
		}
		if !slices.Equal(got, want) {
			f.Errorf("paged through %d messages, want %d in order", len(got), len(want))
		}
	}
	if got := f.list(spool.Filter{Limit: 7}); !slices.Equal(got, want[:7]) {
		f.Errorf("Limit 7 gave %d", len(got))
	}
	if got := f.list(spool.Filter{Limit: 5000}); !slices.Equal(got, want) {
		f.Errorf("Limit 5000 gave %d", len(got))
	}
}

func lanesAndStats(_ *testing.T, f *fixture) {
	f.oneOfEach()
	f.clock = f.clock.Add(time.Minute)
	late := f.accept("one@example.org")
	f.queuedFor(late, time.Hour)
	lanes, err := f.store.Lanes(f.ctx)
	f.must(err)
	accepted := late.Accepted.Add(-time.Minute)
	erp := func(n int) []spool.Waits { return []spool.Waits{{Turn: late.Turn(), Messages: n, Next: accepted}} }
	want := []spool.Lane{
		{Mailbox: addr("one@example.org"), Queued: 2, Deferred: 1, Sending: 1, Held: 1, Next: accepted,
			Oldest: accepted, Turns: erp(3)},
		{Mailbox: addr("two@example.org"), Queued: 1, Deferred: 1, Sending: 1, Held: 1, Next: accepted,
			Oldest: accepted, Turns: erp(2)},
	}
	if !reflect.DeepEqual(lanes, want) {
		f.Errorf("lanes are\n%+v, want\n%+v", lanes, want)
	}
	stats, err := f.store.Stats(f.ctx)
	f.must(err)
	stats.Bytes -= int64(13 * len("A: b\r\n\r\nbody\r\n"))
	if stats != (spool.Stats{Queued: 3, Deferred: 2, Sending: 2, Held: 2, Failed: 2, Damaged: 2}) {
		f.Errorf("stats are %+v", stats)
	}
	f.claim("one@example.org", 2)
	lanes, err = f.store.Lanes(f.ctx)
	f.must(err)
	if l := lanes[0]; l.Queued != 1 || l.Deferred != 0 || l.Sending != 3 || !l.Next.Equal(f.clock.Add(time.Hour)) {
		f.Errorf("after a claim the lane is %+v", l)
	}
}

func (f *fixture) hold(key string, change func(*spool.Hold)) spool.Hold {
	f.Helper()
	h := spool.Hold{
		Key:       key,
		Status:    reply.Enhanced{4, 7, 0},
		Text:      "secret expired",
		Since:     f.clock,
		NextProbe: f.clock.Add(time.Minute),
	}
	change(&h)
	f.must(f.store.SetHold(f.ctx, h))
	return h
}

func holdsKeep(_ *testing.T, f *fixture) {
	a := f.hold("mailbox:a@example.org", func(h *spool.Hold) { h.Mailbox = addr("a@example.org") })
	i := f.hold("identity:contoso", func(h *spool.Hold) {
		h.Identity, h.Mailboxes = "contoso", []envelope.Address{addr("a@example.org"), addr("b@example.org")}
	})
	s := f.hold("sendas:a@example.org from c@example.org", func(h *spool.Hold) {
		h.Mailbox, h.From = addr("a@example.org"), addr("c@example.org")
	})
	c := f.hold(spool.ClientKey(addr("a@example.org"), "the erp of us"), func(h *spool.Hold) {
		h.Mailbox, h.Client = addr("a@example.org"), "the erp of us"
	})
	a.Probes, a.Text = 3, "still"
	f.must(f.store.SetHold(f.ctx, a))
	got, err := f.store.Holds(f.ctx)
	f.must(err)
	if want := []spool.Hold{c, i, a, s}; !reflect.DeepEqual(got, want) {
		f.Errorf("holds are\n%+v, want\n%+v", got, want)
	}
	for range 2 { // what is not held can be ended
		f.must(f.store.EndHold(f.ctx, a.Key, f.clock))
	}
	got, err = f.store.Holds(f.ctx)
	f.must(err)
	if want := []spool.Hold{c, i, s}; !reflect.DeepEqual(got, want) {
		f.Errorf("holds are\n%+v, want\n%+v", got, want)
	}
}

func endHoldArithmetic(_ *testing.T, f *fixture) {
	before := f.accept("box@example.org")
	f.clock = f.clock.Add(time.Hour)
	h := f.hold("mailbox:box@example.org", func(h *spool.Hold) { h.Mailbox = addr("box@example.org") })
	f.clock = f.clock.Add(time.Hour)
	during := f.accept("box@example.org")
	probed := f.active("box@example.org") // takes the first of both
	f.clock = f.clock.Add(time.Hour)
	f.must(f.store.EndHold(f.ctx, h.Key, f.clock))
	after := f.accept("box@example.org")
	for _, c := range []struct {
		name string
		id   envelope.QueueID
		want time.Duration
	}{
		{"accepted before the hold", before.ID, 2 * time.Hour},
		{"accepted during the hold", during.ID, time.Hour},
		{"accepted after the hold", after.ID, 0},
	} {
		if got := f.get(c.id).HeldFor; got != c.want {
			f.Errorf("%s: HeldFor is %v, want %v", c.name, got, c.want)
		}
	}
	f.must(f.settle(probed, spool.Deferred))
	if got := f.get(probed.ID).HeldFor; got != 2*time.Hour {
		f.Errorf("HeldFor of the probed message is %v after it was settled", got)
	}
	// A second hold adds up; two at once do not make it older than it is.
	f.hold("mailbox:box@example.org", func(h *spool.Hold) { h.Mailbox = addr("box@example.org") })
	f.hold("identity:x", func(*spool.Hold) {})
	f.clock = f.clock.Add(30 * time.Minute)
	f.must(f.store.EndHold(f.ctx, "mailbox:box@example.org", f.clock))
	if got := f.get(before.ID).HeldFor; got != 2*time.Hour+30*time.Minute {
		f.Errorf("HeldFor after two holds is %v", got)
	}
	f.must(f.store.EndHold(f.ctx, "identity:x", f.clock))
	if got, age := f.get(after.ID).HeldFor, f.clock.Sub(after.Accepted); got != age {
		f.Errorf("HeldFor is %v at an age of %v", got, age)
	}
}

func endHoldScope(_ *testing.T, f *fixture) {
	put := func(mailbox, from string) envelope.QueueID {
		m := f.message(mailbox)
		m.From = addr(from)
		return f.put(m).ID
	}
	a1, a2 := put("a@example.org", "a@example.org"), put("a@example.org", "x@example.org")
	b, c := put("b@example.org", "b@example.org"), put("c@example.org", "c@example.org")
	held := put("a@example.org", "a@example.org")
	f.must(f.store.Move(f.ctx, held, spool.Held, f.clock, "by itself", f.clock))
	end := func(change func(*spool.Hold)) {
		h := f.hold("key", change)
		f.clock = f.clock.Add(time.Hour)
		f.must(f.store.EndHold(f.ctx, h.Key, f.clock))
	}
	want := func(step string, hours ...time.Duration) {
		f.Helper()
		for i, id := range []envelope.QueueID{a1, a2, b, c, held} {
			if got := f.get(id).HeldFor; got != hours[i]*time.Hour {
				f.Errorf("%s: HeldFor of message %d is %v, want %d h", step, i, got, hours[i])
			}
		}
	}
	end(func(h *spool.Hold) { h.Mailbox, h.From = addr("a@example.org"), addr("X@example.org") })
	want("SendAs", 0, 1, 0, 0, 0)
	end(func(h *spool.Hold) { h.Mailbox = addr("A@example.org") })
	want("mailbox", 1, 2, 0, 0, 0)
	end(func(h *spool.Hold) {
		h.Identity, h.Mailboxes = "i", []envelope.Address{addr("a@example.org"), addr("b@example.org")}
	})
	want("identity of two mailboxes", 2, 3, 1, 0, 0)
	end(func(h *spool.Hold) { h.Identity = "i" })
	want("identity without mail", 2, 3, 1, 0, 0)
	f.clock = f.clock.Add(time.Hour)
	f.must(f.store.SetHold(f.ctx, spool.Hold{Key: spool.ClientKey(addr("a@example.org"), "erp"), Client: "erp",
		Mailbox: addr("a@example.org"), Since: f.clock, NextProbe: f.clock}))
	other := f.message("a@example.org")
	other.Client.Name = "ups"
	f.put(other)
	f.clock = f.clock.Add(time.Hour)
	f.must(f.store.EndHold(f.ctx, spool.ClientKey(addr("a@example.org"), "erp"), f.clock))
	want("one client", 3, 4, 1, 0, 0)
	if got := f.get(other.ID).HeldFor; got != 0 {
		f.Errorf("another client's message was held for %v", got)
	}
}

func endHoldMany(_ *testing.T, f *fixture) {
	var all []envelope.QueueID
	for i := range 1203 {
		all = append(all, f.accept(fmt.Sprintf("box%d@example.org", i%3)).ID)
	}
	h := f.hold("identity:i", func(h *spool.Hold) {
		h.Mailboxes = []envelope.Address{addr("box0@example.org"), addr("box2@example.org")}
	})
	f.clock = f.clock.Add(time.Minute)
	f.must(f.store.EndHold(f.ctx, h.Key, f.clock))
	for i, id := range all {
		want := time.Minute
		if i%3 == 1 {
			want = 0
		}
		if got := f.get(id).HeldFor; got != want {
			f.Fatalf("HeldFor of message %d is %v, want %v", i, got, want)
		}
	}
}

// holdsOfTwoNodes: one that another node has ended does not come back, its time counts once,
// and what it stopped is said as it ends.
func holdsOfTwoNodes(_ *testing.T, f *fixture) {
	a, b := f.accept("a@example.org"), f.accept("b@example.org")
	h := f.hold("identity:x", func(h *spool.Hold) { h.Mailboxes = []envelope.Address{a.Mailbox} })
	h.Probes, h.Saved = 1, true
	f.must(f.store.SetHold(f.ctx, h))
	f.clock = f.clock.Add(time.Minute)
	for range 2 {
		f.must(f.store.EndHold(f.ctx, h.Key, f.clock, b.Mailbox))
		f.wants(f.store.SetHold(f.ctx, h), spool.ErrNotFound)
	}
	for id, want := range map[envelope.QueueID]time.Duration{a.ID: 0, b.ID: time.Minute} {
		if got := f.get(id).HeldFor; got != want {
			f.Errorf("HeldFor is %v, want %v", got, want)
		}
	}
	h.Saved = false
	f.must(f.store.SetHold(f.ctx, h))
	f.must(f.store.EndHold(f.ctx, h.Key, f.clock, []envelope.Address{}...))
	if got := f.get(a.ID).HeldFor; got != 0 {
		f.Errorf("HeldFor of a mailbox that was not stopped is %v", got)
	}
}

func sweep(_ *testing.T, f *fixture) {
	all := f.oneOfEach()
	young := f.active("young@example.org")
	f.clock = f.clock.Add(10 * 24 * time.Hour)
	f.must(f.settle(young, spool.Sent))
	f.must(f.store.Sweep(f.ctx, f.clock, 11*24*time.Hour, 11*24*time.Hour))
	if got := f.list(spool.Filter{}); len(got) != 15 {
		f.Fatalf("%d messages left, want 15: none was old enough", len(got))
	}
	f.must(f.store.Sweep(f.ctx, f.clock, 9*24*time.Hour, 11*24*time.Hour))
	for state, m := range all {
		_, err := f.store.Get(f.ctx, m[0].ID)
		if state == spool.Sent {
			f.wants(err, spool.ErrNotFound)
			_, err = f.store.History(f.ctx, m[0].ID)
			f.wants(err, spool.ErrNotFound)
		} else {
			f.must(err)
		}
	}
	f.must(f.store.Sweep(f.ctx, f.clock, 9*24*time.Hour, 9*24*time.Hour))
	_, err := f.store.Open(f.ctx, all[spool.Failed][0].ID)
	f.wants(err, spool.ErrNotFound)
	for _, state := range []spool.State{spool.Queued, spool.Deferred, spool.Sending, spool.Held, spool.Damaged} {
		f.wantState(all[state][0].ID, state)
		f.body(all[state][0].ID)
	}
	f.wantState(young.ID, spool.Sent)
	stats, err := f.store.Stats(f.ctx)
	f.must(err)
	stats.Bytes -= int64(10 * len("A: b\r\n\r\nbody\r\n"))
	if stats != (spool.Stats{Queued: 2, Deferred: 2, Sending: 2, Held: 2, Damaged: 2}) {
		f.Errorf("stats after the sweep are %+v", stats)
	}
}
