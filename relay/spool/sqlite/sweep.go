package sqlite

import (
	"context"
	"log/slog"
	"time"

	"graphrelay/relay/spool/db"
)

// How much one step of the sweeper does. A step takes some milliseconds, and
// waiting changes are made before the next.
const (
	sweepRows   = 100 // messages without a body
	sweepWords  = 2000
	sweepBodies = 4
	vacuumPages = 128
	pageSize    = 4096
	// keepPages stay free inside the database for future mail: giving them back
	// and taking them again would be wasted work.
	keepPages = 4096
)

// Sweep implements spool.Store. The history of Failed messages stays as long as
// their body; Damaged ones stay. It also brings times of next attempts that are
// beyond Options.MaxDelay back.
func (s *Store) Sweep(ctx context.Context, now time.Time, keepHistory, keepFailed time.Duration) error {
	ended := now.Add(-keepHistory)
	steps := []func(*tx) (bool, error){
		func(t *tx) (bool, error) { return dropBodies(t, now.Add(-keepFailed)) },
		func(t *tx) (bool, error) { return sweepSome(t, codeSent, ended) },
		func(t *tx) (bool, error) { return sweepSome(t, codeFailed, ended) },
		func(t *tx) (bool, error) { return sweepSome(t, codeDeleted, ended) },
		func(t *tx) (bool, error) { return sweepRefusals(t, ended) },
		func(t *tx) (bool, error) { return false, clampNext(t.Conn, s.tally.snapshot(), now, s.opts.MaxDelay) },
		func(t *tx) (bool, error) { return vacuumSome(t.Conn) },
	}
	for _, step := range steps {
		if err := s.sweepAll(ctx, step); err != nil {
			return err
		}
	}
	return s.small(ctx, true, func(t *tx) error {
		s.refillBallast()
		free, err := freeInside(t.Conn)
		s.space.SetInside(free)
		return err
	})
}

// sweepAll repeats a step while it finds something to do, and leaves the
// writer to others for at least half of the time.
func (s *Store) sweepAll(ctx context.Context, step func(*tx) (bool, error)) error {
	for more := true; more; {
		began := time.Now()
		err := s.big(ctx, func(t *tx) (err error) {
			more, err = step(t)
			return err
		})
		if err != nil || !more {
			return err
		}
		select {
		case <-time.After(time.Since(began)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// sweepSome deletes some messages without a body that were finished before a time.
func sweepSome(t *tx, state int64, before time.Time) (more bool, err error) {
	old, err := finished(t.Conn, state, true, before, sweepRows)
	if err != nil {
		return false, err
	}
	words := 0
	for _, b := range old {
		n, err := deleteRows(t.Conn, b.n)
		if err != nil {
			return false, err
		}
		t.shifts = append(t.shifts, shift{lane: b.lane, from: state, to: none})
		if words += n; words > sweepWords {
			return true, nil // messages to many recipients; the next step does the rest
		}
	}
	return len(old) == sweepRows, nil
}

// dropBodies deletes the bodies of some Failed messages. Their rows stay with
// their history; a report that could not be sent until now is not owed any more.
func dropBodies(t *tx, before time.Time) (more bool, err error) {
	old, err := finished(t.Conn, codeFailed, false, before, sweepBodies)
	if err != nil {
		return false, err
	}
	for _, b := range old {
		if err := deleteBody(t.Conn, b.n); err != nil {
			return false, err
		}
		const gone = "UPDATE message SET body_gone = 1, report = min(2 * report, 2), events = events + 1 WHERE n = ?"
		if err := t.Run(gone, b.n); err != nil {
			return false, err
		}
		t.shifts = append(t.shifts, shift{lane: b.lane, from: codeFailed, to: none, size: b.size},
			shift{lane: b.lane, from: none, to: codeFailed})
	}
	return len(old) == sweepBodies, nil
}

// finished finds up to limit messages that were finished before a time, earliest first.
func finished(c *db.Conn, state int64, bodyGone bool, before time.Time, limit int64) ([]brief, error) {
	return db.All(c, "SELECT "+briefColumns+` FROM message INDEXED BY done
		WHERE finished > 0 AND state = ? AND body_gone = ? AND finished < ? ORDER BY finished LIMIT ?`,
		[]any{state, bodyGone, nanos(before), limit}, readBrief)
}

// freeInside is how many bytes of the database hold nothing.
func freeInside(c *db.Conn) (int64, error) {
	pages, err := c.Number("PRAGMA freelist_count")
	return pages * pageSize, err
}

// vacuumSome gives some free pages at the end of the file back to the system.
func vacuumSome(c *db.Conn) (more bool, err error) {
	free, err := c.Number("PRAGMA freelist_count")
	if err != nil || free <= keepPages {
		return false, err
	}
	err = c.Run("PRAGMA incremental_vacuum(128)")
	return err == nil && free > keepPages+vacuumPages, err
}

// giveBack makes room at once where the disk has none for new mail: what is free inside
// the database counts, and an empty queue returns that and its log to the system. It
// runs in the writer.
func (s *Store) giveBack() {
	if s.sick() != nil || s.space.Room() == nil {
		return
	}
	free, err := freeInside(s.writer)
	if err != nil {
		return // the next commit finds out more
	}
	if s.space.SetInside(free); s.tally.queue() > 0 || free == 0 && s.walGrowth == 0 || s.checkpointing.Load() {
		return
	}
	for range 16 {
		ch := &change{redo: true, done: make(chan struct{}), apply: func(t *tx) error {
			return t.Run("PRAGMA incremental_vacuum(1024)")
		}}
		if s.commit([]*change{ch}); ch.err != nil {
			return
		}
	}
	if emptyWAL(s.writer) == nil { // else somebody reads, and the next time will do
		s.walGrowth = 0
		s.space.SetInside(0)
	}
}

// clampNext repairs the times that a wrong clock has left: no message waits longer than
// the longest delay, nor for a time that was planned by a clock that was ahead of this
// one, as that of its last attempt shows. Such a message is due.
func clampNext(c *db.Conn, lanes []laneTally, now time.Time, longest time.Duration) error {
	if longest <= 0 {
		return nil
	}
	due, latest, ahead := nanos(now), nanos(now.Add(longest)), nanos(now.Add(clockSlack))
	for _, l := range lanes {
		err := c.Run(`UPDATE message INDEXED BY due SET next = ?, events = events + 1
			WHERE state = 0 AND lane = ? AND next > ? AND (next > ? OR last > ?)`, due, l.lane, due, latest, ahead)
		if err != nil {
			return err
		}
	}
	return nil
}

// clockSlack is how far a clock may step back without harm.
const clockSlack = 30 * time.Second

// checkClock repairs them at once when the clock was set back. It runs in the writer.
func (s *Store) checkClock() {
	now := s.opts.Now().Round(0) // the time of day
	back := s.lastTick.Sub(now)
	s.lastTick = now
	if back < clockSlack {
		return
	}
	s.log.Warn("clock was set back; mail that waits for a time of before is due now", slog.Duration("by", back))
	s.commit([]*change{{redo: true, done: make(chan struct{}), apply: func(t *tx) error {
		return clampNext(t.Conn, s.tally.snapshot(), now, s.opts.MaxDelay)
	}}})
}
