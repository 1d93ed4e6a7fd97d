package spooltest

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// queuedFor puts a message back to be due after a delay.
func (f *fixture) queuedFor(m spool.Message, delay time.Duration) {
	f.Helper()
	f.must(f.store.Move(f.ctx, m.ID, spool.Queued, f.clock.Add(delay), "test", f.clock))
}

func claimOrder(_ *testing.T, f *fixture) {
	var m []spool.Message
	for range 4 {
		m = append(m, f.accept("box@example.org"))
	}
	f.queuedFor(m[0], 3*time.Minute)
	f.queuedFor(m[1], time.Minute)
	f.queuedFor(m[2], 2*time.Minute)
	f.queuedFor(m[3], time.Hour)
	if got := f.claim("box@example.org", 10); len(got) != 0 {
		f.Fatalf("claimed %v before it was due", ids(got))
	}
	f.clock = f.clock.Add(3 * time.Minute)
	got := append(f.claim("box@example.org", 1), f.claim("box@example.org", 10)...)
	if want := idsOf(m[1], m[2], m[0]); !slices.Equal(ids(got), want) {
		f.Fatalf("claimed %v, want %v", ids(got), want)
	}
	for _, r := range got {
		if r.State != spool.Sending || r.Attempts != 1 || !r.LastAttempt.Equal(f.clock) || !r.NextAttempt.IsZero() {
			f.Errorf("claimed record: %+v", r)
		}
		if stored := f.get(r.ID); !reflect.DeepEqual(stored, r) {
			f.Errorf("claimed\n%+v, stored\n%+v", r, stored)
		}
	}
	if got := f.claim("box@example.org", 10); len(got) != 0 {
		f.Errorf("claimed %v twice", ids(got))
	}
}

func claimLanes(_ *testing.T, f *fixture) {
	a := f.accept("Box@example.org")
	b := f.accept("other@example.org")
	if got := f.claim("none@example.org", 5); len(got) != 0 {
		f.Errorf("claimed %v from an empty lane", ids(got))
	}
	if got := f.claim("box@EXAMPLE.org", 5); !slices.Equal(ids(got), idsOf(a)) {
		f.Errorf("claimed %v, want %s: mailboxes compare by Key", ids(got), a.ID)
	}
	if got := f.claim("other@example.org", 0); !slices.Equal(ids(got), idsOf(b)) {
		f.Errorf("claimed %v, want %s: Limit 0 is 1", ids(got), b.ID)
	}
}

func claimExceptFrom(_ *testing.T, f *fixture) {
	var m []spool.Message
	for _, from := range []string{"a@example.org", "b@example.org", "c@example.org"} {
		n := f.message("box@example.org")
		n.From = addr(from)
		m = append(m, f.put(n))
	}
	claim := func(except ...string) []envelope.QueueID {
		c := spool.Claim{Mailbox: addr("box@example.org"), Now: f.clock, Limit: 5}
		for _, s := range except {
			c.ExceptFrom = append(c.ExceptFrom, addr(s))
		}
		got, err := f.store.Claim(f.ctx, c)
		f.must(err)
		return ids(got)
	}
	if got := claim("A@example.org", "c@example.org"); !slices.Equal(got, idsOf(m[1])) {
		f.Errorf("claimed %v, want %v", got, m[1].ID)
	}
	if got := claim("a@example.org", "c@example.org"); len(got) != 0 {
		f.Errorf("claimed %v, want none", got)
	}
	if got := claim("a@example.org"); !slices.Equal(got, idsOf(m[2])) {
		f.Errorf("claimed %v, want %v", got, m[2].ID)
	}
}

// claimProbe wants another message with each probe, due or not.
func claimProbe(_ *testing.T, f *fixture) {
	var m []spool.Message
	for range 3 {
		m = append(m, f.accept("box@example.org"))
		f.queuedFor(m[len(m)-1], 24*time.Hour)
	}
	var got []envelope.QueueID
	for range 6 {
		f.clock = f.clock.Add(time.Minute)
		r, err := f.store.Claim(
			f.ctx,
			spool.Claim{Mailbox: addr("box@example.org"), Now: f.clock, Limit: 1, Probe: true},
		)
		f.must(err)
		if len(r) != 1 {
			f.Fatalf("a probe claimed %d messages", len(r))
		}
		got = append(got, r[0].ID)
		f.must(f.settle(r[0], spool.Deferred))
	}
	if want := append(idsOf(m...), idsOf(m...)...); !slices.Equal(got, want) {
		f.Errorf("probed %v, want %v", got, want)
	}
}

