package delivery

import (
	"sync"
	"time"
)

// identity is what the lanes of one Entra application share.
type identity struct {
	name string
	gate gate

	mu       sync.Mutex
	throttle throttle
}

func (i *identity) pause(now time.Time, d time.Duration, jitter float64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.throttle.hit(now, d, jitter)
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

// hit pauses for as long as Graph said, or else by growing steps. Where Graph
// says the same short time again and again, the steps win from the fourth on.
func (t *throttle) hit(now time.Time, said time.Duration, jitter float64) {
	if !now.Before(t.until) {
		t.episodes++ // answers to requests that were under way together are one episode
	}
	steps := t.episodes
	if said > 0 {
		steps -= 3
	}
	if steps > 0 {
		said = max(said, min(backoff(minBackoff, steps, jitter), longestTrouble))
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
	if latest := now.Add(maxBackoff); t.until.After(latest) {
		t.until = latest
	}
	return t.until
}
