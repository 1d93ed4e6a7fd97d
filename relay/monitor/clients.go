package monitor

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"graphrelay/relay/state"
)

// maxClients bounds the clients that are remembered; a new one replaces the one
// that has been absent for the longest time.
const maxClients = 500

type clientKey struct{ name, addr string }

type clients struct {
	mu   sync.Mutex
	seen map[clientKey]*state.Client
}

func newClients() *clients { return &clients{seen: map[clientKey]*state.Client{}} }

func (c *clients) accepted(now time.Time, t Taken) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entry(now, clientKey{t.Client, t.Addr})
	e.Accepted++
	e.Bytes += t.Size
}

func (c *clients) rejected(now time.Time, r Refused) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entry(now, clientKey{r.Client, r.Addr})
	e.Rejected++
	e.RefusedAt, e.Step, e.Status, e.Reply, e.Why = now, r.At, r.Status, cut(r.Reply), cut(r.Cause)
}

// entry finds or makes the entry of a client; mu is held.
func (c *clients) entry(now time.Time, k clientKey) *state.Client {
	e := c.seen[k]
	if e == nil {
		if len(c.seen) >= maxClients {
			c.forgetOne()
		}
		e = &state.Client{Name: k.name, Addr: k.addr, First: now}
		c.seen[k] = e
	}
	e.Last = now
	return e
}

func (c *clients) forgetOne() {
	var oldest clientKey
	var at time.Time
	for k, e := range c.seen {
		if at.IsZero() || e.Last.Before(at) {
			oldest, at = k, e.Last
		}
	}
	delete(c.seen, oldest)
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