// claimTriedBefore wants, beside what is due, what an earlier attempt put off for
// a while, once, and nothing that may have been sent.
func claimTriedBefore(_ *testing.T, f *fixture) {
	var m []spool.Message
	for range 4 {
		m = append(m, f.accept("box@example.org"))
	}
	for i, r := range f.claim("box@example.org", 3) {
		f.must(f.settle(r, spool.Queued, func(s *spool.Settlement) {
			s.NextAttempt, s.Unknown = f.clock.Add(time.Duration(3-i)*time.Minute), i == 1
		}))
	}
	f.queuedFor(m[3], time.Hour) // never tried
	f.clock = f.clock.Add(time.Second)
	again := func(limit int) []spool.Record {
		f.Helper()
		r, err := f.store.Claim(f.ctx, spool.Claim{
			Mailbox: addr("box@example.org"), Now: f.clock, Limit: limit, TriedBefore: f.clock,
		})
		f.must(err)
		return r
	}
	if got := ids(again(1)); !slices.Equal(got, idsOf(m[2])) {
		f.Errorf("claimed %v first, want %v, which is due first", got, m[2].ID)
	}
	r := again(10)
	if got := ids(r); !slices.Equal(got, idsOf(m[0], m[3])) {
		f.Errorf("claimed %v, want %v and %v", got, m[0].ID, m[3].ID)
	}
	for _, one := range r {
		f.must(f.settle(one, spool.Queued))
	}
	if got := again(10); len(got) != 0 {
		f.Errorf("claimed %v again", ids(got))
	}
}

func settleEachState(_ *testing.T, f *fixture) {
	for _, c := range []struct {
		state spool.State
		kind  spool.EventKind
		gone  bool
	}{
		{spool.Deferred, spool.EventDeferred, false},
		{spool.Paused, spool.EventPaused, false},
		{spool.Held, spool.EventHeld, false},
		{spool.Sent, spool.EventSent, true},
		{spool.Failed, spool.EventFailed, false},
		{spool.Damaged, spool.EventFailed, false},
	} {
		r := f.active("box@example.org")
		f.clock = f.clock.Add(time.Second)
		f.must(f.settle(r, c.state))
		want := r
		want.State, want.BodyGone = c.state, c.gone
		if c.state == spool.Paused {
			want.State = spool.Deferred // no hold stops it any more
		}
		want.LastStatus, want.LastText, want.LastRequest = reply.Enhanced{4, 7, 12}, "an outcome", "request-1"
		want.ReportOwed = c.state == spool.Failed
		switch c.state {
		case spool.Deferred, spool.Paused:
			want.NextAttempt = f.clock.Add(time.Minute)
		case spool.Held:
			want.HeldSince = f.clock
		default:
			want.FinishedAt = f.clock
		}
		if got := f.get(r.ID); !reflect.DeepEqual(got, want) {
			f.Errorf("%s:\n%+v, want\n%+v", c.state, got, want)
		}
		kinds := []spool.EventKind{spool.Accepted, spool.Attempted, c.kind}
		if got := f.kinds(r.ID); !slices.Equal(got, kinds) {
			f.Errorf("%s: history %v, want %v", c.state, got, kinds)
		}
		if !c.gone && string(f.body(r.ID)) != "A: b\r\n\r\nbody\r\n" {
			f.Errorf("%s: the body changed", c.state)
		}
	}
	r := f.active("unknown@example.org")
	f.must(f.settle(r, spool.Deferred, func(s *spool.Settlement) { s.Unknown = true }))
	events, err := f.store.History(f.ctx, r.ID)
	f.must(err)
	if got := f.get(r.ID); !got.Unknown || !events[2].Unknown || events[2].Kind != spool.EventDeferred {
		f.Errorf("unknown outcome: %+v, %v", got, events)
	}
	f.clock = f.clock.Add(time.Hour)
	if got := f.claim("unknown@example.org", 1); len(got) != 1 || !got[0].Unknown || got[0].Attempts != 2 {
		f.Errorf("claimed after an unknown outcome: %+v", got)
	} else if f.must(f.settle(got[0], spool.Sent)); f.get(r.ID).Unknown {
		f.Error("Unknown outlived the next outcome")
	}
}

