package delivery

import (
	"sync"
	"time"
)

// identity is what the lanes of one Entra application share.
type identity struct {
	name string
	gate gate

	mu         sync.Mutex
	throttle   throttle
	limiter    limiter
	configured int
}

func (i *identity) pause(now time.Time, d time.Duration, jitter float64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.throttle.hit(now, d, jitter)
}

// slots sets how many requests may be under way now.
func (i *identity) slots(now time.Time, configured int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.configured = configured
	i.gate.resize(i.limiter.allowed(now, configured))
}

// census counts the lanes of an identity.
type census struct {
	all    int
	slowed int // throttled by Graph, and not yet back at all their slots
}

// common tells whether throttling is taken for that of the identity: most of its
// mailboxes with mail are throttled.
func (c census) common() bool { return c.slowed >= 2 && 2*c.slowed > c.all }

// throttled notes that Graph throttled a mailbox. about says that the answer was
// about the identity; where that is only guessed, each lane keeps a slot: a
// throttled mailbox must not delay another.
func (i *identity) throttled(about bool, c census, began, now time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	least := 1
	if !about {
		if !c.common() {
			return
		}
		least = c.all
	}
	i.limiter.throttled(began, now, now, i.configured, i.gate.inUse()+1, least)
	i.gate.resize(i.limiter.allowed(now, i.configured))
}

func (i *identity) reset() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.throttle.reset()
}

func (i *identity) pausedUntil(now time.Time) time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.throttle.pausedUntil(now)
}

// throttle is a pause that Graph asked for.
type throttle struct {
	until    time.Time
	episodes int // pauses in a row, without a success between them
}

// hit pauses for exactly as long as Graph said, or else by growing steps.
func (t *throttle) hit(now time.Time, said time.Duration, jitter float64) {
	if !now.Before(t.until) {
		t.episodes++ // answers to requests that were under way together are one episode
	}
	if said <= 0 {
		said = min(backoff(minBackoff, t.episodes, jitter), longestTrouble)
	}
	t.until = later(t.until, now.Add(said))
}

func (t *throttle) reset() { t.episodes = 0 }

// pausedUntil is zero when nothing is paused. A pause longer than any is a
// clock that was set back.
func (t *throttle) pausedUntil(now time.Time) time.Time {
	if !now.Before(t.until) {
		return time.Time{}
	}
	if latest := now.Add(MaxDelay); t.until.After(latest) {
		t.until = latest
	}
	return t.until
}
