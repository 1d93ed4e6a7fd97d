package tables

import (
	"context"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
)

func wrongState(b brief, doing string) error {
	return spool.WrongState(b.id, doing, stateName(b.state), int(b.attempts))
}

// Settle implements spool.Lanes. Settling an attempt twice in the same way is not
// an error: a caller whose Settle failed cannot know whether it was recorded.
func (s *Store) Settle(ctx context.Context, o spool.Settlement) error {
	if err := spool.CheckOutcome(o.State); err != nil {
		return err
	}
	to := stateCode(o.State)
	err := s.submit(ctx, s.smalls, &change{redo: true, rides: o.MayWait, apply: func(t *Tx) error {
		b, err := s.findOpenAttempt(t.Conn, o.ID)
		if err != nil {
			return err
		}
		attempt := int64(o.Attempt)
		if b.state == to && b.settled == attempt && b.attempts == attempt {
			return nil
		}
		if b.state != codeSending || b.attempts != attempt {
			return wrongState(b, "settle")
		}
		return settle(t, b, to, &o)
	}})
	if err == nil {
		s.open.forget(o.ID)
	}
	return err
}

func settle(t *Tx, b brief, to int64, o *spool.Settlement) error {
	e := eventOf(o)
	also := set{
		columns: ", settled = ?, unknown = ?, status = ?, text = ?, request = ?",
		values:  []any{b.attempts, o.Unknown, statusCode(o.Status), spool.CutText(o.Text), spool.CutText(o.RequestID)},
	}
	if also.implied = impliesSent(b, o); also.implied {
		also.columns += ", implied = ?, http = ?, duration = ?"
		also.values = append(also.values, sentImplied, int64(o.HTTPStatus), int64(o.Duration))
	}
	return enter(t, b, to, o.NextAttempt, &e, also)
}

// eventOf is what the history has of an outcome.
func eventOf(o *spool.Settlement) spool.Event {
	return spool.Event{
		At: o.At, Kind: spool.OutcomeEvent(o.State), Attempt: o.Attempt, Status: o.Status, Text: o.Text,
		RequestID: o.RequestID, HTTPStatus: o.HTTPStatus, Duration: o.Duration, Unknown: o.Unknown,
	}
}

// set is further columns for the one UPDATE of a change of state: a second UPDATE
// would find and write the row once more.
type set struct {
	columns string // each ", name = ?"
	values  []any
	implied bool // the event needs no row
}

// enter moves a message into a state, with a row of history and all that the state implies.
func enter(t *Tx, b brief, to int64, next time.Time, e *spool.Event, also set) error {
	at := nanos(e.At)
	var heldSince, finished, due int64
	heldFor := b.heldFor
	if b.state == codeHeld {
		heldFor += max(at-b.heldSince, 0)
	}
	switch to {
	case codeQueued:
		due = nanos(next)
	case codeHeld:
		heldSince = at
	default:
		finished = max(at, 1)
	}
	gone := b.bodyGone || !hasBody(to)
	values := []any{to, due, heldFor, heldSince, finished, gone, reportAfter(b.report, to)}
	err := t.Run(`UPDATE message SET state = ?, next = ?, held_for = ?, held_since = ?, finished = ?,
		events = events + 1, body_gone = ?, report = ?`+also.columns+` WHERE n = ?`,
		append(append(values, also.values...), b.n)...)
	if err != nil {
		return err
	}
	if !hasBody(to) && !b.bodyGone {
		if err := deleteBody(t.Conn, b.n); err != nil {
			return err
		}
	}
	t.shifts = append(t.shifts, shift{
		lane: b.lane, turn: b.turn, client: b.client, size: b.storedSize(),
		from: counted(b.state, b.attempts), to: counted(to, b.attempts),
	})
	if also.implied {
		return nil
	}
	return insertEvent(t.Conn, b.n, b.events+1, e)
}

func deleteBody(c *db.Conn, n int64) error {
	return c.Run("DELETE FROM chunk WHERE id >= ? AND id < ?", n<<chunkBits, (n+1)<<chunkBits)
}

// deleteRows removes a message with its history, and returns how many words it had.
func deleteRows(c *db.Conn, n int64) (words int, err error) {
	if words, err = deleteWords(c, n); err != nil {
		return words, err
	}
	if err := c.Run("DELETE FROM event WHERE n = ?", n); err != nil {
		return words, err
	}
	return words, c.Run("DELETE FROM message WHERE n = ?", n)
}

// Move implements spool.Operator. Moving a message into the state it has is not
// an error; a Queued one gets the new time.
func (s *Store) Move(
	ctx context.Context, id envelope.QueueID, to spool.State, next time.Time, why string, at time.Time,
) error {
	if err := to.Check(); err != nil {
		return err
	}
	return s.move(ctx, id, to, next, &spool.Event{At: at, Kind: spool.MoveEvent(to), Text: why})
}

// Retry implements spool.Operator.
func (s *Store) Retry(ctx context.Context, id envelope.QueueID, next time.Time, why string, at time.Time) error {
	return s.move(ctx, id, spool.Queued, next, &spool.Event{At: at, Kind: spool.EventRetried, Text: why})
}

func (s *Store) move(ctx context.Context, id envelope.QueueID, to spool.State, next time.Time, e *spool.Event) error {
	code := stateCode(to)
	return s.Change(ctx, true, func(t *Tx) error {
		b, err := find(t.Conn, id)
		switch {
		case err != nil:
			return err
		case b.state == code && code != codeQueued:
			return nil
		case !spool.CanMove(stateName(b.state), to, b.bodyGone):
			return wrongState(b, "move to "+string(to))
		}
		var also set
		if spool.MoveSetsText(stateName(b.state), to) {
			also = set{columns: ", status = 0, text = ?", values: []any{spool.CutText(e.Text)}}
		}
		return enter(t, b, code, next, e, also)
	})
}

// Delete implements spool.Operator. Deleting a message twice is not an error.
func (s *Store) Delete(ctx context.Context, id envelope.QueueID, why string, at time.Time) error {
	return s.Change(ctx, true, func(t *Tx) error {
		b, err := find(t.Conn, id)
		switch {
		case err != nil:
			return err
		case b.state == codeDeleted:
			return nil
		case !spool.CanDelete(stateName(b.state)):
			return wrongState(b, "delete")
		}
		return enter(t, b, codeDeleted, time.Time{}, &spool.Event{At: at, Kind: spool.EventDeleted, Text: why}, set{})
	})
}
