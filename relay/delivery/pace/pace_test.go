package pace

import (
	"math/rand/v2"
	"testing"
	"time"

	"graphrelay/relay/pacing"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestBudget(t *testing.T) {
	b := budget{limit: 100, per: 5 * time.Minute}
	part := b.per / budgetSteps
	for _, c := range []struct {
		name  string
		at    time.Duration
		cost  int64
		want  time.Duration
		spend bool
	}{
		{"an empty one", 0, 60, 0, true},
		{"what is left", time.Minute, 40, 0, true},
		{"nothing is left", time.Minute, 1, 4*time.Minute + part, false},
		{"more than the first spending", time.Minute, 61, 5*time.Minute + part, false},
		{"just before", 5 * time.Minute, 1, part, false},
		{"the first has left the window", 5*time.Minute + part, 60, 0, true},
		{"more than the limit waits for all", 5*time.Minute + part, 1000, 5*time.Minute + part, false},
		{"more than the limit, alone", 11 * time.Minute, 1000, 0, true},
		{"and after it nothing", 12 * time.Minute, 1, 4*time.Minute + part, false},
		{"the clock set back by a day", -24 * time.Hour, 100, 0, true},
		{"the clock set forward by a year", 365 * 24 * time.Hour, 100, 0, true},
	} {
		now := noon.Add(c.at)
		if got := b.wait(now, c.cost); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if c.spend {
			b.spend(now, c.cost)
		}
	}
	var none budget
	none.spend(noon, 1<<60)
	if none.wait(noon, 1<<60) != 0 {
		t.Error("the zero budget has a limit")
	}
}

// TestBudgetHolds spends at random whenever it may, and never more than the
// limit within any window, nor much less than it could.
func TestBudgetHolds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b := budget{limit: 1000, per: time.Minute}
	type spending struct {
		at   time.Time
		cost int64
	}
	var all []spending
	now, sum := noon, int64(0)
	for range 5000 {
		cost := 1 + r.Int64N(50)
		if w := b.wait(now, cost); w > 0 {
			if b.wait(now.Add(w), cost) != 0 {
				t.Fatalf("at the end of the wait it waits again")
			}
			now = now.Add(w)
		}
		b.spend(now, cost)
		all = append(all, spending{now, cost})
		sum += cost
		window := int64(0)
		for i := len(all) - 1; i >= 0 && now.Sub(all[i].at) < b.per; i-- {
			window += all[i].cost
		}
		if window > b.limit {
			t.Fatalf("%d spent within %v", window, b.per)
		}
		now = now.Add(time.Duration(r.IntN(100)) * time.Millisecond)
	}
	if rate := float64(sum) / now.Sub(noon).Minutes(); rate < 900 {
		t.Errorf("%.0f a minute of 1000", rate)
	}
}

func TestLimiter(t *testing.T) {
	var l limiter
	at := func(d time.Duration) time.Time { return noon.Add(d) }
	want := func(when time.Duration, n int) {
		t.Helper()
		if got := l.allowed(at(when), 64); got != n {
			t.Errorf("after %v: %d, want %d", when, got, n)
		}
	}
	want(0, 64)
	l.throttled(at(-time.Second), at(0), at(0), 64, 64, 1)
	want(0, 32)
	l.throttled(at(-time.Second), at(time.Second), at(time.Second), 64, 31, 1) // was under way with the first
	want(time.Second, 32)
	l.throttled(at(time.Second), at(2*time.Second), at(2*time.Second), 64, 32, 1) // too soon for another step
	want(2*time.Second, 32)
	l.throttled(at(11*time.Second), at(12*time.Second), at(12*time.Second), 64, 10, 1)
	want(12*time.Second, 5)
	want(26*time.Second, 5)
	want(27*time.Second, 9)
	want(12*time.Second+14*raiseEvery, 61)
	want(12*time.Second+15*raiseEvery, 64)
	if l != (limiter{}) {
		t.Errorf("not forgotten: %+v", l)
	}
	l.throttled(at(0), at(0), at(30*time.Minute), 3, 3, 1)
	for when, n := range map[time.Duration]int{0: 1, 30 * time.Minute: 1, 30*time.Minute + raiseEvery: 2,
		30*time.Minute + 2*raiseEvery: 3} {
		copied := l
		if got := copied.allowed(at(when), 3); got != n {
			t.Errorf("three slots after %v: %d, want %d", when, got, n)
		}
	}
	for range 10 {
		l.throttled(at(time.Hour), at(time.Hour), at(time.Hour), 3, 0, 1)
	}
	if got := l.allowed(at(time.Hour), 3); got != 1 {
		t.Errorf("lowest limit: %d", got)
	}
	if got := l.allowed(at(-48*time.Hour), 3); got != 1 {
		t.Errorf("clock set back: %d", got)
	}
	if got := l.allowed(at(-47*time.Hour), 3); got != 3 {
		t.Errorf("an hour after the clock was set back: %d", got)
	}
}

// TestPaceIsRemembered: what a mailbox without mail was slowed down to is not
// forgotten before it is over.
func TestPaceIsRemembered(t *testing.T) {
	p := NewMailbox()
	if !p.IsFresh(noon) {
		t.Error("a new one is not fresh")
	}
	p.limiter.throttled(noon, noon, noon, 3, 3, 1)
	if p.IsFresh(noon.Add(raiseEvery)) || p.limiter.allowed(noon.Add(raiseEvery), 3) != 2 {
		t.Error("forgotten while its slots come back")
	}
	if !p.IsFresh(noon.Add(10 * raiseEvery)) {
		t.Error("never forgotten")
	}
	p.Spend(noon, 1)
	if p.IsFresh(noon.Add(uploadPer)) || !p.IsFresh(noon.Add(2*requestPer)) {
		t.Error("what was spent is forgotten too early or never")
	}
}

