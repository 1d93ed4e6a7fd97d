package spool

import (
	"testing"
	"time"
)

func TestHeldTime(t *testing.T) {
	at := func(n int64) time.Time { return time.Unix(0, n) }
	for _, c := range []struct {
		before                 time.Duration
		accepted, since, until int64
		want                   time.Duration
	}{
		{0, 10, 20, 50, 30},
		{0, 30, 20, 50, 20},
		{5, 30, 20, 60, 30}, // its age, not 45
		{7, 10, 20, 50, 37},
		{30, 10, 20, 50, 40}, // no more than its age
		{7, 60, 20, 50, 7},   // accepted later
		{7, 10, 50, 20, 7},   // the clock went back
	} {
		if got := HeldTime(c.before, at(c.accepted), at(c.since), at(c.until)); got != c.want {
			t.Errorf("HeldTime(%d, %d, %d, %d) = %d, want %d", c.before, c.accepted, c.since, c.until, got, c.want)
		}
	}
}
