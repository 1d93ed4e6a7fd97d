package tables

import (
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
)

// Most messages are sent at their first attempt. The two events of that are not stored:
// the row of the message, which is written anyway, says the same. They are the first of
// its history, so that whatever else happens to it has a row behind them, and what
// would overwrite them is written behind one.

// How many of the first events of a message its row stands for.
const (
	attemptImplied = int64(1) // the first attempt
	sentImplied    = int64(2) // and that it was sent
)

// impliesSent returns whether the row of a message says all of the outcome of its attempt.
func impliesSent(b brief, o *spool.Settlement) bool {
	return b.implied == attemptImplied && b.events == 1 && o.State == spool.Sent && !o.Unknown && !o.At.IsZero()
}

// expressFirst stores the first attempt of a message as an event, before another one begins.
func expressFirst(t *Tx, m stored) error {
	if m.implied == 0 {
		return nil
	}
	e := spool.Event{At: m.LastAttempt, Kind: spool.Attempted, Attempt: 1}
	return insertEvent(t.Conn, m.n, 1, &e)
}

// told is what the row of a message says of its history.
type told struct {
	n        int64
	accepted time.Time
	events   []spool.Event
}

const toldColumns = "n, accepted, implied, last, finished, status, text, request, http, duration"

func readTold(r *db.Row) (told, error) {
	x, implied := told{n: r.Int(), accepted: timeOf(r.Int())}, r.Int()
	attempt := spool.Event{At: timeOf(r.Int()), Kind: spool.Attempted, Attempt: 1}
	sent := spool.Event{
		At: timeOf(r.Int()), Kind: spool.EventSent, Attempt: 1, Status: statusOf(r.Int()), Text: r.Str(),
		RequestID: r.Str(), HTTPStatus: int(r.Int()), Duration: time.Duration(r.Int()),
	}
	x.events = []spool.Event{attempt, sent}[:min(max(implied, 0), sentImplied)]
	return x, r.Err
}

// history reads the events of a message.
func history(c *db.Conn, id envelope.QueueID) ([]spool.Event, error) {
	found, err := allOf(c, "SELECT "+toldColumns+" FROM message WHERE id = ?", []any{string(id)}, readTold)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, spool.NotFound(id)
	}
	x := found[0]
	rows, err := allOf(c, "SELECT "+eventColumns+" FROM event WHERE n = ? ORDER BY seq", []any{x.n}, readEvent)
	if len(rows) > 0 && rows[0].Kind == spool.Attempted && rows[0].Attempt == 1 {
		x.events = nil // it was written meanwhile
	}
	return spool.History(id, x.accepted, append(x.events, rows...)), err
}