// TestUploadsCountWithTheirRepetitions: what an upload sent twice is spent too,
// and each of its many requests.
func TestUploadsCountWithTheirRepetitions(t *testing.T) {
	b, now := NewMailbox(), time.Unix(1_800_000_000, 0)
	b.Spend(now, 60_000_000) // 80 MB as guessed
	if b.Uploaded(now, 60_000_000, 70_000_000, 20); b.upload.sum != 60_000_000*4/3+2048 || b.requests.sum != 23 {
		t.Errorf("less than the guess: %d bytes, %d requests", b.upload.sum, b.requests.sum)
	}
	if b.Uploaded(now, 60_000_000, 120_000_000, 1_000); b.upload.sum != 120_000_000 || b.requests.sum != 1_000 {
		t.Errorf("more than the guess: %d bytes, %d requests", b.upload.sum, b.requests.sum)
	}
}

// TestBackoffBounds holds every delay to 15 s ... 30 min, rising.
func TestBackoffBounds(t *testing.T) {
	for _, jitter := range []float64{0, 0.5, 0.999999} {
		last := time.Duration(0)
		for attempts := range 200 {
			d := Backoff(MinBackoff, attempts, jitter)
			if d < last || d < MinBackoff || d > MaxBackoff {
				t.Fatalf("Backoff(%d, %v) = %v after %v", attempts, jitter, d, last)
			}
			last = d
		}
	}
}

func TestThrottle(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var th throttle
	said := []time.Duration{0, 0, 0, time.Second, time.Second, time.Second, 10 * time.Minute}
	want := []time.Duration{15 * time.Second, 30 * time.Second, time.Minute, time.Second, time.Second, time.Second,
		10 * time.Minute}
	for i := range said {
		th.pause(now, said[i], 0)
		if got := th.pausedUntil(now).Sub(now); got != want[i] {
			t.Errorf("pause %d: %v, want %v", i+1, got, want[i])
		}
		th.pause(now, said[i], 0) // another answer of the same episode
		if got := th.pausedUntil(now).Sub(now); got != want[i] {
			t.Errorf("pause %d grew to %v within the episode", i+1, got)
		}
		now = th.until
	}
	th.passed()
	th.pause(now, time.Second, 0)
	if got := th.pausedUntil(now).Sub(now); got != time.Second {
		t.Errorf("after a success: %v", got)
	}
	if got := th.pausedUntil(now.Add(-48 * time.Hour)); got.After(now.Add(-48*time.Hour + MaxDelay)) {
		t.Errorf("clock set back: paused until %v", got)
	}
}

// What an attempt would have spent is there again, for as long as it would have counted.
func TestUnspend(t *testing.T) {
	m := NewMailbox()
	m.SetRate(pacing.Rate{Count: 10, Per: time.Minute})
	m.Spend(noon, 1<<20)
	for range 10_000 {
		m.Spend(noon, 1<<20)
		m.Unspend(noon, 1<<20)
	}
	bytes, _ := RequestCost(1 << 20)
	if m.upload.sum != bytes || m.requests.sum != 1 || m.rate.sum != 1 {
		t.Errorf("%d bytes, %d requests, %d messages are spent", m.upload.sum, m.requests.sum, m.rate.sum)
	}
	m.Spend(noon, 1)
	m.Spend(noon.Add(10*time.Minute), 1)
	m.Unspend(noon, 1)                   // has left every window but that of requests
	m.Unspend(noon.Add(-time.Hour), 1)   // was never spent
	m.Unspend(noon.Add(24*time.Hour), 1) // nor that
	if m.rate.sum != 1 || m.requests.sum != 2 {
		t.Errorf("%d messages, %d requests", m.rate.sum, m.requests.sum)
	}
	m.Unspend(noon.Add(10*time.Minute), 1)
	if now := noon.Add(time.Hour); !m.IsFresh(now) {
		t.Error("something is left")
	}
}

// What is taken back is never more than was spent then: neither after a reload changed
// the rate, nor from a time that has another one's place.
func TestUnspendTakesBackOnlyWhatWasSpent(t *testing.T) {
	m := NewMailbox()
	m.SetRate(pacing.Rate{Count: 10, Per: time.Minute})
	for range 3 {
		m.Spend(noon, 1)
	}
	m.SetRate(pacing.Rate{Count: 5, Per: time.Minute})
	m.Spend(noon, 1)
	for range 3 {
		m.Unspend(noon, 1)
	}
	if n := m.Messages(noon); n != 5 {
		t.Errorf("%d messages may be sent, want 5", n)
	}
	m.Spend(noon, 1)
	samePlace := time.Minute / budgetSteps * (budgetSteps + 1)
	m.Unspend(noon.Add(samePlace), 1)
	if n := m.Messages(noon); n != 4 {
		t.Errorf("taken back before it was spent: %d messages may be sent, want 4", n)
	}
	later := noon.Add(samePlace)
	m.Spend(later, 1)
	m.Unspend(noon, 1)
	if n := m.Messages(later); n != 4 {
		t.Errorf("taken back after its time: %d messages may be sent, want 4", n)
	}
}
