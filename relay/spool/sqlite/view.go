package sqlite

import (
	"context"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// view is the reading side of a store.
type view struct {
	readers      *pool
	tally        *tally
	openAttempts *openAttempts
	sparse       int64 // see search; tests lower it
}

// Get implements Store.
func (v *view) Get(ctx context.Context, id envelope.QueueID) (spool.Record, error) {
	var found []stored
	err := v.readers.with(ctx, func(c *conn) (err error) {
		found, err = readRecords(c, "SELECT "+recordColumns+" FROM message WHERE id = ?", string(id))
		return err
	})
	if err != nil {
		return spool.Record{}, err
	}
	if len(found) == 0 {
		return spool.Record{}, spool.NotFound(id)
	}
	return found[0].Record, nil
}

// History implements Store.
func (v *view) History(ctx context.Context, id envelope.QueueID) ([]spool.Event, error) {
	var events []spool.Event
	err := v.readers.with(ctx, func(c *conn) error {
		b, err := find(c, id)
		if err != nil {
			return err
		}
		events = []spool.Event{{ID: id, At: timeOf(b.accepted), Kind: spool.Accepted}}
		return c.query(`SELECT at, kind, attempt, status, text, request, http, duration
			FROM event WHERE n = ? ORDER BY seq`, []any{b.n}, func(r *row) error {
			events = append(events, readEvent(r, id))
			return nil
		})
	})
	return events, err
}
