package smtpd

import (
	"sync"
	"sync/atomic"

	"graphrelay/relay/reply"
)

// registry knows every open connection, for the limits and for Shutdown: go-smtp
// has no limits, and its own Shutdown says nothing to idle sessions.
type registry struct {
	mu  sync.Mutex
	max int

	open     map[*conn]struct{}
	guests   []*guest      // the oldest first
	parting  int           // connections of open that are asked to make room
	accepted atomic.Uint64 // connections that the handler judged
	refused  uint64
	stopping bool
	gone     chan struct{} // closed once, when stopping and open is empty
	once     sync.Once
}

func (r *registry) init(max int) {
	r.max = max
	r.open = map[*conn]struct{}{}
	r.gone = make(chan struct{})
}

// limit changes the limit for connections from now on.
func (r *registry) limit(max int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.max = max
}

// add enters c, or returns why not.
func (r *registry) add(c *conn) *reply.Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.stopping:
		r.refused++
		return errStopping
	case len(r.open)-r.parting >= r.max && len(r.guests) == 0:
		r.refused++
		return errManyConnections
	}
	r.open[c] = struct{}{}
	return nil
}

func (r *registry) remove(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, c)
	if c.guest != nil && r.drop(c.guest) {
		r.parting--
	}
	r.closeGone()
}

// closeGone closes gone once it is time; the caller holds mu.
func (r *registry) closeGone() {
	if r.stopping && len(r.open) == 0 {
		r.once.Do(func() { close(r.gone) })
	}
}

// stop asks every connection to end after what it is doing, and returns a channel
// that is closed when the last one has ended.
func (r *registry) stop() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopping = true
	for c := range r.open {
		c.part(errStopping)
	}
	r.closeGone()
	return r.gone
}

// kill closes every connection.
func (r *registry) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.open {
		c.kill()
	}
}

func (r *registry) stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Stats{Connections: len(r.open), Accepted: r.accepted.Load(), Refused: r.refused}
}
