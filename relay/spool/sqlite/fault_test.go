package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/sqlite/disk"
	"graphrelay/relay/spool/sqlite/file"
	"graphrelay/relay/spool/tables"
)

// faults makes a store fail where a test wants it to.
type faults struct {
	mu sync.Mutex
	at map[string]error
	n  map[string]int // how many times more; 0 = until taken away
}

func newFaults() *faults { return &faults{at: map[string]error{}, n: map[string]int{}} }

func (f *faults) set(at string, err error, times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at[at], f.n[at] = err, times
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.at)
}

func (f *faults) fault(at string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.at[at]
	if err != nil && f.n[at] > 0 {
		if f.n[at]--; f.n[at] == 0 {
			delete(f.at, at)
		}
	}
	return err
}

// pending returns whether a fault has not happened yet.
func (f *faults) pending(at string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at[at] != nil
}

func (f *faults) into(s *Store) { s.Fault = f.fault }

var errDisk = &db.Error{Kind: 10, Err: errors.New("disk I/O error")}

// eventually waits for what the store does by itself in the background.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come true", what)
		}
	}
}

// TestFailedCommit fails a commit before and after its frames reached the log.
// In both cases the caller gets an error, the message is gone, also after a
// restart, and the store continues.
func TestFailedCommit(t *testing.T) {
	for _, at := range []string{"before commit", "after commit"} {
		for _, size := range []int{10, 100 << 10, 600 << 10} {
			f, path := newFaults(), newPath(t)
			s := open(t, path, f.into)
			kept := accept(t, s, newMessage(t, "box@example.org"), []byte("kept"))
			d, err := s.Begin(t.Context(), "", 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Write(make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			if size > 10 {
				d.Attempt(start()) // which goes with its message
			}
			f.set(at, errDisk, 1)
			lost := newMessage(t, "box@example.org")
			if err := d.Commit(t.Context(), lost); !errors.Is(err, errDisk) || errors.Is(err, spool.ErrUnhealthy) {
				t.Fatalf("%s: Commit gave %v", at, err)
			}
			if err := s.Health(); err != nil {
				t.Fatalf("not recovered: %v", err)
			}
			next := accept(t, s, newMessage(t, "box@example.org"), []byte("next"))
			wantOnly(t, s, kept.ID, next.ID)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, path)
			wantOnly(t, s, kept.ID, next.ID)
			eventually(t, "an empty chunk table", func() bool {
				return count(t, s, "chunk") == 2 && count(t, s, "draft") == 0
			})
		}
	}
}

// TestFailedCommitOfReport: a report that was not kept after all is owed again.
func TestFailedCommitOfReport(t *testing.T) {
	for _, at := range []string{"before commit", "after commit"} {
		for _, delay := range []bool{false, true} {
			f, path := newFaults(), newPath(t)
			s := open(t, path, f.into)
			about := accept(t, s, newMessage(t, "box@example.org"), []byte("kept"))
			if !delay {
				if err := s.Move(t.Context(), about.ID, spool.Failed, time.Time{}, "why", time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			report := newMessage(t, "box@example.org")
			report.ReportOf, report.ReportDelay = about.ID, delay
			f.set(at, errDisk, 1)
			if err := tryAccept(s, report, []byte("report")); !errors.Is(err, errDisk) {
				t.Fatalf("%s: Commit gave %v", at, err)
			}
			r, err := s.Get(t.Context(), about.ID)
			if err != nil || r.ReportOwed == delay || r.DelayWarned {
				t.Errorf("%s: after a report that was lost: %+v, %v", at, r, err)
			}
			accept(t, s, report, []byte("report"))
		}
	}
}

// TestLogNotEmptied keeps the log from being emptied during a recovery, by a
// reader of its own. What is in the log is then not known to be safe, and the
// store stays unhealthy until it can be emptied.
func TestLogNotEmptied(t *testing.T) {
	t.Parallel()
	f, path := newFaults(), newPath(t)
	s := open(t, path, f.into)
	kept := accept(t, s, newMessage(t, "box@example.org"), []byte("kept"))
	reader, err := file.Dial(path, readerParams)
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"BEGIN", "SELECT count(*) FROM message"} {
		if err := reader.Run(sql); err != nil {
			t.Fatal(err)
		}
	}
	f.set("after commit", errDisk, 1)
	if err := tryAccept(s, newMessage(t, "box@example.org"), []byte("lost")); !errors.Is(err, spool.ErrUnhealthy) {
		t.Errorf("Commit gave %v", err)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "recovery", func() bool { return s.Health() == nil })
	wantOnly(t, s, kept.ID)
}

// wantOnly checks that the store holds these messages and no other.
func wantOnly(t *testing.T, s *Store, ids ...envelope.QueueID) {
	t.Helper()
	records, err := s.List(t.Context(), spool.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var got []envelope.QueueID
	for _, r := range records {
		got = append(got, r.ID)
		if r.State != spool.Sent && int64(len(readAll(t, s, r.ID))) != r.Size {
			t.Errorf("message %s is not whole", r.ID)
		}
	}
	slices.Sort(ids)
	if !slices.Equal(got, ids) {
		t.Fatalf("the store holds %v, want %v", got, ids)
	}
	stats, _ := s.Stats(t.Context())
	if stats.Queued+stats.Deferred+stats.Sending+stats.Held != len(ids) {
		t.Fatalf("stats %+v for %d messages", stats, len(ids))
	}
}

func count(t *testing.T, s *Store, table string) int64 {
	t.Helper()
	var n int64
	err := s.Readers.With(context.Background(), func(c *db.Conn) (err error) {
		n, err = c.Number("SELECT count(*) FROM " + table)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestFailedClaim wants that an attempt which could not be recorded is not
// left recorded: nobody would ever settle it.
func TestFailedClaim(t *testing.T) {
	for _, at := range []string{"before commit", "after commit"} {
		f := newFaults()
		s := open(t, newPath(t), f.into)
		m := accept(t, s, newMessage(t, "box@example.org"), []byte("body"))
		before, _ := s.Get(t.Context(), m.ID)
		f.set(at, errDisk, 1)
		claim := spool.Claim{Mailbox: m.Mailbox, Now: start(), Limit: 1}
		if got, err := s.Claim(t.Context(), claim); err == nil || len(got) > 0 {
			t.Fatalf("%s: claimed %v, %v", at, got, err)
		}
		after, err := s.Get(t.Context(), m.ID)
		if err != nil || after.State != spool.Queued || after.Attempts != 0 || !after.LastAttempt.IsZero() {
			t.Fatalf("%s: after the failed claim %+v, before %+v, %v", at, after, before, err)
		}
		events, _ := s.History(t.Context(), m.ID)
		if len(events) != 1 {
			t.Errorf("%s: history %v", at, events)
		}
		got, err := s.Claim(t.Context(), claim)
		if err != nil || len(got) != 1 || got[0].Attempts != 1 {
			t.Fatalf("%s: claimed again %v, %v", at, got, err)
		}
	}
}

// TestFailedSettle wants that the same settlement succeeds when it is tried
// again, whether the failed one counted or not, and that the message it is
// about outlives the failure.
func TestFailedSettle(t *testing.T) {
	for _, at := range []string{"before commit", "after commit"} {
		for _, state := range []spool.State{spool.Deferred, spool.Sent, spool.Failed} {
			f := newFaults()
			s := open(t, newPath(t), f.into)
			m := accept(t, s, newMessage(t, "box@example.org"), []byte("body"))
			if _, err := s.Claim(t.Context(), spool.Claim{Mailbox: m.Mailbox, Now: start(), Limit: 1}); err != nil {
				t.Fatal(err)
			}
			f.set(at, errDisk, 1)
			o := spool.Settlement{ID: m.ID, Attempt: 1, State: state, NextAttempt: start(), At: start()}
			if err := s.Settle(t.Context(), o); !errors.Is(err, errDisk) {
				t.Fatalf("%s: Settle gave %v", at, err)
			}
			if err := s.Settle(t.Context(), o); err != nil {
				t.Fatalf("%s: Settle again gave %v", at, err)
			}
			r, err := s.Get(t.Context(), m.ID)
			events, _ := s.History(t.Context(), m.ID)
			if err != nil || r.State != state || len(events) != 3 {
				t.Errorf("%s: %+v, %d events, %v", at, r, len(events), err)
			}
			if state != spool.Sent && string(readAll(t, s, m.ID)) != "body" {
				t.Errorf("%s: the body is gone", at)
			}
		}
	}
}

// TestUnhealthy wants a store that cannot recover to refuse every change, to
// let what is stored be read, and to recover by itself.
func TestUnhealthy(t *testing.T) {
	f, path := newFaults(), newPath(t)
	s := open(t, path, f.into)
	kept := accept(t, s, newMessage(t, "box@example.org"), []byte("kept"))
	f.set("after commit", errDisk, 1)
	f.set("reopen", errors.New("still broken"), 0)
	lost := newMessage(t, "box@example.org")
	if err := tryAccept(s, lost, []byte("lost")); !errors.Is(err, spool.ErrUnhealthy) {
		t.Fatalf("Commit gave %v", err)
	}
	_, claimErr := s.Claim(t.Context(), spool.Claim{Mailbox: kept.Mailbox, Now: start()})
	_, beginErr := s.Begin(t.Context(), "", 1)
	for what, err := range map[string]error{
		"Admit": s.Admit("", 1), "Begin": beginErr, "Claim": claimErr, "Health": s.Health(),
		"Settle": s.Settle(t.Context(), spool.Settlement{ID: kept.ID, Attempt: 1, State: spool.Sent}),
		"Move":   s.Move(t.Context(), kept.ID, spool.Held, start(), "", start()),
		"Sweep":  s.Sweep(t.Context(), start(), time.Hour, time.Hour),
	} {
		if !errors.Is(err, spool.ErrUnhealthy) || !strings.Contains(err.Error(), "repair the disk") {
			t.Errorf("%s gave %v", what, err)
		}
	}
	if string(readAll(t, s, kept.ID)) != "kept" {
		t.Error("what is stored cannot be read")
	}
	f.clear()
	eventually(t, "recovery", func() bool { return s.Health() == nil })
	wantOnly(t, s, kept.ID)
	if _, err := os.Stat(path + disk.LostSuffix); !os.IsNotExist(err) {
		t.Errorf("the list of lost messages stayed: %v", err)
	}
}

// A connection that fails while it is opened deletes the log as it closes. So a
// recovery that fails half-way leaves none: the next try meets another one, which
// nobody has put in its place.
func TestRecoveryIsTriedAgain(t *testing.T) {
	f, path := newFaults(), newPath(t)
	s := open(t, path, func(s *Store) {
		s.Fault = func(at string) error {
			if at == "reopen" { // and another file gets the number of the log
				_ = os.Remove(path + disk.WALSuffix)
				_ = os.WriteFile(fmt.Sprint(path, ".other", time.Now().UnixNano()), nil, 0o600)
			}
			return f.fault(at)
		}
	})
	kept := accept(t, s, newMessage(t, "box@example.org"), []byte("kept"))
	f.set("after commit", errDisk, 1)
	f.set("reopen", errors.New("still broken"), 2)
	if err := tryAccept(s, newMessage(t, "box@example.org"), []byte("lost")); !errors.Is(err, spool.ErrUnhealthy) {
		t.Fatalf("Commit gave %v", err)
	}
	eventually(t, "recovery", func() bool { return s.Health() == nil })
	wantOnly(t, s, kept.ID)
}

// TestLostStaysLost ends the program while the store is unhealthy and the
// refused message is in the log.
func TestLostStaysLost(t *testing.T) {
	f, path := newFaults(), newPath(t)
	s := open(t, path, f.into)
	kept := accept(t, s, newMessage(t, "box@example.org"), []byte("kept"))
	f.set("after commit", errDisk, 1)
	f.set("reopen", errors.New("still broken"), 0)
	if err := tryAccept(s, newMessage(t, "box@example.org"), []byte("lost")); !errors.Is(err, spool.ErrUnhealthy) {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	wantOnly(t, s, kept.ID)
	if _, err := os.Stat(path + disk.LostSuffix); !os.IsNotExist(err) {
		t.Errorf("the list of lost messages stayed: %v", err)
	}
}

// TestFailedBatch fails one commit of many callers: each gets an error, none of
// theirs is kept.
func TestFailedBatch(t *testing.T) {
	f := newFaults()
	s := open(t, newPath(t), f.into)
	var failed, fine atomic.Int64
	var kept sync.Map
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for i := range 10 {
				m := newMessage(t, "box@example.org")
				if err := tryAccept(s, m, []byte("body")); err != nil {
					failed.Add(1)
				} else {
					kept.Store(m.ID, true)
					fine.Add(1)
				}
				if i == 5 {
					f.set("after commit", errDisk, 1)
				}
			}
		})
	}
	wg.Wait()
	var ids []envelope.QueueID
	kept.Range(func(k, _ any) bool { ids = append(ids, k.(envelope.QueueID)); return true })
	records := map[envelope.QueueID]bool{}
	for page, after := []spool.Record(nil), envelope.QueueID(""); ; after = page[len(page)-1].ID {
		page, _ = s.List(t.Context(), spool.Filter{After: after})
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			records[r.ID] = true
		}
	}
	if failed.Load() == 0 || len(records) != len(ids) {
		t.Fatalf("%d accepted, %d failed, %d stored", fine.Load(), failed.Load(), len(records))
	}
	for _, id := range ids {
		if !records[id] {
			t.Errorf("message %s was accepted and is lost", id)
		}
	}
}

// TestFailedCheckpoint wants the log read again after a failed checkpoint.
func TestFailedCheckpoint(t *testing.T) {
	f := newFaults()
	s := open(t, newPath(t), f.into)
	f.set("checkpoint", errDisk, 1)
	body := bytes.Repeat([]byte("x"), 2<<20)
	var ids []envelope.QueueID
	for range 12 { // enough to start one
		ids = append(ids, accept(t, s, newMessage(t, "box@example.org"), body).ID)
	}
	eventually(t, "the failed checkpoint", func() bool { return !f.pending("checkpoint") })
	eventually(t, "recovery", func() bool {
		return s.host.checkpointFailed.Load() == nil && !s.host.checkpointing.Load() && s.Health() == nil
	})
	wantOnly(t, s, ids...)
}

// TestReportTakenBackOfAQueuedMessage: one that an operator queued again in the
// batch of its lost report has not failed, so nothing is reported of it.
func TestReportTakenBackOfAQueuedMessage(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	about := accept(t, s, newMessage(t, "box@example.org"), []byte("kept"))
	must(t, s.Move(t.Context(), about.ID, spool.Failed, time.Time{}, "why", time.Now()))
	report := newMessage(t, "box@example.org")
	report.ReportOf = about.ID
	accept(t, s, report, []byte("report"))
	must(t, s.Move(t.Context(), about.ID, spool.Queued, time.Now(), "again", time.Now()))
	must(t, s.Close())
	c, err := dialWriter(path)
	must(t, err)
	must(t, errors.Join(tables.Wipe(c, []envelope.QueueID{report.ID}), c.Close()))
	s = open(t, path)
	owed, err := s.Owed(t.Context(), 10)
	if err != nil || len(owed) != 0 {
		t.Errorf("%d reports are owed (%v), want none: the message is queued", len(owed), err)
	}
}