func settleErrors(_ *testing.T, f *fixture) {
	r := f.active("box@example.org")
	stranger := r
	stranger.ID = envelope.NewQueueID(f.clock)
	f.wants(f.settle(stranger, spool.Sent), spool.ErrNotFound)
	f.wants(f.settle(r, spool.Sent, func(s *spool.Settlement) { s.Attempt = 2 }), spool.ErrState)
	f.wants(f.settle(r, spool.Sending), spool.ErrState)
	if err := f.settle(r, "nonsense"); err == nil {
		f.Error("settled to a state that does not exist")
	}
	f.wantState(r.ID, spool.Sending)
	queued := f.accept("queue@example.org")
	f.wants(f.settle(f.get(queued.ID), spool.Sent), spool.ErrState)
}

// settleAgain repeats a settlement, as one does whose first answer was an error.
func settleAgain(_ *testing.T, f *fixture) {
	for _, state := range []spool.State{spool.Deferred, spool.Paused, spool.Held, spool.Sent, spool.Failed} {
		r := f.active("box@example.org")
		f.must(f.settle(r, state))
		before, events := f.get(r.ID), len(f.kinds(r.ID))
		f.must(f.settle(r, state))
		if after := f.get(r.ID); !reflect.DeepEqual(after, before) || len(f.kinds(r.ID)) != events {
			f.Errorf("settling as %s again changed the message", state)
		}
		other := spool.Failed
		if state == spool.Failed {
			other = spool.Sent
		}
		f.wants(f.settle(r, other), spool.ErrState)
	}
}

func unclaim(_ *testing.T, f *fixture) {
	r := f.active("box@example.org")
	f.must(f.settle(r, spool.Deferred, func(s *spool.Settlement) { s.Unknown = true }))
	before := f.get(r.ID)
	f.clock = f.clock.Add(time.Hour)
	second := f.claim("box@example.org", 1)[0]
	f.wants(f.store.Unclaim(f.ctx, r.ID, 1, f.clock), spool.ErrState)
	for range 2 { // taking an attempt back twice is not an error
		f.must(f.store.Unclaim(f.ctx, r.ID, second.Attempts, f.clock))
	}
	before.NextAttempt = f.clock
	if got := f.get(r.ID); !reflect.DeepEqual(got, before) {
		f.Errorf("after Unclaim\n%+v, want\n%+v", got, before)
	}
	want := []spool.EventKind{spool.Accepted, spool.Attempted, spool.EventDeferred}
	if got := f.kinds(r.ID); !slices.Equal(got, want) {
		f.Errorf("history %v, want %v", got, want)
	}
	if got := f.claim("box@example.org", 1); len(got) != 1 || got[0].Attempts != 2 {
		f.Errorf("claimed after Unclaim: %+v", got)
	}
	f.wants(f.store.Unclaim(f.ctx, envelope.NewQueueID(f.clock), 1, f.clock), spool.ErrNotFound)
	first := f.active("fresh@example.org")
	f.must(f.store.Unclaim(f.ctx, first.ID, 1, f.clock))
	if got := f.get(first.ID); got.Attempts != 0 || !got.LastAttempt.IsZero() {
		f.Errorf("after Unclaim of the first attempt: %+v", got)
	}
}

// nothingIsElsewhere: what a store that was empty gives out may be sent, and is no other node's.
func nothingIsElsewhere(_ *testing.T, f *fixture) {
	r := f.active("box@example.org")
	f.must(f.store.MayBegin())
	if n := f.store.Elsewhere(r.Mailbox); n != 0 {
		f.Errorf("%d attempts of another node", n)
	}
}

