package largemail

import (
	"context"
	"sync"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
)

const (
	maxLeftovers  = 1000             // messages whose drafts are remembered
	leftoverTries = 8                // with pauses of 1, 2, 4 ... 30 minutes: about two hours
	leftoverEvery = time.Minute      // how often Run looks
	longestLeft   = 30 * time.Minute // between two tries
)

// leftovers remembers drafts that may be in a mailbox and could not be deleted at
// once: of messages that were given up, and of requests whose answer said that
// nothing was done although it was. They are deleted later, by their mark. They
// are not stored: after a restart the operator has the line in the log.
type leftovers struct {
	mu     sync.Mutex
	left   map[envelope.QueueID]*leftover
	active map[envelope.QueueID]int           // uploads under way, whose drafts are wanted
	busy   map[envelope.QueueID]chan struct{} // being deleted; closed when that is over
}

type leftover struct {
	mailbox envelope.Address
	keep    string // ID of the draft that was sent, or may have been
	due     time.Time
	tries   int
}

func newLeftovers() *leftovers {
	return &leftovers{
		left: map[envelope.QueueID]*leftover{}, active: map[envelope.QueueID]int{},
		busy: map[envelope.QueueID]chan struct{}{},
	}
}

// begin starts the upload of a message: until end nothing with its mark is
// deleted. It waits while that is being done, and reports whether something was
// left, which the upload then has to delete.
func (l *leftovers) begin(ctx context.Context, id envelope.QueueID) (left bool) {
	l.mu.Lock()
	for l.busy[id] != nil && ctx.Err() == nil {
		over := l.busy[id]
		l.mu.Unlock()
		select {
		case <-over:
		case <-ctx.Done():
		}
		l.mu.Lock()
	}
	defer l.mu.Unlock()
	l.active[id]++
	left = l.left[id] != nil
	delete(l.left, id)
	return left
}

// end follows begin. left is what the upload could not delete, or nil.
func (l *leftovers) end(id envelope.QueueID, left *leftover) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active[id]--; l.active[id] <= 0 {
		delete(l.active, id)
	}
	if left != nil && len(l.left) < maxLeftovers {
		l.left[id] = left
	}
}

// take claims one that is due for deletion; give ends that.
func (l *leftovers) take(now time.Time) (id envelope.QueueID, x leftover, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, x := range l.left {
		if !x.due.After(now) && l.active[id] == 0 && l.busy[id] == nil {
			l.busy[id] = make(chan struct{})
			return id, *x, true
		}
	}
	return "", leftover{}, false
}

// give returns one that was taken; again is its next time, zero for never.
func (l *leftovers) give(id envelope.QueueID, again time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if x := l.left[id]; again.IsZero() {
		delete(l.left, id)
	} else if x != nil {
		x.due = again
		x.tries++
	}
	close(l.busy[id])
	delete(l.busy, id)
}

// runLeftovers deletes what was left, until ctx ends, and once more then: the next
// client, after a reload, does not know of it.
func (c *Client) runLeftovers(ctx context.Context) {
	tick := time.NewTicker(leftoverEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.removeLeft(ctx, c.cfg.Now())
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTime)
			defer cancel()
			c.removeLeft(last, c.cfg.Now().Add(longestLeft))
			return
		}
	}
}

// removeLeft tries what is due at now, one after another.
func (c *Client) removeLeft(ctx context.Context, now time.Time) {
	for {
		id, x, ok := c.left.take(now)
		if !ok {
			return
		}
		u := &upload{c: c, mailbox: x.mailbox, d: Draft{ID: id}, id: x.keep}
		try, cancel := context.WithTimeout(ctx, discardTime)
		a := u.removeLeftovers(try)
		cancel()
		log := c.cfg.Log.With("queue_id", string(id), "mailbox", x.mailbox.String())
		switch {
		case a.Outcome == outcome.Delivered:
			c.left.give(id, time.Time{})
			log.Info("deleted leftover draft, if any")
		case x.tries+1 >= leftoverTries:
			c.left.give(id, time.Time{})
			log.Warn("cannot delete a leftover draft; delete it by hand", "error", a.Cause())
		default:
			c.left.give(id, now.Add(min(leftoverEvery<<(x.tries+1), longestLeft)))
		}
	}
}
