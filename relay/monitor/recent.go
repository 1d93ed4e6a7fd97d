package monitor

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"graphrelay/relay/state"
)

// Kept and KeptHours are how many minutes and how many hours are remembered.
const (
	Kept      = 24 * 60
	KeptHours = 30 * 24
)

// countOutcome adds the end of an attempt to the minute in which it happened.
func countOutcome(c *state.Minute, o Outcome) {
	switch o.Kind {
	case "sent":
		c.Sent++
		c.CountDelay(o.Delay)
	case "deferred":
		c.Deferred++
	case "paused":
		c.Paused++
	case "held":
		c.Held++
	case "failed":
		c.Failed++
	}
	if o.Duplicate {
		c.Unknown++
	}
}

// minutes are the last hours by the minute and the last weeks by the hour: rings in
// which a slot is used again.
type minutes struct {
	mu     sync.Mutex
	minute [Kept]state.Minute
	hour   [KeptHours]state.Minute
	second [60]state.Minute // of the last minute
}

// slot is where a ring has the step of time that begins at start.
func slot(ring []state.Minute, start time.Time, step time.Duration) *state.Minute {
	return &ring[start.Unix()/int64(step/time.Second)%int64(len(ring))]
}

func (m *minutes) at(now time.Time, change func(*state.Minute)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for step, ring := range map[time.Duration][]state.Minute{
		time.Second: m.second[:], time.Minute: m.minute[:], time.Hour: m.hour[:],
	} {
		start := now.Truncate(step)
		s := slot(ring, start, step)
		if !s.Start.Equal(start) {
			*s = state.Minute{Start: start, Known: true}
		}
		change(s)
	}
}

// Sampled records how many messages are waiting; call it every few seconds.
func (m *Monitor) Sampled(s state.Snapshot) {
	m.minutes.at(m.cfg.Now(), func(c *state.Minute) { c.Waiting = max(c.Waiting, s.Waiting()) })
}

// Minutes returns the last n minutes, oldest first and the current one last. Those
// in which nothing happened are zero; those before the service ran are not Known.
func (m *Monitor) Minutes(n int) []state.Minute { return m.last(m.minutes.minute[:], n, time.Minute) }

// Hours is Minutes by the hour.
func (m *Monitor) Hours(n int) []state.Minute { return m.last(m.minutes.hour[:], n, time.Hour) }

// LastMinute is what happened in the last 60 seconds, the current one included.
func (m *Monitor) LastMinute() state.Minute {
	return state.Sum(m.last(m.minutes.second[:], len(m.minutes.second), time.Second))
}

func (m *Monitor) last(ring []state.Minute, n int, step time.Duration) []state.Minute {
	n = min(n, len(ring))
	now := m.cfg.Now().Truncate(step)
	m.minutes.mu.Lock()
	defer m.minutes.mu.Unlock()
	list := make([]state.Minute, n)
	for i := range list {
		start := now.Add(-time.Duration(n-1-i) * step)
		list[i] = state.Minute{Start: start}
		if s := slot(ring, start, step); s.Start.Equal(start) {
			list[i] = *s
		}
	}
	return list
}

// maxClients bounds the clients that are remembered; a new one replaces the one
// that has been absent for the longest time.
const maxClients = 500

type clientKey struct{ name, addr string }

type clients struct {
	mu   sync.Mutex
	seen map[clientKey]*state.Client
}

// at changes the entry of a client that is here now.
func (c *clients) at(now time.Time, k clientKey, change func(*state.Client)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.seen[k]
	if e == nil {
		if len(c.seen) >= maxClients {
			delete(c.seen, slices.MinFunc(slices.Collect(maps.Keys(c.seen)), func(a, b clientKey) int {
				return c.seen[a].Last.Compare(c.seen[b].Last)
			}))
		}
		e = &state.Client{Name: k.name, Addr: k.addr, First: now}
		c.seen[k] = e
	}
	e.Last = now
	change(e)
}

// cut bounds a text that may contain what a client sent.
func cut(s string) string { return s[:min(len(s), 500)] }

// Clients returns who connected since the start, the most recent first.
func (m *Monitor) Clients() []state.Client {
	m.clients.mu.Lock()
	defer m.clients.mu.Unlock()
	list := make([]state.Client, 0, len(m.clients.seen))
	for _, e := range m.clients.seen {
		list = append(list, *e)
	}
	slices.SortFunc(list, func(a, b state.Client) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Addr, b.Addr), cmp.Compare(a.Name, b.Name))
	})
	return list
}
