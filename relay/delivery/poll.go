package delivery

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"graphrelay/relay/delivery/hold"
	"graphrelay/relay/envelope"
	"graphrelay/relay/pacing"
	"graphrelay/relay/spool"
)

const (
	pollEvery   = time.Minute // at the latest, for messages that others changed (operators, other nodes)
	pollSpacing = time.Second // at the earliest after the last
	pollShare   = 20          // a poll costs at most 1/20 of the time
	orphanAfter = time.Hour   // where nodes share a queue
)

// polls is when the store is asked what is due.
type polls struct {
	wanted chan struct{}
	began  time.Time    // what due counts from
	due    atomic.Int64 // the next poll, at the latest
	done   atomic.Bool  // the lanes know what was queued at the start
	tried  string       // the last triedNote; of the goroutine of poll
}

// dueIn notes when the next poll is due at the latest, for Alive.
func (p *polls) dueIn(t time.Duration) { p.due.Store(int64(time.Since(p.began) + t)) }

func (p *polls) late() time.Duration { return time.Since(p.began) - time.Duration(p.due.Load()) }

// poll wakes the lanes for which the store has mail: at start, when lanes ask
// for it (askPoll), when other nodes may have changed something, and every minute.
func (d *Delivery) poll(ctx context.Context) {
	for {
		began := time.Now()
		d.pollOnce(ctx)
		pause := max(pollSpacing, pollShare*time.Since(began))
		d.polls.dueIn(pause + pollEvery)
		if pacing.Sleep(ctx, pause) != nil {
			return
		}
		awaitOr(ctx, d.polls.wanted, d.cfg.Store.News(), pollEvery)
	}
}

// awaitOr waits until it is wanted, or there is news, for t at most, or until ctx ends.
func awaitOr(ctx context.Context, wanted, news <-chan struct{}, t time.Duration) {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-wanted:
	case <-news:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// want asks for something soon. It does not block.
func want(wanted chan<- struct{}) {
	select {
	case wanted <- struct{}{}:
	default:
	}
}

func (d *Delivery) askPoll() { want(d.polls.wanted) }

func (d *Delivery) pollOnce(ctx context.Context) {
	asOf := d.cfg.Now()
	lanes, err := d.cfg.Store.Lanes(ctx)
	if err == nil {
		err = cmp.Or(d.adoptHolds(ctx), d.adoptTry(ctx))
	}
	if err != nil {
		if ctx.Err() == nil {
			d.cfg.Log.Error("cannot read the queue; retrying", "after", pollEvery, "error", err)
			d.askPoll()
		}
		return
	}
	now := d.cfg.Now()
	d.forgetPaces(now)
	d.endUsageAlarms(now)
	d.endOrphans()
	d.endSearchAlarms()
	for _, l := range d.withoutMail(lanes) {
		l.inbox.send(hint{polled: &polled{asOf: asOf}})
	}
	for _, l := range lanes {
		if l.Waiting() > 0 {
			d.wake(l.Mailbox, hint{polled: &polled{l, asOf}})
		}
	}
	d.polls.done.Store(true)
}

// withoutMail lists the lanes in which the store knows of nothing that waits.
func (d *Delivery) withoutMail(waiting []spool.Lane) (list []*lane) {
	d.mu.Lock()
	defer d.mu.Unlock()
	rest := maps.Clone(d.lanes)
	for _, l := range waiting {
		if l.Waiting() > 0 {
			delete(rest, l.Mailbox.Key())
		}
	}
	return slices.Collect(maps.Values(rest))
}

// endOrphans ends the holds of identities that the configuration has no more:
// no message waits for them, and no probe or audit would end them.
func (d *Delivery) endOrphans() {
	for _, h := range d.holds.List() {
		if young := d.isShared() && d.cfg.Now().Sub(h.Since) < orphanAfter; young {
			continue // the node that began it may have a newer configuration
		}
		if h.Mailbox.IsZero() && !d.cfg.Identity(h.Identity) {
			d.endNow(h.Key)
		}
	}
}

// endNow ends a hold without a probe, beside its caller.
func (d *Delivery) endNow(key string) {
	if ended, ok := d.holds.End(key); ok {
		d.shutdown.lanes.Go(func() { d.endHold(ended) })
	}
}

// heldBy returns the key of the hold that stops a whole lane, or "". The hold of an
// identity that was renamed or taken out stops the mailboxes that it had stopped
// until their time in it is credited: else their mail would fail for its age.
func (d *Delivery) heldBy(identity string, mailbox envelope.Address) string {
	if d.holds.None() {
		return ""
	}
	if key := d.holds.Blocking(identity, mailbox); key != "" {
		if d.holds.NoteStopped(key, mailbox) {
			d.shutdown.lanes.Go(func() { d.saveHold(key) })
		}
		return key
	}
	for _, h := range d.holds.OfOthers(identity, mailbox) {
		if !d.cfg.Identity(h.Identity) {
			d.endNow(h.Key)
			return h.Key
		}
	}
	return ""
}

// holdMissing holds a mailbox without a route.
func (d *Delivery) holdMissing(mailbox envelope.Address, now time.Time) {
	h := hold.MissingRoute(mailbox, now)
	if d.holds.Begin(h) {
		d.logHoldBegins(h)
		d.shutdown.lanes.Go(func() { d.saveHold(h.Key) })
	}
}

// endMissing ends that hold when the route is back.
func (d *Delivery) endMissing(mailbox envelope.Address) {
	if !d.holds.None() {
		d.endNow(hold.RouteKey(mailbox))
	}
}

// covers reports whether a hold stops a mailbox, or some of its mail.
func (d *Delivery) covers(h spool.Hold, mailbox envelope.Address) bool {
	if !h.Mailbox.IsZero() {
		return h.Mailbox.Equal(mailbox)
	}
	r, ok := d.route(mailbox)
	return ok && r.Identity == h.Identity
}
