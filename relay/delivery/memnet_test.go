package delivery

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// memNet is a network of one host, in memory: its listener answers every
// address. Who waits for it waits durably in the sense of testing/synctest, as
// nobody does who waits for a socket.
type memNet struct {
	calls  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

var memAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443}

func newMemNet() *memNet {
	return &memNet{calls: make(chan net.Conn), closed: make(chan struct{})}
}

func (n *memNet) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := memPipe()
	select {
	case n.calls <- far:
		return near, nil
	case <-n.closed:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: memAddr, Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *memNet) Accept() (net.Conn, error) {
	select {
	case c := <-n.calls:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *memNet) Close() error   { n.once.Do(func() { close(n.closed) }); return nil }
func (n *memNet) Addr() net.Addr { return memAddr }

// memConn is one end of a connection. Unlike those of net.Pipe it has a buffer,
// as the kernel has one: HTTP/2 and TLS write while nobody reads yet.
type memConn struct{ in, out *memStream }

func memPipe() (a, b net.Conn) {
	x, y := newMemStream(), newMemStream()
	return &memConn{in: x, out: y}, &memConn{in: y, out: x}
}

func (c *memConn) Read(p []byte) (int, error)         { return c.in.read(p) }
func (c *memConn) Write(p []byte) (int, error)        { return c.out.write(p) }
func (c *memConn) LocalAddr() net.Addr                { return memAddr }
func (c *memConn) RemoteAddr() net.Addr               { return memAddr }
func (c *memConn) SetReadDeadline(t time.Time) error  { c.in.setDeadline(t); return nil }
func (c *memConn) SetWriteDeadline(t time.Time) error { return nil } // a write never waits
func (c *memConn) SetDeadline(t time.Time) error      { return c.SetReadDeadline(t) }

func (c *memConn) Close() error {
	c.out.end()
	c.in.abandon()
	return nil
}

// memStream is one direction of a connection.
type memStream struct {
	mu       sync.Mutex
	moved    *sync.Cond
	buf      []byte
	ended    bool // nothing more is written
	gone     bool // nobody reads any more
	late     bool // the deadline has passed
	deadline *time.Timer
}

func newMemStream() *memStream {
	s := &memStream{}
	s.moved = sync.NewCond(&s.mu)
	return s
}

func (s *memStream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.gone:
			return 0, net.ErrClosed
		case s.late:
			return 0, os.ErrDeadlineExceeded
		case len(s.buf) > 0:
			n := copy(p, s.buf)
			s.buf = s.buf[n:]
			return n, nil
		case s.ended:
			return 0, io.EOF
		}
		s.moved.Wait()
	}
}

func (s *memStream) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return 0, net.ErrClosed
	case s.gone:
		return 0, &net.OpError{Op: "write", Net: "tcp", Addr: memAddr, Err: syscall.EPIPE}
	}
	s.buf = append(s.buf, p...)
	s.moved.Broadcast()
	return len(p), nil
}

func (s *memStream) end() { s.set(func() { s.ended = true }) }

func (s *memStream) abandon() {
	s.set(func() { s.gone, s.buf = true, nil })
	s.setDeadline(time.Time{})
}

func (s *memStream) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.moved.Broadcast()
}

func (s *memStream) setDeadline(t time.Time) {
	s.set(func() {
		if s.deadline != nil {
			s.deadline.Stop()
			s.deadline = nil
		}
		s.late = !t.IsZero() && !t.After(time.Now())
		if t.IsZero() || s.late {
			return
		}
		var timer *time.Timer
		timer = time.AfterFunc(time.Until(t), func() {
			s.set(func() { s.late = s.late || s.deadline == timer })
		})
		s.deadline = timer
	})
}
