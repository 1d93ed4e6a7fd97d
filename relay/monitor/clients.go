package monitor

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"graphrelay/relay/reply"
)

// maxClients bounds the clients that are remembered; the one that was not seen
// for the longest time makes room for a new one.
const maxClients = 500

// Client is who connected: an entry of clients: from one address.
type Client struct {
	Name, Addr         string // Name is empty for strangers
	Accepted, Rejected int
	Octets             int64 // of accepted messages
	First, Last        time.Time

	// Of the last refusal:
	RefusedAt  time.Time
	Status     reply.Enhanced
	Step       string // of the dialog
	Reply, Why string
}

type clientKey struct{ name, addr string }

type clients struct {
	mu   sync.Mutex
	seen map[clientKey]*Client
}

func newClients() *clients { return &clients{seen: map[clientKey]*Client{}} }

func (c *clients) accepted(now time.Time, t Taken) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entry(now, clientKey{t.Client, t.Addr})
	e.Accepted++
	e.Octets += t.Size
}

func (c *clients) rejected(now time.Time, r Refused) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entry(now, clientKey{r.Client, r.Addr})
	e.Rejected++
	e.RefusedAt, e.Step, e.Status, e.Reply, e.Why = now, r.At, r.Status, cut(r.Reply), cut(r.Cause)
}

// entry finds or makes the entry of a client; mu is held.
func (c *clients) entry(now time.Time, k clientKey) *Client {
	e := c.seen[k]
	if e == nil {
		if len(c.seen) >= maxClients {
			c.forgetOne()
		}
		e = &Client{Name: k.name, Addr: k.addr, First: now}
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

// cut bounds a text that may hold what a client wrote.
func cut(s string) string { return s[:min(len(s), 500)] }

// Clients returns who was seen since the start, last seen first.
func (m *Monitor) Clients() []Client {
	m.clients.mu.Lock()
	defer m.clients.mu.Unlock()
	list := make([]Client, 0, len(m.clients.seen))
	for _, e := range m.clients.seen {
		list = append(list, *e)
	}
	slices.SortFunc(list, func(a, b Client) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Addr, b.Addr), cmp.Compare(a.Name, b.Name))
	})
	return list
}
