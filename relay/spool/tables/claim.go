package tables

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
)

// Claim implements spool.Lanes.
//
// The message that is due next is at one place of an index, so the writer itself
// looks: it has the pages in memory, while a reader must fetch them again after
// each commit. A search (behind a hold of some mail, or for a probe) may pass thousands
// of messages, so a reader does it.
func (s *Store) Claim(ctx context.Context, c spool.Claim) ([]spool.Record, error) {
	if err := s.Sick(); err != nil {
		return nil, err
	}
	if !s.tally.waits(c.Mailbox.Key()) {
		return nil, nil
	}
	if c.Probe || len(c.ExceptFrom) > 0 || c.ExceptOver > 0 {
		return s.searchAndTake(ctx, c)
	}
	return s.take(ctx, c, func(t *Tx) ([]stored, error) { return findDue(t.Conn, c) })
}

// searchAndTake looks for messages with a reading connection, and the writer then
// takes those that have not changed since. So a long search delays nobody, and no
// message is taken twice. If other claims took all that were found, it looks again.
func (s *Store) searchAndTake(ctx context.Context, c spool.Claim) (taken []spool.Record, err error) {
	for len(taken) == 0 && s.tally.waits(c.Mailbox.Key()) {
		found, err := db.Read(ctx, s.Readers, func(conn *db.Conn) ([]stored, error) {
			found, err := findDue(conn, c)
			if err == nil && len(found) == 0 {
				err = findNext(conn, c, nil)
			}
			return found, err
		})
		if err != nil || len(found) == 0 {
			return nil, err
		}
		taken, err = s.take(ctx, c, func(*Tx) ([]stored, error) { return found, nil })
		if err != nil {
			return nil, err
		}
	}
	return taken, nil
}

func findDue(conn *db.Conn, c spool.Claim) (found []stored, err error) {
	if len(c.Turns) == 0 {
		return findOf(conn, c, "", spool.Quota{Limit: c.Count()})
	}
	for _, q := range c.Turns {
		q.Limit = min(max(q.Limit, 1), c.Count()-len(found))
		if q.Limit <= 0 {
			break
		}
		of, err := findOf(conn, c, " AND turn = ? AND next >= ?", q, turnCode(q.Turn), nanos(q.After))
		if err != nil {
			return nil, err
		}
		found = append(found, of...)
	}
	return found, nil
}

// findOf finds what is due, of some turn if where says so.
func findOf(conn *db.Conn, c spool.Claim, where string, q spool.Quota, of ...any) ([]stored, error) {
	sql, args := dueQuery(c, where, of)
	found, err := readRecords(conn, sql, append(args, int64(q.Limit))...)
	slices.SortFunc(found, func(a, b stored) int {
		byDue := cmp.Or(a.NextAttempt.Compare(b.NextAttempt), cmp.Compare(a.n, b.n))
		if c.Probe {
			return cmp.Or(a.LastAttempt.Compare(b.LastAttempt), byDue)
		}
		return byDue
	})
	return found, err
}

// dueQuery finds the numbers in the index alone, and reads only the messages it wants.
func dueQuery(c spool.Claim, where string, of []any) (string, []any) {
	args := append([]any{c.Mailbox.Key()}, of...)
	sql := "SELECT n FROM message INDEXED BY due WHERE state = 0 AND lane = ?" + where
	switch {
	case c.Probe:
	case c.TriedBefore.IsZero():
		sql += " AND next <= ?"
		args = append(args, nanos(c.Now))
	default:
		sql += " AND (next <= ? OR last < ? AND unknown = 0)"
		args = append(args, nanos(c.Now), nanos(c.TriedBefore))
	}
	if len(c.ExceptFrom) > 0 {
		sql += " AND sender_hash NOT IN (?" + strings.Repeat(", ?", len(c.ExceptFrom)-1) + ")"
		for _, from := range c.ExceptFrom {
			args = append(args, senderHash(from))
		}
	}
	if !c.OnlyFrom.IsZero() {
		sql += " AND sender_hash = ?"
		args = append(args, senderHash(c.OnlyFrom))
	}
	if c.ExceptOver > 0 {
		sql += " AND size <= ?"
		args = append(args, c.ExceptOver)
	}
	if c.OnlyOver > 0 {
		sql += " AND size > ?"
		args = append(args, c.OnlyOver)
	}
	// SQLite plans a query again for each value of a bare "LIMIT ?", which cost
	// a tenth of all processor time here; it does not look into a sum.
	order := " ORDER BY next, n LIMIT 0+?"
	if c.Probe {
		order = " ORDER BY last, next, n LIMIT 0+?"
	}
	return "SELECT " + recordColumns + " FROM message WHERE n IN (" + sql + order + ")", args
}

