package smtpd

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

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
	addr := c.peer.Addr.Addr()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.admits(addr); err != nil {
		r.refused++
		return err
	}
	r.accepted++
	r.open[c] = struct{}{}
	if addr.IsValid() {
		r.perAddr[addr]++
	}
	return nil
}

func (r *registry) admits(addr netip.Addr) *status.Error {
	switch {
	case r.stopping:
		return errStopping
	case len(r.open) >= r.max:
		return errManyConnections
	case r.maxPerAddr > 0 && addr.IsValid() && r.perAddr[addr] >= r.maxPerAddr:
		return errManyConnections
	}
	return nil
}

func (r *registry) remove(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, c)
	if addr := c.peer.Addr.Addr(); addr.IsValid() {
		if r.perAddr[addr]--; r.perAddr[addr] == 0 {
			delete(r.perAddr, addr)
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

// gate is the listener that go-smtp serves: it lets through what the limits
// admit, wrapped in conn.
type gate struct {
	net.Listener
	server  *Server
	options ListenerOptions
}

// Accept returns the next admitted connection.
func (g *gate) Accept() (net.Conn, error) {
	for {
		nc, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := newConn(g.server, nc, g.options)
		refusal := g.server.conns.add(c)
		if refusal == nil {
			return c, nil
		}
		g.server.refused.note(c.peer, refusal)
		turnAway(nc, refusal)
	}
}

// turnAway answers a connection that is not served. It must not hold up the
// accept loop: the reply fits the empty send buffer of a new socket.
func turnAway(nc net.Conn, refusal *status.Error) {
	_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = nc.Write(appendStatus(nil, refusal))
	_ = nc.Close()
}

// refusalLog writes one line for many refused connections, so that a flood of
// connections is not a flood of log lines. The zero value lacks only log.
type refusalLog struct {
	log *slog.Logger

	mu     sync.Mutex
	last   time.Time
	unsaid int
}

const refusalLogPause = 10 * time.Second

func (l *refusalLog) note(p Peer, refusal *status.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unsaid++
	if now := time.Now(); now.Sub(l.last) >= refusalLogPause {
		l.log.Warn("connections refused", "count", l.unsaid, "listener", p.Listener, "last_client", p.String(), "reply", refusal.Text)
		l.last, l.unsaid = now, 0
	}
}

func peerOf(nc net.Conn, listener string) Peer {
	p := Peer{Listener: listener}
	switch a := nc.RemoteAddr().(type) {
	case *net.TCPAddr:
		ap := a.AddrPort()
		// A zone would keep the address from matching any network.
		p.Addr = netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
	case *net.UnixAddr:
		p.Unix = true
	}
	return p
}

// String names the peer for logs.
func (p Peer) String() string {
	if !p.Addr.IsValid() {
		return "unix"
	}
	return p.Addr.Addr().String()
}
