package monitor

import (
	"cmp"
	"maps"
	"slices"
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

// recent is what happened lately, minute by minute, and second by second in the last of them.
type recent struct {
	mu      sync.Mutex
	minutes ring
	seconds ring
}

func newRecent() recent {
	return recent{
		minutes: ring{time.Minute, make([]state.Minute, Kept)}, seconds: ring{time.Second, make([]state.Minute, 60)},
	}
}

func (r *recent) at(now time.Time, change func(*state.Minute)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r.minutes.slot(now))
	change(r.seconds.slot(now))
}

// ring keeps so many spans of time.
type ring struct {
	span  time.Duration
	slots []state.Minute
}

func (r ring) slot(now time.Time) *state.Minute {
	start := now.Truncate(r.span)
	slot := &r.slots[start.UnixNano()/int64(r.span)%int64(len(r.slots))]
	if !slot.Start.Equal(start) {
		*slot = state.Minute{Start: start}
	}
	return slot
}

// last returns the last n spans, oldest first.
func (r ring) last(now time.Time, n int) []state.Minute {
	list := make([]state.Minute, min(n, len(r.slots)))
	for i := range list {
		list[i] = *r.slot(now.Add(-time.Duration(len(list)-1-i) * r.span))
	}
	return list
}

// Sampled records how many messages are waiting; call it every few seconds.
func (m *Monitor) Sampled(s state.Snapshot) {
	m.recent.at(m.cfg.Now(), func(c *state.Minute) { c.Waiting = max(c.Waiting, s.Waiting()) })
}

// Minutes returns the last n minutes, oldest first and the current one last,
// including those in which nothing happened.
func (m *Monitor) Minutes(n int) []state.Minute {
	m.recent.mu.Lock()
	defer m.recent.mu.Unlock()
	return m.recent.minutes.last(m.cfg.Now(), n)
}

// LastMinute is what happened in the last 60 seconds, the current one included.
func (m *Monitor) LastMinute() state.Minute {
	m.recent.mu.Lock()
	defer m.recent.mu.Unlock()
	return state.Sum(m.recent.seconds.last(m.cfg.Now(), 60))
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
