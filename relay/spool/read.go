package spool

import (
	"cmp"
	"context"
	"slices"

	"graphrelay/relay/envelope"
)

// view is the reading side of a store.
type view struct {
	readers *pool
	tally   *tally
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

// The limits of List.
const (
	defaultPage = 100
	maxPage     = 1000
)

// List implements Store. A Limit above 1,000 is taken as 1,000.
func (v *view) List(ctx context.Context, f Filter) ([]Record, error) {
	limit := f.Limit
	if limit <= 0 {
		limit = defaultPage
	}
	limit = min(limit, maxPage)
	var found []stored
	err := v.readers.with(ctx, func(c *conn) (err error) {
		found, err = list(c, f, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b stored) int { return cmp.Compare(a.ID, b.ID) })
	records := make([]Record, 0, min(limit, len(found)))
	for _, s := range found[:min(limit, len(found))] {
		records = append(records, s.Record)
	}
	return records, nil
}

// list reads up to limit messages of each wanted state, by the index that
// serves it. All of them, or only those sent, are read by queue ID.
func list(c *conn, f Filter, limit int) ([]stored, error) {
	if len(f.States) == 0 {
		return listSome(c, f, "message INDEXED BY sqlite_autoindex_message_1 WHERE true", limit)
	}
	var found []stored
	for _, state := range slices.Compact(slices.Sorted(slices.Values(f.States))) {
		code, err := stateCode(state)
		if err != nil {
			return nil, err
		}
		from := "message INDEXED BY by_state WHERE state <> 5 AND state = ?"
		if code == codeSent {
			from = "message INDEXED BY sqlite_autoindex_message_1 WHERE state = ?"
		}
		some, err := listSome(c, f, from, limit, code)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	return found, nil
}

func listSome(c *conn, f Filter, from string, limit int, args ...any) ([]stored, error) {
	sql := "SELECT " + recordColumns + " FROM " + from + " AND id > ?"
	args = append(args, string(f.After))
	if !f.Mailbox.IsZero() {
		sql += " AND lane = ?"
		args = append(args, f.Mailbox.Key())
	}
	return readRecords(c, sql+" ORDER BY id LIMIT ?", append(args, int64(limit))...)
}
