package tables

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
)

// Sweep implements spool.Store. The history of Failed messages stays as long as
// their body; Damaged ones stay. It also brings times of next attempts that are
// beyond Options.MaxDelay back.
func (s *Store) Sweep(ctx context.Context, now time.Time, keepHistory, keepFailed time.Duration) error {
	ended := now.Add(-keepHistory)
	steps := []func(*Tx) (bool, error){
		func(t *Tx) (bool, error) { return dropBodies(t, now.Add(-keepFailed)) },
		func(t *Tx) (bool, error) { return sweepSome(t, codeSent, ended) },
		func(t *Tx) (bool, error) { return sweepSome(t, codeFailed, ended) },
		func(t *Tx) (bool, error) { return sweepSome(t, codeDeleted, ended) },
		func(t *Tx) (bool, error) { return sweepRefusals(t, ended) },
		func(t *Tx) (bool, error) {
			return false, clampNext(t.Conn, s.tally.snapshot(), now, s.Options.MaxDelay)
		},
		func(t *Tx) (bool, error) { return s.host.Shrink(t.Conn) },
	}
	for _, step := range steps {
		if err := s.sweepAll(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

// sweepAll repeats a step while it finds something to do, and leaves the
// writer to others for at least half of the time.
func (s *Store) sweepAll(ctx context.Context, step func(*Tx) (bool, error)) error {
	for more := true; more; {
		began := time.Now()
		err := s.big(ctx, func(t *Tx) (err error) {
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
func sweepSome(t *Tx, state int64, before time.Time) (more bool, err error) {
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
func dropBodies(t *Tx, before time.Time) (more bool, err error) {
	old, err := finished(t.Conn, codeFailed, false, before, sweepBodies)
	if err != nil {
		return false, err
	}
	for _, b := range old {
		if err := deleteBody(t.Conn, b.n); err != nil {
			return false, err
		}
		const gone = `UPDATE message SET body_gone = 1, events = events + 1,
			report = CASE report WHEN 0 THEN 0 ELSE 2 END WHERE n = ?`
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
	now := s.Options.Now().Round(0) // the time of day
	back := s.lastTick.Sub(now)
	s.lastTick = now
	if back < clockSlack {
		return
	}
	s.Options.Log.Warn("clock was set back; mail that waits for a time of before is due now", slog.Duration("by", back))
	_ = s.Apply(func(t *Tx) error { // an error makes the store unhealthy
		return clampNext(t.Conn, s.tally.snapshot(), now, s.Options.MaxDelay)
	})
}
