package listeners

import (
	"net"
	"net/netip"
	"testing"
)

// Of the sockets of an address a listener takes one, and of a name of systemd all.
func TestTakeListeners(t *testing.T) {
	tcp, systemd := Listener{address: "127.0.0.1:0"}, Listener{address: "systemd:smtp", unit: "smtp",
		Listener: at("10.1.2.1:25")}
	open := []Listener{tcp, systemd, tcp, systemd}
	for _, c := range []struct {
		address     string
		taken, left int
	}{{"127.0.0.1:0", 1, 3}, {"systemd:smtp", 2, 1}, {"127.0.0.1:25", 0, 1}, {"127.0.0.1:0", 1, 0}} {
		if got := take(&open, c.address); len(got) != c.taken || len(open) != c.left {
			t.Errorf("%s: took %v, left %v", c.address, got, open)
		}
	}
}

// A listener also finds the socket of systemd that has its address.
func TestTakeASocketOfSystemdByItsAddress(t *testing.T) {
	open := []Listener{{unit: "smtp", Listener: at("127.0.0.1:25")}, {unit: "smtp", Listener: at("[::1]:25")}}
	if got := take(&open, "127.0.0.1:25"); len(got) != 1 || len(open) != 1 {
		t.Errorf("took %v, left %v", got, open)
	}
}

// at is a listener that only has an address.
type at string

func (at) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (at) Close() error              { return nil }
func (a at) Addr() net.Addr          { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(string(a))) }
