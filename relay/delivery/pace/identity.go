package pace

import (
	"sync"
	"time"
)

// Identity is how fast one Entra application may send. Its lanes share it;
// methods may be called at the same time.
type Identity struct {
	Name  string
	queue slotQueue

	mu         sync.Mutex
	throttle   throttle
	limiter    limiter
	configured int
}

// Load is how many slots of an identity there are, are in use, and are waited for.
type Load struct{ Limit, Busy, Waiting int }

// Load returns the slots as they are now.
func (i *Identity) Load() Load { return i.queue.load() }

// Leave returns a slot that Place.Take took.
func (i *Identity) Leave() { i.queue.leave() }

// Crowded reports whether no slot is free.
func (i *Identity) Crowded() bool {
	l := i.Load()
	return l.Busy >= l.Limit
}

// SetSlots sets how many requests may be under way now.
func (i *Identity) SetSlots(now time.Time, configured int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.configured = configured
	i.queue.resize(i.limiter.allowed(now, configured))
}

// SlotsAt is how many requests may be under way at a time, without any further throttling.
func (i *Identity) SlotsAt(at time.Time) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	l := i.limiter // allowed forgets what is over
	return l.allowed(at, i.configured)
}

// Stop stops the identity for d, or for growing steps where d is zero.
func (i *Identity) Stop(now time.Time, d time.Duration, jitter float64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.throttle.pause(now, d, jitter)
}

// LaneCount counts the lanes of an identity.
type LaneCount struct {
	All    int
	Slowed int // throttled by Graph, and not yet back at all their slots
}

// mostSlowed reports whether throttling is taken for that of the identity: most
// of its mailboxes with mail are throttled.
func (c LaneCount) mostSlowed() bool { return c.Slowed >= 2 && 2*c.Slowed > c.All }

// Throttled lowers the slots after Graph throttled a mailbox. about means that the
// answer was about the identity; where that is only guessed, each lane keeps a slot: a
// throttled mailbox must not delay another. began is when the throttled request began.
func (i *Identity) Throttled(about bool, c LaneCount, began, now time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	least := 1
	if !about {
		if !c.mostSlowed() {
			return
		}
		least = c.All
	}
	i.limiter.throttled(began, now, now, i.configured, i.queue.load().Busy+1, least)
	i.queue.resize(i.limiter.allowed(now, i.configured))
}

// Passed ends a row of pauses: Graph took a message.
func (i *Identity) Passed() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.throttle.passed()
}

// PausedUntil is zero when the identity may send.
func (i *Identity) PausedUntil(now time.Time) time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.throttle.pausedUntil(now)
}