func moveHoldRelease(_ *testing.T, f *fixture) {
	m := f.accept("box@example.org")
	move := func(to spool.State) {
		f.Helper()
		f.must(f.store.Move(f.ctx, m.ID, to, f.clock.Add(time.Minute), "the operator wanted it", f.clock))
	}
	f.clock = f.clock.Add(time.Minute)
	move(spool.Held)
	held := f.clock
	move(spool.Held) // again: nothing
	f.clock = f.clock.Add(2 * time.Hour)
	r := f.wantState(m.ID, spool.Held)
	if r.LastText != "the operator wanted it" || !r.HeldSince.Equal(held) || r.HeldFor != 0 || !r.NextAttempt.IsZero() {
		f.Errorf("held: %+v", r)
	}
	if got := f.claim("box@example.org", 5); len(got) != 0 {
		f.Errorf("claimed %v, which is held", ids(got))
	}
	move(spool.Queued)
	r = f.wantState(m.ID, spool.Queued)
	if r.HeldFor != 2*time.Hour || !r.HeldSince.IsZero() || !r.NextAttempt.Equal(f.clock.Add(time.Minute)) {
		f.Errorf("released: %+v", r)
	}
	move(spool.Held)
	f.clock = f.clock.Add(time.Hour)
	move(spool.Failed)
	if r := f.wantState(m.ID, spool.Failed); r.HeldFor != 3*time.Hour || !r.FinishedAt.Equal(f.clock) || r.BodyGone {
		f.Errorf("failed: %+v", r)
	}
	move(spool.Queued) // its bytes are still there
	if r := f.wantState(m.ID, spool.Queued); !r.FinishedAt.IsZero() {
		f.Errorf("queued again: %+v", r)
	}
	move(spool.Damaged)
	f.wantState(m.ID, spool.Damaged)
	want := []spool.EventKind{
		spool.Accepted, spool.EventHeld, spool.EventReleased, spool.EventHeld,
		spool.EventFailed, spool.EventReleased, spool.EventFailed,
	}
	if got := f.kinds(m.ID); !slices.Equal(got, want) {
		f.Errorf("history %v, want %v", got, want)
	}
	sent := f.accept("box@example.org")
	f.must(f.store.Move(f.ctx, sent.ID, spool.Sent, time.Time{}, "found in Sent Items", f.clock))
	if r := f.wantState(sent.ID, spool.Sent); !r.BodyGone {
		f.Error("a sent message kept its body")
	}
}

// retry is a move that the history tells from a release.
func retry(_ *testing.T, f *fixture) {
	m := f.accept("box@example.org")
	f.must(f.store.Move(f.ctx, m.ID, spool.Held, time.Time{}, "held", f.clock))
	f.must(f.store.Retry(f.ctx, m.ID, f.clock.Add(time.Minute), "by anna", f.clock))
	r := f.wantState(m.ID, spool.Queued)
	if r.LastText != "by anna" || !r.NextAttempt.Equal(f.clock.Add(time.Minute)) {
		f.Errorf("retried: %+v", r)
	}
	f.must(f.store.Retry(f.ctx, m.ID, f.clock, "now", f.clock))
	want := []spool.EventKind{spool.Accepted, spool.EventHeld, spool.EventRetried, spool.EventRetried}
	if got := f.kinds(m.ID); !slices.Equal(got, want) {
		f.Errorf("history %v, want %v", got, want)
	}
	active := f.active("box@example.org")
	f.wants(f.store.Retry(f.ctx, active.ID, f.clock, "why", f.clock), spool.ErrState)
}

func moveErrors(_ *testing.T, f *fixture) {
	move := func(id envelope.QueueID, to spool.State) error {
		return f.store.Move(f.ctx, id, to, f.clock, "why", f.clock)
	}
	f.wants(move(envelope.NewQueueID(f.clock), spool.Held), spool.ErrNotFound)
	r := f.active("box@example.org")
	f.wants(move(r.ID, spool.Held), spool.ErrState)
	f.wants(move(r.ID, spool.Queued), spool.ErrState)
	f.must(f.settle(r, spool.Sent))
	f.wants(move(r.ID, spool.Queued), spool.ErrState)
	queued := f.accept("box@example.org")
	f.wants(move(queued.ID, spool.Sending), spool.ErrState)
	if err := move(queued.ID, "nonsense"); err == nil {
		f.Error("moved to a state that does not exist")
	}
}

func history(_ *testing.T, f *fixture) {
	r := f.active("box@example.org")
	claimed := f.clock
	f.clock = f.clock.Add(time.Second)
	f.must(f.settle(r, spool.Deferred))
	got, err := f.store.History(f.ctx, r.ID)
	f.must(err)
	want := []spool.Event{
		{ID: r.ID, At: r.Accepted, Kind: spool.Accepted},
		{ID: r.ID, At: claimed, Kind: spool.Attempted, Attempt: 1},
		{
			ID:         r.ID,
			At:         f.clock,
			Kind:       spool.EventDeferred,
			Attempt:    1,
			Status:     reply.Enhanced{4, 7, 12},
			Text:       "an outcome",
			RequestID:  "request-1",
			HTTPStatus: 503,
			Duration:   250 * time.Millisecond,
		},
	}
	if !reflect.DeepEqual(got, want) {
		f.Errorf("history is\n%+v, want\n%+v", got, want)
	}
}
