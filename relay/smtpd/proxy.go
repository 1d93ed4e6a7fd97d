package smtpd

import (
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"
)

// proxyTimeout is how long a load balancer may take to send its header.
const proxyTimeout = 5 * time.Second

// readProxy reads the PROXY header that must come first, and takes the peer from
// it. A missing, late or wrong header ends the connection without a reply, as the
// specification of PROXY asks.
func (c *conn) readProxy() error {
	if err := c.awaitUntil(time.Now().Add(proxyTimeout), true); err != nil {
		return err
	}
	p := proxyproto.NewConn(c.raw, proxyproto.WithPolicy(proxyproto.REQUIRE),
		proxyproto.SetReadHeaderTimeout(proxyTimeout))
	header := p.ProxyHeader()
	if header == nil {
		return c.badProxy("no PROXY header came within five seconds; make the load balancer send one, " +
			"or remove its network from proxy_protocol")
	}
	c.nc = p
	if header.Command.IsLocal() || header.TransportProtocol.IsUnspec() {
		return nil // the load balancer's own check: it is the peer
	}
	source, ok := header.SourceAddr.(*net.TCPAddr)
	if !ok {
		return c.badProxy("the PROXY header names no TCP address")
	}
	peer := peerOf(source, c.loop.options)
	// The loopback address of another host is not this host, which has rights of its own.
	if peer.Addr.Addr().IsLoopback() && !c.peer.Addr.Addr().IsLoopback() || !isHost(peer.Addr.Addr()) {
		return c.badProxy("the PROXY header names " + peer.String() + ", which cannot be a client's address")
	}
	c.peer = peer
	return nil
}

func isHost(a netip.Addr) bool { return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() }

func (c *conn) badProxy(cause string) error {
	c.note(slog.LevelWarn, "bad PROXY header", "connection closed for its PROXY header", slog.String("error", cause))
	return c.finish("bad PROXY header")
}
