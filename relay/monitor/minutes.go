package monitor

import (
	"sync"
	"time"

	"graphrelay/relay/state"
)

// Kept is how many minutes are remembered.
const Kept = 6 * 60

// countOutcome adds the end of an attempt to the minute in which it happened.
func countOutcome(c *state.Minute, o Outcome) {
	switch o.Kind {
	case "sent":
		c.Sent++
		c.CountDelay(o.Delay)
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

// minutes is a ring of the last Kept minutes.
type minutes struct {
	mu   sync.Mutex
	ring [Kept]state.Minute
}

func (m *minutes) at(now time.Time, change func(*state.Minute)) {
	start := now.Truncate(time.Minute)
	m.mu.Lock()
	defer m.mu.Unlock()
	slot := &m.ring[start.Unix()/60%Kept]
	if !slot.Start.Equal(start) {
		*slot = state.Minute{Start: start}
	}
	change(slot)
}

// Sampled records how many messages are waiting; call it every few seconds.
func (m *Monitor) Sampled(s state.Snapshot) {
	m.minutes.at(m.cfg.Now(), func(c *state.Minute) { c.Waiting = max(c.Waiting, s.Waiting()) })
}

// Minutes returns the last n minutes, oldest first and the current one last,
// including those in which nothing happened.
func (m *Monitor) Minutes(n int) []state.Minute {
	n = min(n, Kept)
	now := m.cfg.Now().Truncate(time.Minute)
	m.minutes.mu.Lock()
	defer m.minutes.mu.Unlock()
	list := make([]state.Minute, n)
	for i := range list {
		start := now.Add(-time.Duration(n-1-i) * time.Minute)
		list[i] = state.Minute{Start: start}
		if slot := m.minutes.ring[start.Unix()/60%Kept]; slot.Start.Equal(start) {
			list[i] = slot
		}
	}
	return list
}
