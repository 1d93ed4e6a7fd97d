package spool

import (
	"context"
	"fmt"
	"time"

	"graphrelay/relay/envelope"
)

func notFound(id envelope.QueueID) error { return fmt.Errorf("%w: %s", ErrNotFound, id) }

func durationOf(n int64) time.Duration { return time.Duration(n) }

// insertEvent stores a row of history. seq numbers the events of a message;
// there may be gaps. That a message was accepted is not stored as an event:
// its own row says it.
func insertEvent(c *conn, n, seq int64, e *Event) error {
	_, err := c.exec("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		n, seq, nanos(e.At), string(e.Kind), int64(e.Attempt), statusCode(e.Status), cut(e.Text),
		cut(e.RequestID), int64(e.HTTPStatus), int64(e.Duration))
	return err
}

func readEvent(r *row, id envelope.QueueID) Event {
	return Event{
		ID: id, At: timeOf(r.int()), Kind: EventKind(r.str()), Attempt: int(r.int()), Status: statusOf(r.int()),
		Text: r.str(), RequestID: r.str(), HTTPStatus: int(r.int()), Duration: durationOf(r.int()),
	}
}

// History implements Store.
func (v *view) History(ctx context.Context, id envelope.QueueID) ([]Event, error) {
	var events []Event
	err := v.readers.with(ctx, func(c *conn) error {
		b, err := find(c, id)
		if err != nil {
			return err
		}
		events = []Event{{ID: id, At: timeOf(b.accepted), Kind: Accepted}}
		return c.query(`SELECT at, kind, attempt, status, text, request, http, duration
			FROM event WHERE n = ? ORDER BY seq`, []any{b.n}, func(r *row) error {
			events = append(events, readEvent(r, id))
			return nil
		})
	})
	return events, err
}
