package pacing_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/pacing"
)

func TestSleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		if err := pacing.Sleep(ctx, time.Second); err != nil || time.Since(begin) != time.Second {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
		err := pacing.Sleep(ctx, time.Hour)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Minute {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
		if err := pacing.Sleep(ctx, 0); err == nil {
			t.Error("a pause of nothing hides that the context has ended")
		}
	})
}

func TestBackoff(t *testing.T) {
	for n, want := range map[int]time.Duration{0: 5, 1: 5, 2: 10, 3: 20, 4: 40, 5: 60, 1000: 60} {
		if got := pacing.Backoff(5, 60, n); got != want {
			t.Errorf("Backoff of try %d is %d, want %d", n, got, want)
		}
	}
}
