// Package pacing makes things wait: a pause that ends with its context, growing
// pauses between tries, the earlier or later of two times, and a bucket that
// holds a client to a rate. It must not know what waits.
package pacing

import (
	"context"
	"time"
)

// Sleep waits for d, or until ctx ends; then it returns the context's error.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Backoff is the pause before try number n, which counts from 1 for the first
// repetition: first, doubled with each further one, never above most.
func Backoff(first, most time.Duration, n int) time.Duration {
	d := first
	for i := 1; i < n && d < most; i++ {
		d *= 2
	}
	return min(d, most)
}

// Later is the later of two times; the zero time means "none".
func Later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Earlier is the earlier of two times; the zero time means "none".
func Earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
