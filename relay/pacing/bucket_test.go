package pacing

import (
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	b := NewBucket(Rate{3, time.Minute})
	take := func(after time.Duration) (time.Duration, bool) { return b.Take(start.Add(after)) }
	for _, c := range []struct {
		after, wait time.Duration
		ok          bool
	}{
		{0, 0, true}, {0, 0, true}, {time.Second, 0, true}, // a full bucket
		{2 * time.Second, 18 * time.Second, false},
		{19 * time.Second, time.Second, false},
		{20 * time.Second, 0, true}, // one token each 20 s
		{20 * time.Second, 20 * time.Second, false},
		{2 * time.Minute, 0, true}, {2 * time.Minute, 0, true}, {2 * time.Minute, 0, true}, // full again, not more
		{2 * time.Minute, 20 * time.Second, false},
		{-time.Hour, 20 * time.Second, false}, // a clock that is set back stops nobody for long
		{-time.Hour + 20*time.Second, 0, true},
	} {
		if wait, ok := take(c.after); wait != c.wait || ok != c.ok {
			t.Errorf("after %v: %v, %v; want %v, %v", c.after, wait, ok, c.wait, c.ok)
		}
	}
}

func TestBucketWithoutRate(t *testing.T) {
	b := NewBucket(Rate{})
	for range 1000 {
		if wait, ok := b.Take(time.Unix(0, 0)); !ok || wait != 0 {
			t.Fatal("held back")
		}
	}
}

func TestBucketIsFullAgain(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	b := NewBucket(Rate{2, time.Second})
	if !b.Full(now) {
		t.Error("a new one is not full")
	}
	b.Take(now)
	if b.Full(now.Add(499*time.Millisecond)) || !b.Full(now.Add(500*time.Millisecond)) {
		t.Error("one token of two comes back in half a second")
	}
}

func TestBucketTakesBack(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	b := NewBucket(Rate{2, time.Minute})
	for range 2 {
		b.Take(now)
	}
	b.Return()
	if _, ok := b.Take(now); !ok {
		t.Error("what came back cannot be taken")
	}
	if _, ok := b.Take(now); ok {
		t.Error("more came back than was given")
	}
	// What fills up meanwhile does not count twice.
	now = now.Add(time.Hour)
	for range 3 {
		b.Return()
	}
	for i, want := range []bool{true, true, false} {
		if _, ok := b.Take(now); ok != want {
			t.Errorf("message %d after an hour: %v", i+1, ok)
		}
	}
	none := NewBucket(Rate{})
	if none.Return(); !none.Full(now) {
		t.Error("without a rate nothing is counted")
	}
}

// Whatever the rate and the times, no window of Per sees more than twice
// Count, and whoever waits as told gets through.
func FuzzBucket(f *testing.F) {
	f.Add(uint16(30), uint32(60_000), []byte{0, 0, 1, 5, 200, 0})
	f.Add(uint16(1), uint32(1), []byte{1, 1, 1})
	f.Fuzz(func(t *testing.T, count uint16, ms uint32, steps []byte) {
		if count == 0 || ms == 0 {
			return
		}
		per := time.Duration(ms) * time.Millisecond
		b := NewBucket(Rate{int(count), per})
		now := time.Unix(1_800_000_000, 0)
		var taken []time.Time
		for _, s := range steps {
			now = now.Add(time.Duration(s) * per / 64)
			wait, ok := b.Take(now)
			if !ok {
				if wait <= 0 || wait > per {
					t.Fatalf("wait %v of %v", wait, per)
				}
				now = now.Add(wait)
				if _, ok = b.Take(now); !ok {
					t.Fatal("refused after the wait it asked for")
				}
			}
			taken = append(taken, now)
		}
		for i := range taken {
			n := 0
			for j := i; j < len(taken) && taken[j].Sub(taken[i]) < per; j++ {
				n++
			}
			if n > 2*int(count) {
				t.Fatalf("%d messages within %v", n, per)
			}
		}
	})
}
