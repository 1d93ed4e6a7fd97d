package smtpd_test

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pires/go-proxyproto"

	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd"
)

func behindProxy() smtpd.ListenerOptions {
	return smtpd.ListenerOptions{Name: "test", ProxyProtocol: prefixes("127.0.0.0/8")}
}

// proxyHeader is what a load balancer sends for a client.
func proxyHeader(t testing.TB, version byte, from string) string {
	t.Helper()
	source := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))
	dest := net.TCPAddrFromAddrPort(netip.AddrPortFrom(source.AddrPort().Addr(), 25))
	b, err := proxyproto.HeaderProxyFromAddrs(version, source, dest).Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestProxyGivesTheRealPeer(t *testing.T) {
	for _, version := range []byte{1, 2} {
		for _, from := range []string{"10.1.2.3:4711", "[2001:db8::1]:4711"} {
			h := &recorder{}
			_, addr := startOn(t, smtpd.Config{}, behindProxy(), h)
			c := dial(t, addr)
			c.send(proxyHeader(t, version, from) + "EHLO x\r\n") // pipelined: nothing behind the header is lost
			c.expect("220")
			c.expect("250-")
			c.begin()
			if p := h.peer(0); p.Addr.String() != from || p.Unix {
				t.Errorf("version %d: peer %+v, want %s", version, p, from)
			}
		}
	}
}

func TestProxyHeadersThatEndTheConnection(t *testing.T) {
	from, to := &net.UnixAddr{Name: "/run/x", Net: "unix"}, &net.UnixAddr{Name: "/run/y", Net: "unix"}
	unix, err := proxyproto.HeaderProxyFromAddrs(2, from, to).Format()
	if err != nil {
		t.Fatal(err)
	}
	for name, first := range map[string]string{
		"none":        "EHLO x\r\n",
		"a wrong one": "PROXY TCP4 999.1.1.1 10.0.0.1 1 25\r\n",
		"unspecified": proxyHeader(t, 1, "0.0.0.0:1"),
		"multicast":   proxyHeader(t, 2, "224.0.0.1:1"),
		"unix":        string(unix), // a unix peer would be this host
		"a flood":     "PROXY " + strings.Repeat("x", 5000),
	} {
		h := &recorder{}
		_, addr := startOn(t, smtpd.Config{}, behindProxy(), h)
		c := dial(t, addr)
		c.send(first)
		if rest, _ := io.ReadAll(c.r); len(rest) > 0 || len(h.peers) > 0 {
			t.Errorf("%s: replies %q, peers %v", name, rest, h.peers)
		}
	}
}

// The loopback of a load balancer on another host is not this host.
func TestProxyLoopback(t *testing.T) {
	for from, want := range map[string]bool{"127.0.0.1:9": true, "10.9.9.9:9": false} {
		synctest.Test(t, func(t *testing.T) {
			h := &recorder{}
			s := smtpd.New(smtpd.Config{}, h)
			l := &pipes{make(chan net.Conn), make(chan struct{})}
			o := smtpd.ListenerOptions{ProxyProtocol: prefixes("10.9.9.9/32", "127.0.0.1/32")}
			go func() { _ = s.Serve(l, o) }()
			defer func() { _ = s.Shutdown(t.Context()) }()
			ours, theirs := net.Pipe()
			l.conns <- &addressed{theirs, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))}
			c := &client{t, ours, newReader(ours)}
			c.send(proxyHeader(t, 1, "127.0.0.1:4711"))
			line, _ := c.r.ReadString('\n')
			if got := strings.HasPrefix(line, "220"); got != want {
				t.Errorf("loopback by %s: %q", from, line)
			}
			c.nc.Close()
		})
	}
}

// The header is awaited for five seconds, in pieces or not at all.
func TestProxyTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := smtpd.New(smtpd.Config{}, &recorder{})
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		go func() { _ = s.Serve(l, behindProxy()) }()
		defer func() { _ = s.Shutdown(t.Context()) }()
		ours, theirs := net.Pipe()
		l.conns <- &addressed{theirs, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}}
		at := time.Now()
		if rest, _ := io.ReadAll(ours); len(rest) > 0 {
			t.Errorf("replies %q", rest)
		}
		if d := time.Since(at); d != 5*time.Second {
			t.Errorf("ended after %v", d)
		}
		ours.Close()
	})
}

// From others PROXY is an unknown command, and changes nothing.
func TestProxyFromStrangers(t *testing.T) {
	h := &recorder{}
	c := open(t, smtpd.Config{}, h)
	c.send(proxyHeader(t, 1, "10.1.2.3:4711"))
	c.expect("500 5.5.2")
	c.say("EHLO x", "250-")
	if a := h.peer(0).Addr.Addr(); !a.IsLoopback() {
		t.Errorf("peer %v", a)
	}
}

// The handler, which limits clients, is asked about the client behind the load
// balancer, and its refusal ends that connection only.
func TestProxyLimits(t *testing.T) {
	h := &recorder{}
	h.set(hooks{connect: func(p smtpd.Peer) error {
		if p.Addr.Addr().String() == "10.0.0.1" {
			return reply.New(421, reply.Enhanced{4, 7, 0}, "Too many connections")
		}
		return nil
	}})
	s, addr := startOn(t, smtpd.Config{}, behindProxy(), h)
	first, second := dial(t, addr), dial(t, addr)
	first.send(proxyHeader(t, 2, "10.0.0.1:1"))
	first.expect("421 4.7.0")
	first.expectEnd()
	second.send(proxyHeader(t, 2, "10.0.0.2:1"))
	second.expect("220")
	for s.Stats().Connections != 1 {
	}
}

func TestProxyUnderImplicitTLS(t *testing.T) {
	h := &recorder{}
	o := withTLS(t, smtpd.TLSImplicit)
	o.ProxyProtocol = behindProxy().ProxyProtocol
	_, addr := startOn(t, smtpd.Config{}, o, h)
	c := dial(t, addr)
	c.send(proxyHeader(t, 2, "10.1.2.3:4711"))
	c.secure(trusting)
	c.expect("220")
	if p := h.peer(0); p.Addr.String() != "10.1.2.3:4711" {
		t.Errorf("peer %+v", p)
	}
}

// A load balancer's own check (version 2 LOCAL) is the load balancer.
func TestProxyLocalCommand(t *testing.T) {
	h := &recorder{}
	_, addr := startOn(t, smtpd.Config{}, behindProxy(), h)
	c := dial(t, addr)
	b, err := (&proxyproto.Header{Version: 2, Command: proxyproto.LOCAL}).Format()
	if err != nil {
		t.Fatal(err)
	}
	c.send(string(b))
	c.expect("220")
	if a := h.peer(0).Addr.Addr(); !a.IsLoopback() {
		t.Errorf("peer %v", a)
	}
}
