package console

import (
	"context"
	"errors"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/operator"
	"graphrelay/relay/spool"
)

// filterOf makes a filter of what was typed and chosen, as graphrelay trace does, or
// returns the queue ID that was typed.
func filterOf(query, state, mailbox, after string, now time.Time) (id envelope.QueueID, f spool.Filter, err error) {
	id, f = operator.Sought(query, spool.Filter{Newest: true}, now)
	if state != "" {
		if f.States, err = spool.ParseStates(state); err != nil {
			return "", f, errors.New("there is no such state")
		}
	}
	if mailbox != "" {
		if f.Mailbox, err = envelope.ParseAddress(mailbox); err != nil {
			return "", f, err
		}
	}
	if after != "" {
		f.After, err = envelope.ParseQueueID(after)
	}
	return id, f, err
}

// search reads the first limit messages that a filter selects.
func (c *Console) search(ctx context.Context, f spool.Filter, limit int) ([]spool.Record, error) {
	f, err := c.widen(ctx, f)
	if err != nil {
		return nil, err
	}
	f.Limit = limit
	return c.Store.List(ctx, f)
}

func (c *Console) widen(ctx context.Context, f spool.Filter) (spool.Filter, error) {
	return operator.Widen(f, func(f spool.Filter) ([]spool.Record, error) { return c.Store.List(ctx, f) })
}
