package pacing

import (
	"fmt"
	"sync"
	"time"
)

// Rate is a number of messages in a time. The zero Rate is no limit.
type Rate struct {
	Count int
	Per   time.Duration
}

// String is the rate for the log, 30 in 1m0s.
func (r Rate) String() string { return fmt.Sprintf("%d in %s", r.Count, r.Per) }

// Bucket holds a client to its rate. It is a token bucket: full it holds Count
// tokens, one message takes one, and it fills evenly within Per. Its state is
// one point in time, when it would be full again, so it neither counts nor
// drifts. Methods may be called at the same time.
type Bucket struct {
	rate Rate
	mu   sync.Mutex
	full time.Time
}

// NewBucket returns a full one.
func NewBucket(r Rate) *Bucket { return &Bucket{rate: r} }

// Rate is what the Bucket was made for.
func (b *Bucket) Rate() Rate { return b.rate }

// Take takes a token; ok is false if there is none, and wait says in how long
// there will be.
func (b *Bucket) Take(now time.Time) (wait time.Duration, ok bool) {
	if b.rate.Count <= 0 || b.rate.Per <= 0 {
		return 0, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full.Before(now) {
		b.full = now
	}
	if last := now.Add(b.rate.Per); b.full.After(last) { // the clock was set back
		b.full = last
	}
	next := b.full.Add(b.rate.Per / time.Duration(b.rate.Count))
	if wait := next.Sub(now) - b.rate.Per; wait > 0 {
		return wait, false
	}
	b.full = next
	return 0, true
}

// Return gives a token back that Take took for a message that did not come of it.
func (b *Bucket) Return() {
	if b.rate.Count <= 0 || b.rate.Per <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.full = b.full.Add(-b.rate.Per / time.Duration(b.rate.Count))
}

// Full tells whether nothing was taken for so long that a new Bucket would do
// as well.
func (b *Bucket) Full(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.full.After(now)
}
