package spooltest

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"graphrelay/relay/spool"
)

// attempted accepts a message with its first attempt.
func (f *fixture) attempted(m spool.Message) (spool.Record, error) {
	f.Helper()
	d, err := f.store.Begin(f.ctx, "", 0)
	f.must(err)
	defer d.Abort()
	_, err = d.Write([]byte("A: b\r\n\r\nbody\r\n"))
	f.must(err)
	d.Attempt(f.clock)
	if err := d.Commit(f.ctx, m); err != nil {
		return spool.Record{}, err
	}
	return f.get(m.ID), nil
}

// commitWithAttempt wants what was accepted with its first attempt to be as if it had been claimed.
func commitWithAttempt(_ *testing.T, f *fixture) {
	m := f.message("box@example.org")
	r, err := f.attempted(m)
	f.must(err)
	m.Size = int64(len("A: b\r\n\r\nbody\r\n"))
	want := spool.Record{Message: m, State: spool.Sending, Attempts: 1, LastAttempt: f.clock}
	if !reflect.DeepEqual(r, want) {
		f.Errorf("record is\n%+v, want\n%+v", r, want)
	}
	if got := f.claim("box@example.org", 10); len(got) != 0 {
		f.Errorf("claimed %v, which is under way", ids(got))
	}
	f.wantLane("sending", spool.Lane{Sending: 1})
	events, err := f.store.History(f.ctx, m.ID)
	f.must(err)
	if len(events) != 2 || events[1].Kind != spool.Attempted || events[1].Attempt != 1 || !events[1].At.Equal(f.clock) {
		f.Errorf("history %+v", events)
	}
	f.wants(f.store.Delete(f.ctx, m.ID, "test", f.clock), spool.ErrState)
	f.body(m.ID)
	f.clock = f.clock.Add(time.Minute)
	f.must(f.settle(r, spool.Deferred))
	f.wantLane("deferred", spool.Lane{Deferred: 1})
	f.clock = f.clock.Add(time.Hour)
	again := f.claim("box@example.org", 1)
	if len(again) != 1 || again[0].Attempts != 2 {
		f.Fatalf("claimed %+v, want the second attempt", again)
	}
	f.must(f.settle(again[0], spool.Sent))
	if r := f.wantState(m.ID, spool.Sent); !r.BodyGone {
		f.Error("a sent message has its body")
	}
}

// commitWithAttemptTakenBack wants an attempt that was not made to count nowhere.
func commitWithAttemptTakenBack(_ *testing.T, f *fixture) {
	m := f.message("box@example.org")
	r, err := f.attempted(m)
	f.must(err)
	for range 2 {
		f.must(f.store.Unclaim(f.ctx, m.ID, 1, f.clock))
	}
	got := f.wantState(m.ID, spool.Queued)
	if got.Attempts != 0 || !got.LastAttempt.IsZero() || !got.NextAttempt.Equal(f.clock) {
		f.Errorf("taken back: %+v", got)
	}
	if kinds := f.kinds(m.ID); !slices.Equal(kinds, []spool.EventKind{spool.Accepted}) {
		f.Errorf("history %v", kinds)
	}
	f.wants(f.settle(r, spool.Sent), spool.ErrState)
	if got := f.claim("box@example.org", 1); len(got) != 1 || got[0].Attempts != 1 {
		f.Errorf("claimed %+v", got)
	}
}

// commitWithAttemptRefused wants nothing to be left of a message that is not kept.
func commitWithAttemptRefused(_ *testing.T, f *fixture) {
	m := f.message("box@example.org")
	m.ReportOf = f.accept("other@example.org").ID // which owes none
	_, err := f.attempted(m)
	f.wants(err, spool.ErrState)
	_, err = f.store.Get(f.ctx, m.ID)
	f.wants(err, spool.ErrNotFound)
	if lanes, err := f.store.Lanes(f.ctx); err != nil || len(lanes) != 1 || lanes[0].Sending != 0 {
		f.Errorf("lanes %+v, %v", lanes, err)
	}
}

// wantLane compares the counts of the only lane.
func (f *fixture) wantLane(when string, want spool.Lane) {
	f.Helper()
	lanes, err := f.store.Lanes(f.ctx)
	f.must(err)
	if len(lanes) != 1 || lanes[0].Queued != want.Queued || lanes[0].Deferred != want.Deferred ||
		lanes[0].Sending != want.Sending {
		f.Errorf("%s: lanes %+v, want %+v", when, lanes, want)
	}
}
