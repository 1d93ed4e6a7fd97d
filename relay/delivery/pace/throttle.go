package pace

import (
	"time"

	"graphrelay/relay/pacing"
)

const (
	// MaxDelay is the longest pause that an answer may ask for, and the longest
	// time to a planned next attempt; one further away was written before the
	// clock was set back.
	MaxDelay = time.Hour

	// MinBackoff and MaxBackoff bound the pause between two attempts.
	MinBackoff = 15 * time.Second
	MaxBackoff = 30 * time.Minute

	longestTrouble = 5 * time.Minute // between attempts of a mailbox after failures in a row
)

// Backoff doubles first with each attempt and adds up to a quarter at random
// (0 <= jitter < 1); the sum stays between first and MaxBackoff.
func Backoff(first time.Duration, attempts int, jitter float64) time.Duration {
	d := pacing.Backoff(first, MaxBackoff*4/5, attempts)
	return d + time.Duration(jitter*float64(d)/4)
}

// ClampPause bounds a Retry-After: a wrong one must not stop a mailbox for days.
func ClampPause(d time.Duration) time.Duration { return min(max(d, 0), MaxDelay) }

// throttle is a pause that Graph asked for.
type throttle struct {
	until    time.Time
	episodes int // pauses in a row, without a success between them
}

// pause stops for exactly as long as Graph asked for, or else for growing steps.
func (t *throttle) pause(now time.Time, asked time.Duration, jitter float64) {
	if !now.Before(t.until) {
		t.episodes++ // answers to requests that were under way together are one episode
	}
	if asked <= 0 {
		asked = min(Backoff(MinBackoff, t.episodes, jitter), longestTrouble)
	}
	t.until = pacing.Later(t.until, now.Add(asked))
}

func (t *throttle) passed() { t.episodes = 0 }

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
