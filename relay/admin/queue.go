package admin

import (
	"context"
	"errors"
	"io"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// maxShownHeader bounds the header block that Show returns, in bytes.
const maxShownHeader = 64 << 10

// Store is what the queue commands read: the running service's store, or a
// stopped service's, opened read-only.
type Store interface {
	Get(ctx context.Context, id envelope.QueueID) (spool.Record, error)
	List(ctx context.Context, f spool.Filter) ([]spool.Record, error)
	History(ctx context.Context, id envelope.QueueID) ([]spool.Event, error)
	Open(ctx context.Context, id envelope.QueueID) (io.ReadSeekCloser, error)
}

// Queue answers the queue commands from a store.
type Queue struct{ Store Store }

// List returns a page of the messages that f selects.
func (q Queue) List(ctx context.Context, f spool.Filter) ([]Message, error) {
	records, err := q.Store.List(ctx, f)
	if err != nil {
		return nil, err
	}
	list := make([]Message, 0, len(records))
	for _, r := range records {
		list = append(list, MessageOf(r))
	}
	return list, nil
}

// Show returns one message with its history and header block. A header that cannot
// be read leaves Header empty: the rest is still worth seeing.
func (q Queue) Show(ctx context.Context, id envelope.QueueID) (*Detail, error) {
	r, err := q.Store.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	events, err := q.Store.History(ctx, id)
	if err != nil {
		return nil, err
	}
	d := &Detail{Message: MessageOf(r), History: make([]Event, 0, len(events))}
	for _, e := range events {
		d.History = append(d.History, eventOf(e))
	}
	if !r.BodyGone {
		d.Header, err = q.header(ctx, r)
		if errors.Is(err, spool.ErrDamaged) || errors.Is(err, spool.ErrNotFound) {
			err = nil
		}
	}
	return d, err
}

func (q Queue) header(ctx context.Context, r spool.Record) (string, error) {
	f, err := q.Store.Open(ctx, r.ID)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, min(r.HeaderSize, maxShownHeader)))
	return string(b), err
}

// Body opens a stored message, header and body, as a stream; spool.ErrNotFound if
// it is deleted.
func (q Queue) Body(ctx context.Context, id envelope.QueueID) (io.ReadCloser, error) {
	return q.Store.Open(ctx, id)
}
