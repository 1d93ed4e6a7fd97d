package sqlite

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// TestKill kills a store under load again and again. Whatever it said it had
// accepted is there and whole, or sent; whatever it said was sent stays sent;
// attempts that were under way come back as unknown.
func TestKill(t *testing.T) {
	path, l := newPath(t), newLedger()
	for range 4 {
		after := 20 + rand.IntN(200)
		l.run(t, childCommand("load", path), func(lines int) bool { return lines == after })
		checkLedger(t, path, l)
	}
	if len(l.other) > 0 {
		t.Errorf("the child said %q", l.other)
	}
}

func checkLedger(t *testing.T, path string, l *ledger) {
	t.Helper()
	s := open(t, path)
	defer s.Close()
	for id := range l.accepted {
		r, err := s.Get(t.Context(), envelope.QueueID(id))
		if err != nil {
			t.Fatalf("an accepted message is lost: %v", err)
		}
		switch {
		case r.State == spool.Sent:
		case r.State.Stored() != spool.Queued:
			t.Errorf("message %s is %s after a restart", id, r.State)
		case l.sent[id]:
			t.Errorf("message %s was sent and is queued again", id)
		case l.claimed[id] && (!r.Unknown || r.Crashes < 1 || r.Crashes != r.Attempts):
			// a claim that the kill kept from being printed counts too
			t.Errorf("message %s was interrupted, and its record does not say so: %+v", id, r)
		default:
			body := string(readAll(t, s, r.ID))
			if body != string(childBody(r.ID, false)) && body != string(childBody(r.ID, true)) {
				t.Errorf("message %s came back changed", id)
			}
		}
	}
	eventually(t, "the end of interrupted drafts", func() bool { return count(t, s, "draft") == 0 })
	stats, _ := s.Stats(t.Context())
	if n := count(t, s, "message WHERE state = 0"); n != int64(stats.Queued+stats.Deferred) || stats.Sending != 0 {
		t.Errorf("%d messages are queued, stats say %+v", n, stats)
	}
	orphans := count(t, s, "chunk WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.n = chunk.id >> 16)")
	if orphans != 0 {
		t.Errorf("%d chunks belong to nobody", orphans)
	}
}

// TestFileSizeLimit lets every write beyond a size fail, as a quota does. The
// messages refused are not there, the others are, and mail is taken again once
// the limit is lifted.
func TestFileSizeLimit(t *testing.T) {
	for _, limit := range []int{120_000, 400_000} {
		path, l := newPath(t), newLedger()
		cmd := childCommand("commits", path, fmt.Sprintf("%s=%d", childLimit, limit))
		l.run(t, cmd, func(int) bool { return false })
		if len(l.failed) == 0 || len(l.accepted) < 20 || !l.healthy {
			t.Fatalf("limit %d: %d accepted, %d failed, healthy again %v, %q",
				limit, len(l.accepted), len(l.failed), l.healthy, l.other)
		}
		wantLedger(t, path, l)
	}
}

// wantLedger checks that the store holds what was accepted and nothing else.
func wantLedger(t *testing.T, path string, l *ledger) {
	t.Helper()
	s := open(t, path)
	defer s.Close()
	var want []envelope.QueueID
	for id := range l.accepted {
		want = append(want, envelope.QueueID(id))
	}
	slices.Sort(want)
	wantOnly(t, s, want...)
	for id := range l.failed {
		if _, err := s.Get(t.Context(), envelope.QueueID(id)); !errors.Is(err, spool.ErrNotFound) {
			t.Errorf("message %s was refused and is there: %v", id, err)
		}
	}
}

// TestInterruptedAttempt reopens a store with an open attempt.
func TestInterruptedAttempt(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	m := accept(t, s, newMessage(t, "box@example.org"), []byte("body"))
	for crash := 1; crash <= 3; crash++ {
		got, err := s.Claim(t.Context(), spool.Claim{Mailbox: m.Mailbox, Now: s.Options.Now(), Limit: 1})
		if err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, path)
		r, err := s.Get(t.Context(), m.ID)
		if err != nil || r.State != spool.Deferred || !r.Unknown || r.Crashes != crash || r.Attempts != crash ||
			r.NextAttempt.After(s.Options.Now()) {
			t.Fatalf("after crash %d: %+v, %v", crash, r, err)
		}
		o := spool.Settlement{ID: m.ID, Attempt: crash, State: spool.Sent}
		if err := s.Settle(t.Context(), o); !errors.Is(err, spool.ErrState) {
			t.Fatalf("the interrupted attempt could be settled: %v", err)
		}
	}
	events, _ := s.History(t.Context(), m.ID)
	if len(events) != 7 || events[6].Kind != spool.EventDeferred || !events[6].Unknown {
		t.Errorf("history %+v", events)
	}
}

// TestCrashBeforeTheFirstAttempt accepts a message with its attempt, which is not made:
// nobody knows that after a crash.
func TestCrashBeforeTheFirstAttempt(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	d, err := s.Begin(t.Context(), "", 0)
	must(t, err)
	_, err = d.Write([]byte("body"))
	must(t, err)
	d.Attempt(start())
	m := newMessage(t, "box@example.org")
	must(t, d.Commit(t.Context(), m))
	must(t, s.Close())
	s = open(t, path)
	r, err := s.Get(t.Context(), m.ID)
	if err != nil || r.State != spool.Deferred || !r.Unknown || r.Crashes != 1 || r.Attempts != 1 {
		t.Errorf("after the crash: %+v, %v", r, err)
	}
	if body := readAll(t, s, m.ID); string(body) != "body" {
		t.Errorf("the body is %q", body)
	}
}

// TestAbandonedDrafts wants the chunks of drafts that were given up gone
// without a restart.
func TestAbandonedDrafts(t *testing.T) {
	s := open(t, newPath(t))
	for range 3 {
		d, err := s.Begin(t.Context(), "", 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Write(make([]byte, 2<<20)); err != nil {
			t.Fatal(err)
		}
		d.Abort()
	}
	eventually(t, "the end of the drafts", func() bool {
		return count(t, s, "draft") == 0 && count(t, s, "chunk") == 0
	})
}

// TestQuickRestarts closes and opens a store again and again after one crash:
// the message rests, and is not taken for one that crashes the program.
func TestQuickRestarts(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	m := accept(t, s, newMessage(t, "box@example.org"), []byte("body"))
	claim := func(now time.Time) ([]spool.Record, error) {
		return s.Claim(t.Context(), spool.Claim{Mailbox: m.Mailbox, Now: now, Limit: 1})
	}
	if got, err := claim(s.Options.Now()); err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	for range 5 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, path, func(s *Store) { s.Options.InterruptedDelay = time.Minute })
		if got, err := claim(s.Options.Now()); err != nil || len(got) != 0 {
			t.Fatalf("claimed %v, %v; want rest for a minute", got, err)
		}
	}
	if r, err := s.Get(t.Context(), m.ID); err != nil || r.Crashes != 1 {
		t.Fatalf("%+v, %v; want one crash", r, err)
	}
	if got, err := claim(s.Options.Now().Add(2 * time.Minute)); err != nil || len(got) != 1 {
		t.Fatalf("claimed %v, %v after the rest", got, err)
	}
}
