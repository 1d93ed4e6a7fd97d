package tables

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/text"
)

// health is the writer's own state; others read it under the lock.
type health struct {
	err     error // nil while healthy
	lost    marks // of every failed batch since the last recovery that succeeded
	retryAt time.Time
	backoff time.Duration
}

// Sick returns nil, or an ErrUnhealthy that says what to do. It is an ErrFull, too, if
// there is no room: clients read 452 then.
func (s *Store) Sick() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.health.err == nil {
		return nil
	}
	if c, ok := errors.AsType[text.Cause](s.health.err); ok {
		return fmt.Errorf("%w: %w", spool.ErrUnhealthy, c)
	}
	return fmt.Errorf("%w: %w", spool.ErrUnhealthy, s.host.Cause(s.health.err))
}

// recover brings the store back after a failed commit, or leaves it unhealthy.
//
// After a failed commit nobody knows what the database holds, and what the failed
// transaction wrote may still come back. So the Host opens it again as it is, the
// marks of the failed transactions are wiped, and a commit proves that it accepts
// writes again.
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
		s.Options.Log.Info("queue recovered after a failed commit")
		return nil
	}
	s.host.Ease(err)
	if noteErr := s.host.Note(all.accepted); noteErr != nil {
		err = errors.Join(err, fmt.Errorf("noting the lost messages: %w", noteErr))
	}
	s.becomeSick(err)
	return s.Sick()
}

func (s *Store) becomeSick(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.health
	h.backoff = min(max(2*h.backoff, s.Options.Tick), s.Options.Backoff)
	h.err, h.retryAt = err, time.Now().Add(h.backoff)
	s.Options.Log.Error("queue is unhealthy, no mail is accepted",
		slog.Any("error", err), slog.Duration("retry_in", h.backoff))
}

// Recover is for a Host that has failed to write outside of a transaction: nobody knows any
// more what the database holds.
func (s *Store) Recover(failure error) {
	s.host.Ease(failure)
	_ = s.recover(marks{}) // Health returns its error
}

// housekeep runs in the writer at each tick.
func (s *Store) housekeep() {
	s.mu.Lock()
	well, due := s.health.err == nil, !time.Now().Before(s.health.retryAt)
	s.mu.Unlock()
	switch {
	case well:
		if err := s.host.Ours(); err != nil {
			s.becomeSick(err)
		} else {
			s.bringBackLater()
		}
	case due:
		_ = s.recover(marks{}) // Health returns its error
	}
	s.checkClock()
}

// reopen is the procedure itself; see recover.
func (s *Store) reopen(lost marks) error {
	if err := s.host.Ours(); err != nil {
		return err
	}
	s.Readers.Shut()
	defer s.Readers.Reopen()
	var err error
	s.writer, err = s.host.Reopen(s.writer, func(c *db.Conn) error {
		tried, err := wipe(c, lost)
		if err != nil {
			return fmt.Errorf("removing what was not accepted: %w", err)
		}
		if len(tried) > 0 {
			s.Options.Log.Warn("messages that were refused for now have been tried and stay in the queue: "+
				"recipients may get them twice", slog.Any("queue_ids", tried))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.recount(s.writer)
}

// Wipe removes messages that were refused, as the Host has noted them, at a start: nobody has
// begun the attempts that some were stored with.
func Wipe(c *db.Conn, lost []envelope.QueueID) error {
	return c.Transaction(func() error {
		for _, id := range lost {
			b, err := find(c, id)
			if err == nil {
				err = deleteMessage(c, b)
			}
			if err != nil && !errors.Is(err, spool.ErrNotFound) {
				return err
			}
		}
		return nil
	})
}

// wipe removes messages whose callers got an error, and takes back attempts that
// no caller got. Everything else in a failed transaction either happened or did
// not, as its row now says. It returns the messages that stay, for somebody has tried them.
func wipe(c *db.Conn, lost marks) (tried []envelope.QueueID, err error) {
	err = c.Transaction(func() error {
		tried = nil
		for _, a := range lost.attempts { // first, for they may be of messages that go
			if err := takeBack(c, a); err != nil {
				return err
			}
		}
		for _, id := range lost.accepted {
			b, err := find(c, id)
			switch {
			case errors.Is(err, spool.ErrNotFound):
				continue
			case err == nil && b.attempts > 0:
				tried = append(tried, id)
				continue
			case err == nil:
				err = deleteMessage(c, b)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return tried, err
}

func deleteMessage(c *db.Conn, b brief) error {
	if err := oweAgain(c, b.n); err != nil {
		return err
	}
	if err := deleteBody(c, b.n); err != nil {
		return err
	}
	_, err := deleteRows(c, b.n)
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
