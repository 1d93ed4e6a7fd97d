package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"graphrelay/relay/pacing"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

const expireEvery = 10 * time.Minute // for what has been held too long

// expireHeld fails messages that have been held for longer than max_hold.
func (d *Delivery) expireHeld(ctx context.Context) {
	for pacing.Sleep(ctx, expireEvery) == nil {
		if err := d.expireOnce(ctx); err != nil && ctx.Err() == nil {
			d.cfg.Log.Error("cannot fail messages held too long; retrying", "after", expireEvery, "error", err)
		}
	}
}

func (d *Delivery) expireOnce(ctx context.Context) error {
	limit := d.limits().MaxHold
	if limit <= 0 || !d.cfg.Store.Leads() {
		return nil
	}
	now := d.cfg.Now()
	// Only what is older than the limit can have been held for so long.
	old := spool.Filter{States: []spool.State{spool.Held}, Until: now.Add(-limit)}
	err := d.eachMessage(ctx, old, func(r spool.Record) error { return d.expireIf(ctx, r, limit, r.HeldSince, now) })
	if err != nil {
		return err
	}
	lanes, err := d.cfg.Store.Lanes(ctx)
	if err != nil {
		return err
	}
	old.States = spool.Waiting()
	for _, h := range d.holds.List() {
		for _, l := range lanes {
			if now.Sub(l.Oldest) < limit || !d.covers(h, l.Mailbox) {
				continue
			}
			old.Mailbox = l.Mailbox
			if err := d.expireLane(ctx, h, limit, old, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// expireLane fails the messages of one mailbox, among the old ones, that hold h
// has stopped too long. The hold itself may be young: earlier ones count too.
func (d *Delivery) expireLane(
	ctx context.Context, h spool.Hold, limit time.Duration, old spool.Filter, now time.Time,
) error {
	return d.eachMessage(ctx, old, func(r spool.Record) error {
		if !h.Covers(r.Message) {
			return nil
		}
		return d.expireIf(ctx, r, limit, pacing.Later(h.Since, r.Accepted), now)
	})
}

// eachMessage visits messages page by page.
func (d *Delivery) eachMessage(ctx context.Context, f spool.Filter, do func(spool.Record) error) error {
	f.Limit = 100
	for {
		page, err := d.cfg.Store.List(ctx, f)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, r := range page {
			if err := do(r); err != nil {
				return err
			}
		}
		f.After = page[len(page)-1].ID
	}
}

// expireIf fails a message whose time in holds is over max_hold. Where holds
// overlapped that time may count twice, but none is held for longer than it is old.
func (d *Delivery) expireIf(ctx context.Context, r spool.Record, limit time.Duration, since, now time.Time) error {
	if since.IsZero() || min(now.Sub(since)+r.HeldFor, now.Sub(r.Accepted)) < limit {
		return nil
	}
	why := gaveUp(r.LastText, fmt.Sprintf("Held for longer than queue.max_hold (%s)", limit))
	err := d.cfg.Store.Move(ctx, r.ID, spool.Failed, time.Time{}, why, now)
	if errors.Is(err, spool.ErrState) || errors.Is(err, spool.ErrNotFound) {
		return nil // a probe or the operator was faster
	}
	if err == nil {
		d.askReport()
		status := cmp.Or(r.LastStatus, reply.Enhanced{4, 4, 7}) // delivery time expired
		d.emit(Event{Kind: spool.EventFailed, Record: r, Status: status, Text: why, RequestID: r.LastRequest})
	}
	return err
}
