package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

const (
	pollEvery   = time.Minute      // at the latest, for messages that others changed (operators, other nodes)
	pollSpacing = time.Second      // at the earliest after the last
	pollShare   = 20               // a poll costs at most 1/20 of the time
	expireEvery = 10 * time.Minute // for what has been held too long
)

// poll tells the lanes what the store knows to be due: at start, when lanes ask
// for it (askPoll), and every minute.
func (d *Delivery) poll(ctx context.Context) {
	for {
		began := time.Now()
		d.pollOnce(ctx)
		pause := max(pollSpacing, pollShare*time.Since(began))
		d.pollAgainIn(pause + pollEvery)
		if !sleep(ctx, pause) {
			return
		}
		timer := time.NewTimer(pollEvery)
		select {
		case <-d.pollWanted:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// pollAgainIn notes when the next poll is due at the latest, for Alive.
func (d *Delivery) pollAgainIn(t time.Duration) { d.pollDue.Store(int64(time.Since(d.born) + t)) }

func (d *Delivery) pollOnce(ctx context.Context) {
	lanes, err := d.cfg.Store.Lanes(ctx)
	if err != nil {
		if ctx.Err() == nil {
			d.cfg.Log.Error("the queue cannot be read; trying again", "after", pollEvery, "error", err)
			d.askPoll()
		}
		return
	}
	now := d.cfg.Now()
	d.forgetPaces(now)
	d.endWarnings(now)
	d.endOrphans()
	d.endUnread()
	for _, l := range lanes {
		if l.Queued == 0 {
			continue
		}
		next := l.Next
		if next.IsZero() {
			next = now
		}
		d.tell(l.Mailbox, news{due: next})
	}
}

// endOrphans ends the holds of identities that the configuration has no more:
// no message waits for them, and no probe or audit would end them.
func (d *Delivery) endOrphans() {
	if d.cfg.Identity == nil {
		return
	}
	for _, h := range d.holds.list() {
		if h.Mailbox.IsZero() && !d.cfg.Identity(h.Identity) {
			d.endOrphan(h)
		}
	}
}

func (d *Delivery) endOrphan(h spool.Hold) {
	if over, ok := d.holds.end(h.Key); ok {
		d.lanesDone.Go(func() { d.endHold(over) })
	}
}

// heldBy returns the key of the hold that stops a whole lane, or "". The hold of
// an identity that was renamed or taken out stops the mailboxes that it had
// stopped until their time in it is credited: else their mail would be given up
// for its age.
func (d *Delivery) heldBy(identity string, mailbox envelope.Address) string {
	if d.holds.none() {
		return ""
	}
	if key := d.holds.blocking(identity, mailbox); key != "" {
		if d.holds.stops(key, mailbox) {
			d.lanesDone.Go(func() { d.saveHold(key) })
		}
		return key
	}
	if d.cfg.Identity == nil {
		return ""
	}
	for _, h := range d.holds.others(identity, mailbox) {
		if !d.cfg.Identity(h.Identity) {
			d.endOrphan(h)
			return h.Key
		}
	}
	return ""
}

// askPoll asks for a poll soon. It does not block.
func (d *Delivery) askPoll() {
	select {
	case d.pollWanted <- struct{}{}:
	default:
	}
}

// expireHeld fails messages that have been held for longer than max_hold.
func (d *Delivery) expireHeld(ctx context.Context) {
	for sleep(ctx, expireEvery) {
		if err := d.expireOnce(ctx); err != nil && ctx.Err() == nil {
			d.cfg.Log.Error("messages held too long cannot be failed; trying again", "after", expireEvery, "error", err)
		}
	}
}

func (d *Delivery) expireOnce(ctx context.Context) error {
	limit := d.limits().MaxHold
	if limit <= 0 {
		return nil
	}
	now := d.cfg.Now()
	old := spool.Filter{States: []spool.State{spool.Held}, Until: now.Add(-limit)} // others cannot have been held for so long
	err := d.eachMessage(ctx, old, func(r spool.Record) error {
		return d.expireIf(ctx, r, limit, r.HeldSince, now)
	})
	if err != nil {
		return err
	}
	lanes, err := d.cfg.Store.Lanes(ctx)
	if err != nil {
		return err
	}
	old.States = []spool.State{spool.Queued}
	for _, h := range d.holds.list() {
		for _, l := range lanes {
			if now.Sub(l.Oldest) < limit {
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
func (d *Delivery) expireLane(ctx context.Context, h spool.Hold, limit time.Duration, old spool.Filter, now time.Time) error {
	if !d.holdCovers(h, old.Mailbox) {
		return nil
	}
	return d.eachMessage(ctx, old, func(r spool.Record) error {
		if !h.From.IsZero() && !h.From.Equal(r.From) {
			return nil
		}
		return d.expireIf(ctx, r, limit, later(h.Since, r.Accepted), now)
	})
}

func (d *Delivery) holdCovers(h spool.Hold, mailbox envelope.Address) bool {
	if !h.Mailbox.IsZero() {
		return h.Mailbox.Equal(mailbox)
	}
	r, ok := d.route(mailbox)
	return ok && r.Identity == h.Identity
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
	why := fmt.Sprintf("held for longer than queue.max_hold (%s); last: %s", limit, r.LastText)
	err := d.cfg.Store.Move(ctx, r.ID, spool.Failed, time.Time{}, why, now)
	if errors.Is(err, spool.ErrState) || errors.Is(err, spool.ErrNotFound) {
		return nil // a probe or the operator was faster
	}
	if err == nil {
		d.askReport()
		d.emit(Event{Kind: spool.EventFailed, Record: r, Status: lastStatus(r), Text: why, RequestID: r.LastRequest})
	}
	return err
}

// lastStatus is the status of the last outcome, or that of a delivery time expired.
func lastStatus(r spool.Record) reply.Enhanced {
	if r.LastStatus == (reply.Enhanced{}) {
		return reply.Enhanced{4, 4, 7}
	}
	return r.LastStatus
}
