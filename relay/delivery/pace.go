package delivery

import (
	"time"

	"graphrelay/relay/outcome"
)

// mostSlots is how many requests at once Graph takes for one app and mailbox.
const mostSlots = 4

// Rate is a number of messages in a time. The zero Rate is no limit.
type Rate struct {
	Count int
	Per   time.Duration
}

// pace is how fast a mailbox may send. It outlives the lane, which ends
// whenever its mailbox has no mail, and belongs to its goroutine.
type pace struct {
	budgets  budgets
	limiter  limiter
	throttle throttle
	dry      time.Time // a budget is spent until then
}

// pausedUntil is zero when the mailbox may send.
func (p *pace) pausedUntil(now time.Time) time.Time {
	if latest := now.Add(requestPer + time.Minute); p.dry.After(latest) && p.budgets.rate.per <= requestPer {
		p.dry = latest // the clock was set back
	}
	until := p.throttle.pausedUntil(now)
	if p.dry.After(now) {
		until = later(until, p.dry)
	}
	return until
}

// afford tells whether a message of size octets may be sent now; else the
// mailbox pauses until it may.
func (p *pace) afford(now time.Time, size int64) bool {
	wait := p.budgets.wait(now, size)
	if wait > 0 {
		p.dry = now.Add(wait)
	}
	return wait == 0
}

// isFresh tells whether nothing is remembered that a new pace would not say.
func (p *pace) isFresh(now time.Time) bool {
	b := &p.budgets
	for _, x := range []*budget{&b.upload, &b.requests, &b.rate} {
		if x.limit > 0 {
			x.advance(now)
		}
	}
	p.limiter.allowed(now, mostSlots) // forgets what is over
	return b.upload.sum == 0 && b.requests.sum == 0 && b.rate.sum == 0 && p.limiter.lowered == 0 && p.pausedUntil(now).IsZero()
}

// paceOf finds the pace of a mailbox. Delivery.mu is held.
func (d *Delivery) paceOf(key string) *pace {
	p := d.paces[key]
	if p == nil {
		p = &pace{budgets: newBudgets()}
		d.paces[key] = p
	}
	return p
}

// forgetPaces drops those that mailboxes without mail do not need any more.
func (d *Delivery) forgetPaces(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, p := range d.paces {
		if d.lanes[key] == nil && p.isFresh(now) {
			delete(d.paces, key)
		}
	}
}

// slowDown lowers the limits after Graph asked for time: that of the mailbox,
// and that of the identity where the answer was about it or most of its mailboxes
// fare alike.
func (l *lane) slowDown(a answer, dec Decision, now time.Time) {
	l.pace.limiter.throttled(a.began, now, l.pace.throttle.until, l.configured, l.busy+1, 1)
	a.identity.throttled(dec.Scope == outcome.ScopeIdentity, l.d.census(a.identity.name, l), a.began, now)
}

// census counts the lanes of an identity as they were when they looked last, and
// asking, whose mailbox was throttled just now.
func (d *Delivery) census(identity string, asking *lane) census {
	c := census{all: 1, slowed: 1}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.lanes {
		if s := l.view(); l != asking && s.Identity == identity {
			c.all++
			if s.slowed {
				c.slowed++
			}
		}
	}
	return c
}
