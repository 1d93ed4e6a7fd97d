package smtpd

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd/wire"
)

// acceptLoop is the listener that go-smtp serves: it returns the connections that
// the limits and the handler admit, wrapped in conn. It ends when its settings
// are no longer the present ones.
type acceptLoop struct {
	net.Listener
	server   *Server
	port     *port
	settings *settings
	options  *ListenerOptions // another after a change
	tls      *tls.Config
}

func newAcceptLoop(s *Server, p *port) *acceptLoop {
	o := p.options.Load()
	l := &acceptLoop{Listener: p.Listener, server: s, port: p, settings: s.settings.Load(), options: o}
	if o.TLS != TLSOff {
		l.tls = o.tlsConfig()
	}
	return l
}

// outdated reports whether l was made of what has changed since.
func (l *acceptLoop) outdated() bool {
	return l.server.settings.Load() != l.settings || l.port.options.Load() != l.options
}

// Accept returns the next admitted connection. Strangers and clients with too
// many connections are turned away here: a flood of them takes no place of
// others, and costs no goroutine.
func (l *acceptLoop) Accept() (net.Conn, error) {
	for {
		nc, err := l.port.next()
		if l.port.poked(err) {
			if l.outdated() {
				return nil, errChanged
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if l.outdated() {
			l.port.early = nc
			return nil, errChanged
		}
		c := newConn(l, nc)
		if refusal := c.admit(); refusal != nil {
			c.turnAway(refusal)
			continue
		}
		return c, nil
	}
}

// admit enters c with the registry and asks the handler. For a client behind a
// load balancer it is asked later, once the header has given the address.
func (c *conn) admit() *reply.Error {
	if c.loop.options.Unused {
		return errUnavailable
	}
	if refusal := c.server.conns.add(c); refusal != nil {
		return c.noteFull(refusal)
	}
	if c.proxied {
		return nil
	}
	refusal := c.identify()
	if refusal != nil {
		c.server.conns.remove(c)
	}
	return refusal
}

// identify asks the handler about the peer.
func (c *conn) identify() *reply.Error {
	c.server.conns.accepted.Add(1)
	if c.loop.options.Auth == AuthRequired && c.peer.Auth == AuthOff {
		c.note(slog.LevelWarn, "no login possible", "connection refused",
			slog.String("error", "this listener requires a login, and has no TLS to log in with"),
			slog.String("remedy", "add the client's network to plaintext_auth, or give the listener tls"))
		c.refused(errNoLogin)
		return errNoLogin
	}
	err := c.guard(func() (err error) {
		c.session, err = c.server.handler.Connect(c.ctx, c.peer)
		return err
	})
	if err != nil {
		c.session = nil
		return reply.Of(err)
	}
	if refusal := c.server.conns.seat(c, c.session.Standing()); refusal != nil {
		_ = c.guard(func() error { c.session.Close(); return nil })
		c.session = nil
		return c.noteFull(refusal)
	}
	return nil
}

// noteFull logs a refusal of the registry.
func (c *conn) noteFull(refusal *reply.Error) *reply.Error {
	c.note(slog.LevelWarn, "connections refused", "connections refused",
		slog.String("reply", refusal.Text),
		slog.String("remedy", "find out why the client opens so many, or raise smtp.max_connections"))
	c.refused(refusal)
	return refusal
}

// turnAway answers a connection that is not served. It does not delay the accept
// loop: the reply fits the empty send buffer of a new socket. A client that
// expects TLS would not understand it.
func (c *conn) turnAway(refusal *reply.Error) {
	c.cancel()
	if c.loop.options.TLS != TLSImplicit && !c.proxied {
		_ = c.raw.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = c.raw.Write(wire.AppendReply(nil, refusal))
	}
	_ = c.raw.Close()
}

// TurnAway answers 421 to every client that waits at l, for a service that cannot
// start, and returns when no other has come for a moment, after a second at most.
// It leaves l open.
func TurnAway(l net.Listener) {
	d, ok := l.(deadliner)
	if !ok {
		return
	}
	defer func() { _ = d.SetDeadline(time.Time{}) }()
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		_ = d.SetDeadline(time.Now().Add(50 * time.Millisecond))
		nc, err := l.Accept()
		if err != nil {
			return
		}
		_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = nc.Write(wire.AppendReply(nil, errUnavailable))
		_ = nc.Close()
	}
}

func peerOf(addr net.Addr, o *ListenerOptions) Peer {
	p := Peer{Listener: o.Name, RejectBareLF: o.RejectBareLF}
	switch a := addr.(type) {
	case *net.TCPAddr:
		ap := a.AddrPort()
		// A zone would keep the address from matching any network.
		p.Addr = netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
	case *net.UnixAddr:
		p.Unix = true
	}
	p.Auth = o.authFor(p)
	return p
}

// String names the peer for logs.
func (p Peer) String() string {
	if !p.Addr.IsValid() {
		return "unix"
	}
	return p.Addr.Addr().String()
}

// Literal names a peer that has not said its name, as RFC 5321 section 4.1.3 does.
func (p Peer) Literal() string {
	switch a := p.Addr.Addr().WithZone(""); {
	case !a.IsValid():
		return "localhost"
	case a.Is6():
		return "[IPv6:" + a.String() + "]"
	default:
		return "[" + a.String() + "]"
	}
}
