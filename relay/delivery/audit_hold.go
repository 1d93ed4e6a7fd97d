package delivery

import (
	"context"

	"graphrelay/relay/delivery/hold"
	"graphrelay/relay/state"
)

// HoldIdentity holds everything that an identity sends until ReleaseIdentity,
// because an audit found that it may send as more than it should: no message of
// it is tried, not even as a probe. text is for the operator and ends with a
// remedy. The hold survives a restart. HoldIdentity waits until Run has read the
// holds of earlier runs, or ctx ends.
func (d *Delivery) HoldIdentity(ctx context.Context, identity, text string) error {
	if err := d.awaitRestored(ctx); err != nil {
		return err
	}
	h := hold.ForAudit(identity, text, d.cfg.Now())
	if d.holds.Begin(h) {
		d.logHoldBegins(h)
	}
	d.saveHold(h.Key)
	d.wakeAll() // what was claimed ahead is returned
	return nil
}

// ReleaseIdentity ends what HoldIdentity began; without it, nothing happens.
func (d *Delivery) ReleaseIdentity(ctx context.Context, identity string) error {
	if err := d.awaitRestored(ctx); err != nil {
		return err
	}
	if h, ok := d.holds.End(state.AuditKey(identity)); ok {
		d.endHold(h)
	}
	return nil
}

func (d *Delivery) awaitRestored(ctx context.Context) error {
	select {
	case <-d.restored:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
