package spool

import (
	"context"

	"graphrelay/relay/envelope"
)

// view is the reading side of a store.
type view struct {
	readers *pool
	tally   *tally
	claims  *claims
	sparse  int64 // see search; tests lower it
}

// Get implements Store.
func (v *view) Get(ctx context.Context, id envelope.QueueID) (Record, error) {
	var found []stored
	err := v.readers.with(ctx, func(c *conn) (err error) {
		found, err = readRecords(c, "SELECT "+recordColumns+" FROM message WHERE id = ?", string(id))
		return err
	})
	if err != nil {
		return Record{}, err
	}
	if len(found) == 0 {
		return Record{}, notFound(id)
	}
	return found[0].Record, nil
}
