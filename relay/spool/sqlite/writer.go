package sqlite

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite/db"
)

// What one transaction takes. Small changes first, so that neither bodies nor
// the sweeper delay them; and at least one big one, so that these get on.
const (
	maxSmalls = 256
	maxBigs   = 4 // each at most one chunk: 1 MiB
	queueSize = 1024
)

// write is the one goroutine that changes the database. Whatever waits when
// it begins a transaction goes into it: with many callers one fsync serves
// many of them.
func (s *Store) write() {
	defer close(s.stopped)
	tick := time.NewTicker(s.tick)
	defer tick.Stop()
	for {
		var batch []*change
		select {
		case ch := <-s.smalls:
			batch = append(batch, ch)
		case ch := <-s.bigs:
			batch = append(batch, ch)
		case <-s.kick:
		case <-tick.C:
			s.housekeep()
		case <-s.stop:
			s.drain()
			return
		}
		s.commitWaiting(batch)
	}
}

func (s *Store) commitWaiting(batch []*change) {
	batch = s.collect(batch)
	if len(batch) > 0 {
		s.commit(batch)
	}
	s.maintain()
}

// collect adds what waits.
func (s *Store) collect(batch []*change) []*change {
	batch = take(batch, s.smalls, maxSmalls)
	return take(batch, s.bigs, maxBigs)
}

func take(batch []*change, in inlet, limit int) []*change {
	for range limit {
		select {
		case ch := <-in:
			batch = append(batch, ch)
		default:
			return batch
		}
	}
	return batch
}

// drain answers what was handed over before Close.
func (s *Store) drain() {
	for {
		batch := s.collect(nil)
		if len(batch) == 0 {
			return
		}
		s.commit(batch)
	}
}

// commit makes a batch durable and answers each of its callers.
func (s *Store) commit(batch []*change) {
	defer answer(batch)
	if err := s.sick(); err != nil {
		failAll(batch, err)
		return
	}
	lost, err := s.tryCommit(batch)
	if err == nil {
		return
	}
	s.log.Error("queue commit failed", slog.Any("error", err), slog.Int("changes", len(batch)))
	s.afterFailure(batch, lost, err)
}

// afterFailure runs the recovery and settles what each caller of the failed
// batch is told.
func (s *Store) afterFailure(batch []*change, lost marks, cause error) {
	full := s.easeIfFull(cause)
	if err := s.recover(lost); err != nil {
		failAll(batch, err)
		return
	}
	if !full {
		failAll(batch, fmt.Errorf("spool: commit failed, nothing was kept: %w", cause))
		return
	}
	s.redo(batch, cause)
}

// redo applies changes of state again, for which the ballast was freed; new
// mail is refused.
func (s *Store) redo(batch []*change, cause error) {
	var again []*change
	for _, ch := range batch {
		if ch.redo && ch.err == nil {
			again = append(again, ch)
		}
	}
	if len(again) > 0 {
		if lost, err := s.tryCommit(again); err != nil {
			failAll(again, fmt.Errorf("spool: commit failed on a full disk: %w", err))
			_ = s.recover(lost) // what it reports stands in Health
		}
	}
	for _, ch := range batch {
		if !ch.redo && ch.err == nil {
			ch.err = fmt.Errorf("%w: the disk is full: %w", spool.ErrFull, cause)
		}
	}
}

// tryCommit runs one transaction. Changes that refuse, or whose own rows are
// damaged, get their error and are left out; an error of the disk fails all.
func (s *Store) tryCommit(batch []*change) (marks, error) {
	for {
		t := &tx{Conn: s.writer}
		err := s.transact(t, batch)
		switch {
		case err == nil:
			s.tally.apply(t.shifts)
			s.noteGrowth(t.octets, len(batch))
			return marks{}, nil
		case !errors.Is(err, errBlamed):
			return t.marks, err
		}
	}
}

// transact applies all changes without an error so far and commits.
func (s *Store) transact(t *tx, batch []*change) error {
	if _, err := t.Exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, ch := range batch {
		if ch.err != nil {
			continue
		}
		if err := ch.apply(t); err != nil {
			if _, sql := db.Code(err); !sql {
				ch.err = err
				continue
			}
			if !isolated(err) {
				t.rollback()
				return err
			}
			ch.err = db.AsCaller(err)
			t.rollback()
			return errBlamed
		}
	}
	if err := s.fault("before commit"); err != nil {
		t.rollback()
		return err
	}
	if _, err := t.Exec("COMMIT"); err != nil {
		t.rollback()
		return err
	}
	return s.fault("after commit")
}

// rollback leaves no transaction open. SQLite has ended it by itself after
// some errors; then there is none to end, which is what is wanted.
func (t *tx) rollback() { _, _ = t.Exec("ROLLBACK") }