// take records an attempt for each message that find returns and that has not changed since.
func (s *Store) take(ctx context.Context, c spool.Claim, find func(*Tx) ([]stored, error)) ([]spool.Record, error) {
	var taken []stored
	now := c.Now
	err := s.Change(ctx, true, func(t *Tx) error {
		taken = taken[:0]
		if mine, err := s.own(t, c.Mailbox.Key()); err != nil || !mine {
			return err
		}
		found, err := find(t)
		if err != nil {
			return err
		}
		for _, m := range found {
			ok, err := takeOne(t, m, now)
			if err != nil {
				return err
			}
			if ok {
				m.State, m.LastAttempt, m.NextAttempt = spool.Sending, now, time.Time{}
				m.Attempts++
				taken = append(taken, m)
			}
		}
		return findNext(t.Conn, c, found)
	})
	if err != nil {
		return nil, err
	}
	for _, m := range taken {
		s.open.note(m)
	}
	return records(taken), nil
}

// findNext answers when the rest of each turn is due.
func findNext(conn *db.Conn, c spool.Claim, found []stored) error {
	if c.Probe {
		return nil
	}
	of := map[int64]int{}
	for _, m := range found {
		of[m.turn]++
	}
	for i := range c.Turns {
		q, code := &c.Turns[i], turnCode(c.Turns[i].Turn)
		from := nanos(q.After)
		if of[code] < max(q.Limit, 1) {
			from = nanos(c.Now) + 1
		}
		next, err := conn.Number(`SELECT CASE WHEN next > 1 THEN next ELSE 1 END FROM message INDEXED BY due
			WHERE state = 0 AND lane = ? AND turn = ? AND next >= ? ORDER BY next LIMIT 1`, c.Mailbox.Key(), code, from)
		if err != nil {
			return err
		}
		q.Next = timeOf(next)
	}
	return nil
}

func records(list []stored) []spool.Record {
	out := make([]spool.Record, len(list))
	for i, m := range list {
		out[i] = m.Record
	}
	return out
}

func takeOne(t *Tx, m stored, now time.Time) (bool, error) {
	attempt, implied := int64(m.Attempts)+1, int64(0)
	if m.events == 0 {
		implied = attemptImplied
	}
	changed, err := t.Exec(`UPDATE message SET state = 1, attempts = ?, last = ?, next = 0, events = events + 1,
		implied = ? WHERE n = ? AND state = 0 AND events = ?`, attempt, nanos(now), implied, m.n, m.events)
	if err != nil || changed == 0 {
		return false, err
	}
	t.attempts = append(t.attempts, recordedAttempt{n: m.n, attempt: attempt})
	t.shifts = append(t.shifts, shift{
		lane: m.Mailbox.Key(), turn: m.turn, client: m.Turn().Client, size: m.Size,
		from: counted(codeQueued, attempt-1), to: codeSending,
	})
	if err := expressFirst(t, m); err != nil || implied > 0 {
		return true, err
	}
	e := spool.Event{At: now, Kind: spool.Attempted, Attempt: int(attempt)}
	return true, insertEvent(t.Conn, m.n, m.events+1, &e)
}

// Unclaim implements spool.Lanes. Taking an attempt back twice is not an error.
func (s *Store) Unclaim(ctx context.Context, id envelope.QueueID, attempt int, next time.Time) error {
	err := s.Change(ctx, true, func(t *Tx) error {
		b, err := s.findOpenAttempt(t.Conn, id)
		if err != nil {
			return err
		}
		if b.state == codeQueued && b.attempts == int64(attempt)-1 {
			return nil
		}
		if b.state != codeSending || b.attempts != int64(attempt) {
			return wrongState(b, "take back")
		}
		const sql = "UPDATE message SET state = 0, attempts = attempts - 1, next = ? WHERE n = ?"
		if err := t.Run(sql, nanos(next), b.n); err != nil {
			return err
		}
		t.shifts = append(t.shifts, shift{
			lane: b.lane, turn: b.turn, client: b.client, size: b.size,
			from: codeSending, to: counted(codeQueued, b.attempts-1),
		})
		return forgetAttempt(t.Conn, b.n, int64(attempt))
	})
	if err == nil {
		s.open.forget(id)
	}
	return err
}

// forgetAttempt removes from the history an attempt that was not made.
func forgetAttempt(c *db.Conn, n, attempt int64) error {
	if err := c.Run("DELETE FROM event WHERE n = ? AND attempt = ?", n, attempt); err != nil {
		return err
	}
	return c.Run(`UPDATE message SET events = events + 1, implied = 0, last =
		coalesce((SELECT max(at) FROM event WHERE n = ? AND kind = ?), 0) WHERE n = ?`, n, string(spool.Attempted), n)
}

// findOpenAttempt is find for a message whose attempt is open.
func (s *Store) findOpenAttempt(c *db.Conn, id envelope.QueueID) (brief, error) {
	if p, ok := s.open.place(id); ok {
		return findBy(c, "n = ?", p.n, id)
	}
	return find(c, id)
}
