package smtpd

import (
	"net/netip"
	"sync"

	"graphrelay/relay/status"
)

// registry knows every open connection, for the limits and for the stop:
// go-smtp has no limits, and its own Shutdown tells idle sessions nothing.
type registry struct {
	max, maxPerAddr int

	mu       sync.Mutex
	open     map[*conn]struct{}
	perAddr  map[netip.Addr]int
	accepted uint64
	refused  uint64
	stopping bool
	gone     chan struct{} // closed when stopping and open is empty
}

func (r *registry) init(max, maxPerAddr int) {
	r.max, r.maxPerAddr = max, maxPerAddr
	r.open = map[*conn]struct{}{}
	r.perAddr = map[netip.Addr]int{}
	r.gone = make(chan struct{})
}

// add enters c, or says why not.
func (r *registry) add(c *conn) *status.Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.stopping:
		r.refused++
		return errStopping
	case len(r.open) >= r.max:
		r.refused++
		return errManyConnections
	}
	r.open[c] = struct{}{}
	return nil
}

// count counts c under its address, or says why not.
func (r *registry) count(c *conn) *status.Error {
	addr := c.peer.Addr.Addr()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !addr.IsValid() {
		r.accepted++
		return nil
	}
	if r.maxPerAddr > 0 && r.perAddr[addr] >= r.maxPerAddr {
		r.refused++
		return errManyFromOne
	}
	r.accepted++
	r.perAddr[addr]++
	c.counted = addr
	return nil
}

func (r *registry) remove(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, c)
	if c.counted.IsValid() {
		if r.perAddr[c.counted]--; r.perAddr[c.counted] == 0 {
			delete(r.perAddr, c.counted)
		}
	}
	r.report()
}

// report closes gone once; the caller holds mu.
func (r *registry) report() {
	if !r.stopping || len(r.open) > 0 {
		return
	}
	select {
	case <-r.gone:
	default:
		close(r.gone)
	}
}

// stop tells every connection to end after what it is doing, and returns a
// channel that is closed when the last one is gone.
func (r *registry) stop() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopping = true
	for c := range r.open {
		c.stop()
	}
	r.report()
	return r.gone
}

// kill cuts every connection off.
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
	return Stats{Connections: len(r.open), Accepted: r.accepted, Refused: r.refused}
}
