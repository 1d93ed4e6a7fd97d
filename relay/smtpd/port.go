package smtpd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"graphrelay/relay/pacing"
)

// port is a socket that is served. The socket outlives its options and the
// server's settings: when these change, the library's accept loop ends and another
// begins on the same socket, whose backlog the kernel keeps meanwhile. No
// connection is refused, and open ones do not notice.
type port struct {
	net.Listener
	options atomic.Pointer[ListenerOptions]
	rounds  atomic.Uint64 // of the accept loop, counted when it is poked
	retired atomic.Bool
	early   net.Conn // accepted by a loop that was outdated by then; for the next loop
}

// errChanged ends an accept loop whose settings have changed.
var errChanged = errors.New("settings have changed")

// Reconfigure gives new connections other settings, on all listeners; open ones
// keep theirs. Log stays that of the first Config.
func (s *Server) Reconfigure(cfg Config) {
	cfg.Log = s.settings.Load().Log
	set := newSettings(cfg)
	s.conns.limit(set.MaxConnections)
	s.settings.Store(set)
	for _, p := range s.served() {
		p.poke()
	}
}

// SetOptions gives new connections on l other options; open ones keep theirs. TLS
// needs a Certificate.
func (s *Server) SetOptions(l net.Listener, o ListenerOptions) {
	if p, ok := s.open(l); ok {
		p.options.Store(&o)
		p.poke()
	}
}

// Retire closes l and ends its Serve. Its open connections continue.
func (s *Server) Retire(l net.Listener) {
	if p, ok := s.open(l); ok {
		p.retired.Store(true)
		_ = l.Close()
	}
}

// Alive returns nil once the accept loop of every listener has answered: it is
// about to accept, and nothing that it calls is stuck. The error is for the log.
func (s *Server) Alive(ctx context.Context) error {
	for _, p := range s.served() {
		if !p.answers(ctx) {
			return fmt.Errorf("the accept loop of listener %s does not answer", p.options.Load().Name)
		}
	}
	return nil
}

func (s *Server) served() (list []*port) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.ports {
		if p.options.Load() != nil {
			list = append(list, p)
		}
	}
	return list
}

// servePort runs accept loops until one ends for good.
func (s *Server) servePort(p *port) error {
	for {
		l := newAcceptLoop(s, p)
		if err := l.settings.lib.Serve(l); !errors.Is(err, errChanged) {
			return err
		}
	}
}

// next returns the next connection.
func (p *port) next() (nc net.Conn, err error) {
	if nc, p.early = p.early, nil; nc != nil {
		return nc, nil
	}
	return p.Listener.Accept()
}

// answers pokes the accept loop and waits until it has come round.
func (p *port) answers(ctx context.Context) bool {
	before := p.rounds.Load()
	p.poke()
	for p.rounds.Load() == before && !p.retired.Load() {
		if pacing.Sleep(ctx, 5*time.Millisecond) != nil {
			return false
		}
	}
	return true
}

// poke interrupts an Accept that waits.
func (p *port) poke() {
	if d, ok := p.Listener.(deadliner); ok {
		_ = d.SetDeadline(time.Unix(1, 0))
	}
}

// deadliner is what TCP and unix listeners are.
type deadliner interface{ SetDeadline(time.Time) error }

// poked reports whether err comes from a poke, and takes the poke back. What was
// changed before a poke is seen after it.
func (p *port) poked(err error) bool {
	d, ok := p.Listener.(deadliner)
	if !ok || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	_ = d.SetDeadline(time.Time{})
	p.rounds.Add(1)
	return true
}
