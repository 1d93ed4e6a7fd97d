package delivery

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/pacing"
	"graphrelay/relay/spool"
)

const (
	recipientLimit = 10_000 // of one mailbox in 24 hours, of Exchange Online
	recipientWarn  = recipientLimit * 8 / 10
	usageHours     = 24

	usageRetry = time.Minute
	usageEvery = 5 * time.Minute // where other nodes send, too
)

// usage counts the recipients of each mailbox over a rolling day, by hours. A
// part of an hour counts as a whole one, so the sum is never too small. It
// remembers mailboxes that sent something in that day.
type usage struct {
	mu    sync.Mutex
	boxes map[string]*boxUsage
}

type boxUsage struct {
	mailbox envelope.Address
	hours   [usageHours + 1]int
	last    int64 // number of the hour that was written last
	warned  bool
}

func hourOf(at time.Time) int64 { return at.Unix() / 3600 }

// add counts, and reports whether to warn.
func (u *usage) add(mailbox envelope.Address, recipients int, at time.Time) (sum int, warn bool) {
	return u.change(mailbox, at, func(n int) int { return n + recipients })
}

// atLeast counts up to what the store has of an hour, and reports whether to warn.
func (u *usage) atLeast(mailbox envelope.Address, recipients int, at time.Time) (sum int, warn bool) {
	return u.change(mailbox, at, func(n int) int { return max(n, recipients) })
}

// change changes the number of an hour, and reports whether to warn.
func (u *usage) change(mailbox envelope.Address, at time.Time, to func(int) int) (sum int, warn bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	key := mailbox.Key()
	b := u.boxes[key]
	if b == nil {
		b = &boxUsage{mailbox: mailbox, last: hourOf(at)}
		u.boxes[key] = b
	}
	b.advance(hourOf(at))
	if h := hourOf(at); h > b.last-usageHours-1 && h <= b.last {
		n := &b.hours[h%(usageHours+1)]
		*n = to(*n)
	}
	sum = b.sum()
	warn = sum >= recipientWarn && !b.warned
	b.warned = b.warned || warn
	return sum, warn
}

// advance forgets hours that are over. An hour before the last one changes nothing.
func (b *boxUsage) advance(hour int64) {
	for n := 0; b.last < hour; b.last++ {
		b.hours[(b.last+1)%(usageHours+1)] = 0
		if n++; n > usageHours {
			b.last = hour
			return
		}
	}
}

func (b *boxUsage) sum() (n int) {
	for _, h := range b.hours {
		n += h
	}
	return n
}

// over lists the mailboxes whose warning is over, and forgets those that sent nothing.
func (u *usage) over(now time.Time) (list []envelope.Address) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for key, b := range u.boxes {
		b.advance(hourOf(now))
		sum := b.sum()
		if b.warned && sum < recipientWarn {
			b.warned = false
			list = append(list, b.mailbox)
		}
		if sum == 0 {
			delete(u.boxes, key)
		}
	}
	return list
}

// Usage is how many recipients a mailbox sent to within a day, as far as this
// store's history knows; Exchange Online allows 10,000.
type Usage struct {
	Mailbox    envelope.Address
	Recipients int
}

func (u *usage) list(now time.Time) []Usage {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := make([]Usage, 0, len(u.boxes))
	for _, b := range u.boxes {
		b.advance(hourOf(now))
		list = append(list, Usage{b.mailbox, b.sum()})
	}
	slices.SortFunc(list, func(a, b Usage) int { return cmp.Compare(a.Mailbox.Key(), b.Mailbox.Key()) })
	return list
}

// loadUsage counts what earlier runs sent. Nothing waits for it: what this run
// sends meanwhile is counted as it leaves, and not here. What other nodes send is counted
// every few minutes: then an hour is what the store has of it, or what this run knows if that is more.
func (d *Delivery) loadUsage(ctx context.Context) {
	now, count := d.started, d.usage.add
	for {
		sent, err := d.cfg.Store.SentRecipients(ctx, now.Add(-usageHours*time.Hour), now)
		again := usageRetry
		if err == nil {
			slices.SortFunc(sent, func(a, b spool.Usage) int { return a.Hour.Compare(b.Hour) })
			for _, s := range sent {
				sum, warn := count(s.Mailbox, s.Recipients, s.Hour)
				d.warnOfUsage(s.Mailbox, sum, warn)
			}
			if !d.isShared() {
				return
			}
			again, count = usageEvery, d.usage.atLeast
		}
		if pacing.Sleep(ctx, again) != nil {
			return
		}
		if err == nil {
			now = d.cfg.Now()
		}
	}
}

func (d *Delivery) countRecipients(mailbox envelope.Address, recipients int, at time.Time) {
	sum, warn := d.usage.add(mailbox, recipients, at)
	d.warnOfUsage(mailbox, sum, warn)
}

func (d *Delivery) warnOfUsage(mailbox envelope.Address, sum int, warn bool) {
	if !warn {
		return
	}
	d.cfg.Log.Warn("mailbox nears its daily limit", "mailbox", mailbox.String(), "recipients", sum,
		"limit", recipientLimit)
	d.cfg.Alarm("limit:"+mailbox.String(), fmt.Sprintf("Daily limit is near: %d of %d recipients in 24 hours; "+
		"spread the mail over more mailboxes [%s]", sum, recipientLimit, mailbox), true)
}

// endUsageAlarms takes alarms back.
func (d *Delivery) endUsageAlarms(now time.Time) {
	for _, m := range d.usage.over(now) {
		d.cfg.Alarm("limit:"+m.String(), "mailbox "+m.String()+" is below 80 % of its daily limit again", false)
	}
}
