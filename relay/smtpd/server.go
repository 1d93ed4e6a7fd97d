package smtpd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"graphrelay/relay/loglimit"
	"graphrelay/relay/smtpd/wire"

	"github.com/emersion/go-smtp"
)

// Config sets how a Server behaves. Zero values become the defaults named here.
type Config struct {
	Hostname string // in the greeting and the reply to EHLO; = localhost

	MaxMessageSize int64 // bytes after dot-unstuffing, under 4 GiB; = 2100 KiB
	MaxRecipients  int   // of one transaction; = 500
	MaxConnections int   // of all listeners together; = 200. The Handler limits those of one client.

	// IdleTimeout bounds the wait for a whole command line, and the wait
	// between two reads of a message; = 5m (RFC 5321 section 4.5.3.2).
	IdleTimeout time.Duration
	// GuestTimeout bounds a connection that needs a login, until it has one; = 2m.
	GuestTimeout time.Duration
	// TransactionTimeout bounds the time from MAIL to the end of the message,
	// however steadily it trickles; = 1h.
	TransactionTimeout time.Duration

	Log *slog.Logger // nil logs nothing
}

// ErrServerClosed is returned by Serve after Shutdown has begun.
var ErrServerClosed = errors.New("the SMTP server is shut down")

// Server serves SMTP on any number of listeners with common limits.
type Server struct {
	settings atomic.Pointer[settings]
	handler  Handler
	conns    registry
	buffers  wire.Buffers
	events   *loglimit.Limiter

	mu       sync.Mutex
	ports    map[net.Listener]*port
	stopping bool
}

// settings are made from a Config. A connection keeps those it began with.
type settings struct {
	Config
	lib *smtp.Server
}

// New makes a Server. It opens nothing.
func New(cfg Config, h Handler) *Server {
	set := newSettings(cfg)
	s := &Server{handler: h, ports: map[net.Listener]*port{}}
	s.settings.Store(set)
	s.conns.init(set.MaxConnections)
	s.buffers.Init()
	s.events = loglimit.New(set.Log, 1)
	return s
}

func newSettings(cfg Config) *settings {
	cfg = cfg.withDefaults()
	lib := smtp.NewServer(smtp.BackendFunc(newSession))
	lib.Domain = cfg.Hostname
	lib.MaxMessageBytes = cfg.MaxMessageSize
	lib.MaxRecipients = cfg.MaxRecipients
	lib.MaxLineLength = 0 // conn bounds command lines; lines of a message are unbounded
	lib.EnableSMTPUTF8 = true
	// The library reports failures to accept, which it retries after a pause.
	lib.ErrorLog = slog.NewLogLogger(cfg.Log.With("component", "go-smtp").Handler(), slog.LevelError)
	return &settings{cfg, lib}
}

func (c Config) withDefaults() Config {
	c.Hostname = cmp.Or(c.Hostname, "localhost")
	c.MaxMessageSize = min(cmp.Or(c.MaxMessageSize, 2100<<10), math.MaxUint32-1)
	c.MaxRecipients = cmp.Or(c.MaxRecipients, 500)
	c.MaxConnections = cmp.Or(c.MaxConnections, 200)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, 5*time.Minute)
	c.GuestTimeout = cmp.Or(c.GuestTimeout, 2*time.Minute)
	c.TransactionTimeout = cmp.Or(c.TransactionTimeout, time.Hour)
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	return c
}

// Serve accepts connections on l until Shutdown, and then returns
// ErrServerClosed, or until Retire, and then returns nil; any other error means
// that l is broken. It closes l.
func (s *Server) Serve(l net.Listener, o ListenerOptions) error {
	if o.TLS != TLSOff && o.Certificate == nil {
		_ = l.Close()
		return fmt.Errorf("listener %s: TLS without a certificate", o.Name)
	}
	p, ok := s.open(l)
	if !ok {
		_ = l.Close()
		return ErrServerClosed
	}
	defer s.remove(l)
	p.options.CompareAndSwap(nil, &o) // SetOptions may have come first
	err := s.servePort(p)
	switch {
	case s.isStopping():
		return ErrServerClosed
	case p.retired.Load():
		return nil
	}
	return fmt.Errorf("listener %s: %w", p.options.Load().Name, err)
}

// Shutdown stops the server: no new connection is accepted, a session that
// waits for a command is answered 421 4.3.2, one that is busy with a command or a
// message is answered after that. If ctx ends first, the remaining connections
// are closed and the contexts of the handlers are cancelled. Shutdown returns
// only when every connection has ended and every Session is closed; it returns
// ctx's error if it had to close connections.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stopping = true
	for l := range s.ports {
		_ = l.Close()
	}
	s.mu.Unlock()
	defer s.events.Flush()
	gone := s.conns.stop()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	s.conns.kill()
	<-gone
	return ctx.Err()
}

// Stats are counters for status and metrics.
type Stats struct {
	Connections int    // open now
	Accepted    uint64 // connections since the start, without the refused ones
	Refused     uint64 // connections refused over a limit since the start
}

// Stats returns the counters.
func (s *Server) Stats() Stats { return s.conns.stats() }

// open returns the port of l; false once the server stops.
func (s *Server) open(l net.Listener) (*port, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return nil, false
	}
	p := s.ports[l]
	if p == nil {
		p = &port{Listener: l}
		s.ports[l] = p
	}
	return p, true
}

func (s *Server) remove(l net.Listener) {
	_ = l.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ports, l)
}

func (s *Server) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}
