package sqlite

import (
	"context"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite/db"
)

// view is the reading side of a store.
type view struct {
	readers      *db.Pool
	tally        *tally
	openAttempts *openAttempts
	sparse       int64 // see search; tests lower it
}

// Get implements Store.
func (v *view) Get(ctx context.Context, id envelope.QueueID) (spool.Record, error) {
	var found []stored
	err := v.readers.With(ctx, func(c *db.Conn) (err error) {
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
	err := v.readers.With(ctx, func(c *db.Conn) error {
		b, err := find(c, id)
		if err != nil {
			return err
		}
		events = []spool.Event{{ID: id, At: timeOf(b.accepted), Kind: spool.Accepted}}
		return c.Query(`SELECT at, kind, attempt, status, text, request, http, duration
			FROM event WHERE n = ? ORDER BY seq`, []any{b.n}, func(r *db.Row) error {
			events = append(events, readEvent(r, id))
			return nil
		})
	})
	return events, err
}
