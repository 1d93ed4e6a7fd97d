package monitor

import (
	"math"
	"sync"
	"time"
)

// Kept is how many minutes are remembered.
const Kept = 6 * 60

// Minute is what happened in one minute.
type Minute struct {
	Start                                  time.Time
	Accepted, Rejected                     int
	Sent, Deferred, Held, Bounced, Unknown int // of attempts; Bounced holds Failed ones too
	Waiting                                int // messages at most: queued, active or held

	delays [delayBuckets]uint32 // of sent messages
}

// delayBuckets are powers of two from 1 ms, so up to 12 days.
const delayBuckets = 30

func (c *Minute) outcome(o Outcome) {
	switch o.Kind {
	case "sent":
		c.Sent++
		c.delays[bucketOf(o.Delay)]++
	case "deferred":
		c.Deferred++
	case "held":
		c.Held++
	case "bounced", "failed":
		c.Bounced++
	}
	if o.Duplicate {
		c.Unknown++
	}
}

// Add takes the events of another minute into c; Start stays.
func (c *Minute) Add(o Minute) {
	c.Accepted += o.Accepted
	c.Rejected += o.Rejected
	c.Sent += o.Sent
	c.Deferred += o.Deferred
	c.Held += o.Held
	c.Bounced += o.Bounced
	c.Unknown += o.Unknown
	c.Waiting = max(c.Waiting, o.Waiting)
	for i, n := range o.delays {
		c.delays[i] += n
	}
}

func bucketOf(d time.Duration) int {
	return min(delayBuckets-1, max(0, int(math.Ceil(math.Log2(max(1, float64(d)/float64(time.Millisecond)))))))
}

// Delay is the time from acceptance to Graph's 202 that a share of the sent
// messages (0.5: half of them) did not exceed; 0 where none was sent.
func (c Minute) Delay(share float64) time.Duration {
	want, sum := share*float64(c.Sent), 0.0
	for i, n := range c.delays {
		if sum += float64(n); n > 0 && sum >= want {
			return time.Millisecond << i
		}
	}
	return 0
}

// minutes is a ring of the last ones.
type minutes struct {
	mu   sync.Mutex
	ring [Kept]Minute
}

func newMinutes() *minutes { return new(minutes) }

func (m *minutes) at(now time.Time, change func(*Minute)) {
	start := now.Truncate(time.Minute)
	m.mu.Lock()
	defer m.mu.Unlock()
	slot := &m.ring[start.Unix()/60%Kept]
	if !slot.Start.Equal(start) {
		*slot = Minute{Start: start}
	}
	change(slot)
}

// Sampled remembers how many messages wait; call it every few seconds.
func (m *Monitor) Sampled(s Snapshot) {
	m.minutes.at(m.cfg.Now(), func(c *Minute) { c.Waiting = max(c.Waiting, s.Queued+s.Active+s.Held) })
}

// Minutes returns the last n minutes, oldest first, the current one last. One
// in which nothing happened is there too.
func (m *Monitor) Minutes(n int) []Minute {
	n = min(n, Kept)
	now := m.cfg.Now().Truncate(time.Minute)
	m.minutes.mu.Lock()
	defer m.minutes.mu.Unlock()
	list := make([]Minute, n)
	for i := range list {
		start := now.Add(-time.Duration(n-1-i) * time.Minute)
		list[i] = Minute{Start: start}
		if slot := m.minutes.ring[start.Unix()/60%Kept]; slot.Start.Equal(start) {
			list[i] = slot
		}
	}
	return list
}
