package sqlite

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/sqlite/disk"
	"graphrelay/relay/text"
)

// health is the writer's own state; others read it under the lock.
type health struct {
	err     error // nil while healthy
	lost    marks // of every failed batch since the last recovery that succeeded
	retryAt time.Time
	backoff time.Duration
}

// sick returns nil, or an ErrUnhealthy that says what to do. It is an ErrFull, too, if
// the disk is full: clients read 452 then.
func (s *Store) sick() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.health.err == nil {
		return nil
	}
	if c, ok := errors.AsType[text.Cause](s.health.err); ok {
		return fmt.Errorf("%w: %w", spool.ErrUnhealthy, c)
	}
	if s.space.IsFull() {
		return fmt.Errorf("%w: %w", spool.ErrUnhealthy, disk.Full("Disk of the queue is full",
			"free space on the disk of queue.store", text.Foreign(s.health.err.Error(), 500)))
	}
	return fmt.Errorf("%w: %w", spool.ErrUnhealthy, text.Cause{
		Headline: "Queue cannot be written: the disk fails", Remedy: "repair the disk of queue.store, " +
			"or free space on it; the queue then recovers by itself",
		Detail: s.opts.Path + ": " + text.Foreign(s.health.err.Error(), 500),
	})
}

// recover brings the store back after a failed commit, or leaves it unhealthy.
//
// After a failed write or fsync nobody knows what the disk holds: the kernel
// may have dropped the pages and call them clean, and the frames of the failed
// transaction may still come back when the log is read again. So nothing more is
// appended to this log: close every connection, open again (which reads the log
// as the disk has it), move it into the database with an fsync and read the row
// that says whether all of it was moved, wipe the marks of the failed transactions,
// and prove by a commit in a fresh log that the disk accepts writes again.
func (s *Store) recover(lost marks) error {
	s.mu.Lock()
	all := &s.health.lost
	all.accepted, all.attempts = append(all.accepted, lost.accepted...), append(all.attempts, lost.attempts...)
	s.mu.Unlock()

	err := s.reopen(*all)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.health = health{}
		s.log.Info("queue recovered after a failed commit")
		return nil
	}
	s.easeIfFull(err)
	if noteErr := disk.NoteLost(s.opts.Path, all.accepted); noteErr != nil {
		err = errors.Join(err, fmt.Errorf("noting the lost messages: %w", noteErr))
	}
	s.becomeSick(err)
	return s.sick()
}

func (s *Store) becomeSick(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.health
	h.backoff = min(max(2*h.backoff, s.tick), time.Minute)
	h.err, h.retryAt = err, time.Now().Add(h.backoff)
	s.log.Error("queue is unhealthy, no mail is accepted", slog.Any("error", err), slog.Duration("retry_in", h.backoff))
}

// housekeep runs in the writer now and then.
func (s *Store) housekeep() {
	s.mu.Lock()
	well, due := s.health.err == nil, !time.Now().Before(s.health.retryAt)
	s.mu.Unlock()
	switch {
	case well:
		if err := s.displaced(); err != nil {
			s.becomeSick(err)
		}
	case due:
		_ = s.recover(marks{}) // Health returns its error
	}
	s.checkClock()
	s.giveBack()
	s.refillBallast()
}

// reopen is the procedure itself; see recover.
func (s *Store) reopen(lost marks) error {
	if err := s.displaced(); err != nil {
		return err
	}
	s.held.ForgetLog()
	s.readers.Shut()
	defer s.readers.Reopen()
	s.checkpointer.Shut()
	defer s.checkpointer.Reopen()
	_ = s.writer.Close() // nil proves nothing, and an error changes nothing
	s.writer = nil
	if err := s.fault("reopen"); err != nil {
		return err
	}
	c, err := dialWriter(s.opts.Path)
	if err != nil {
		return fmt.Errorf("opening again: %w", err)
	}
	s.writer = c
	if err := emptyWAL(c); err != nil {
		return err
	}
	if err := wipe(c, lost); err != nil {
		return fmt.Errorf("removing what was not accepted: %w", err)
	}
	if err := c.Run("UPDATE meta SET v = CAST(v AS INTEGER) + 1 WHERE k = 'probe'"); err != nil {
		return fmt.Errorf("committing a probe: %w", err)
	}
	if err := errors.Join(disk.ForgetLost(s.opts.Path), s.held.NoteLog()); err != nil {
		return err
	}
	return s.recount(c)
}

// emptyWAL moves the whole log into the database, and fails if anything stayed behind.
func emptyWAL(c *db.Conn) error {
	r, err := checkpoint(c, "TRUNCATE")
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if r.busy || r.log != r.done {
		return fmt.Errorf("checkpoint moved %d of %d pages (busy %v)", r.done, r.log, r.busy)
	}
	return nil
}

// wipe removes messages whose callers got an error, and takes back attempts that
// no caller got. Everything else in a failed transaction either happened or did
// not, as its row now says.
func wipe(c *db.Conn, lost marks) error {
	return c.Transaction(func() error {
		for _, id := range lost.accepted {
			if err := deleteMessage(c, id); err != nil {
				return err
			}
		}
		for _, a := range lost.attempts {
			if err := takeBack(c, a); err != nil {
				return err
			}
		}
		return nil
	})
}

func deleteMessage(c *db.Conn, id envelope.QueueID) error {
	n, err := c.Number("SELECT n FROM message WHERE id = ?", string(id))
	if err != nil || n == 0 {
		return err
	}
	if err := oweAgain(c, n); err != nil {
		return err
	}
	if err := deleteBody(c, n); err != nil {
		return err
	}
	_, err = deleteRows(c, n)
	return err
}

func takeBack(c *db.Conn, a recordedAttempt) error {
	changed, err := c.Exec(`UPDATE message SET state = ?, attempts = attempts - 1
		WHERE n = ? AND state = ? AND attempts = ?`, codeQueued, a.n, codeSending, a.attempt)
	if err != nil || changed == 0 {
		return err
	}
	return forgetAttempt(c, a.n, a.attempt)
}

// The ballast is a file that only takes up space. When the disk is full it is
// removed, so that the outcomes of attempts under way can still be recorded. No
// new mail is accepted until there is room for the ballast again.

// easeIfFull frees the ballast if a failure was caused by a full disk.
func (s *Store) easeIfFull(cause error) (full bool) {
	if !db.Is(cause, db.Full) && !s.space.Exhausted() {
		return false
	}
	s.space.SetFull(true)
	err := os.Truncate(s.ballast, 0)
	if err == nil {
		err = os.Remove(s.ballast)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.log.Error("cannot free the queue ballast", slog.Any("error", err))
		return true
	}
	s.log.Warn("disk is full, queue ballast freed; no mail is accepted until space is freed",
		slog.String("path", s.opts.Path))
	return true
}

// refillBallast makes the ballast again once there is room, and mail is accepted again.
func (s *Store) refillBallast() {
	if !s.space.IsFull() || !s.space.Allows(s.opts.BallastSize) {
		return
	}
	if err := disk.MakeBallast(s.ballast, s.opts.BallastSize); err != nil {
		s.log.Warn("cannot refill the queue ballast", slog.Any("error", err))
		return
	}
	s.space.SetFull(false)
	s.log.Info("disk has space again, queue ballast refilled")
}
