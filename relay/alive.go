package relay

import (
	"context"
	"errors"
	"fmt"

	"graphrelay/relay/spool"
)

// Alive returns nil once the loops that carry the mail have answered: the writer of
// the store, the lanes of delivery, the accept loop of each listener. A store that
// is unhealthy but answers is alive: it recovers, or its status says what to do,
// and a restart would not help. The error is for the log of a watchdog.
func (r *Relay) Alive(ctx context.Context) error {
	// There is no such message, so this changes nothing.
	err := r.store.Unclaim(ctx, "", 0, r.started)
	if !errors.Is(err, spool.ErrNotFound) && !errors.Is(err, spool.ErrUnhealthy) {
		return fmt.Errorf("the writer of the queue does not answer: %w", err)
	}
	if err := r.delivery.Alive(ctx); err != nil {
		return err
	}
	return r.smtp.Alive(ctx)
}

// Summary is the state of the service in one line.
func (r *Relay) Summary(ctx context.Context) string { return r.observer.Summary(ctx) }
