package sandbox

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// server is one listener with its http.Server.
type server struct {
	handler http.Handler
	tls     *tls.Config // nil: plain HTTP
	refuse  func() bool // whether the next connection is closed unread; may be nil

	open atomic.Int64 // connections

	mu   sync.Mutex
	http *http.Server
	addr string
}

// start listens on a loopback address and serves in the background.
func (s *server) start(addr string) error {
	addr, err := loopback(addr)
	if err != nil {
		return err
	}
	return s.listen(func() (net.Listener, error) { return net.Listen("tcp", addr) })
}

// listen serves what open opens in the background.
func (s *server) listen(open func() (net.Listener, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http != nil {
		return fmt.Errorf("already listening on %s", s.addr)
	}
	listener, err := open()
	if err != nil {
		return err
	}
	s.addr = listener.Addr().String()
	s.http = s.newHTTP()
	go s.serve(s.http, &pickyListener{listener, s.refuse})
	return nil
}

func (s *server) newHTTP() *http.Server {
	return &http.Server{
		Handler:           s.handler,
		TLSConfig:         s.tls,
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		// Dropped connections and refused handshakes are scripted here; the
		// standard log would only repeat them.
		ErrorLog:  log.New(io.Discard, "", 0),
		ConnState: s.count,
		ConnContext: func(ctx context.Context,
			c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          1000,
			MaxReceiveBufferPerStream:     1 << 20,
			MaxReceiveBufferPerConnection: 16 << 20,
		},
	}
}

// count follows the connections. One that a handler took over counts no more.
func (s *server) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.open.Add(-1)
	}
}

func (s *server) serve(h *http.Server, l net.Listener) {
	if h.TLSConfig != nil {
		_ = h.ServeTLS(l, "", "")
		return
	}
	_ = h.Serve(l)
}

func (s *server) url(scheme string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.addr == "" {
		return ""
	}
	return scheme + s.addr
}

func (s *server) close() error {
	if h := s.current(); h != nil {
		return h.Close()
	}
	return nil
}

func (s *server) shutdown(ctx context.Context) error {
	if h := s.current(); h != nil {
		return h.Shutdown(ctx)
	}
	return nil
}

func (s *server) current() *http.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.http
}

// loopback completes addr, and refuses what is not loopback: the double hands
// out tokens for the asking and must not be reachable from outside.
func loopback(addr string) (string, error) {
	if addr == "" {
		return "127.0.0.1:0", nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	if host == "" || host == "localhost" {
		return net.JoinHostPort("127.0.0.1", port), nil
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.IsLoopback() {
		return "", fmt.Errorf("the sandbox listens on loopback only, not on %q; use 127.0.0.1:PORT", host)
	}
	return addr, nil
}

// pickyListener closes the connections that a fault script says to close
// before anything is read from them.
type pickyListener struct {
	net.Listener
	refuse func() bool
}

func (l *pickyListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || l.refuse == nil || !l.refuse() {
			return conn, err
		}
		if err := conn.Close(); errors.Is(err, net.ErrClosed) {
			return nil, err
		}
	}
}
