package config

import (
	"net/netip"
	"strings"
)

// ListenAddress is where a socket listens. Network and Address go to
// net.Listen as they are.
type ListenAddress struct {
	Network string         // tcp or unix
	Address string         // ip:port, or an absolute path
	Addr    netip.AddrPort // for tcp; IPv4 is never mapped into IPv6
}

// maxSocketPath is sun_path of Linux without its final NUL.
const maxSocketPath = 107

func (l *ListenAddress) read(text string) *fault {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		return l.readUnix(path)
	}
	ap, err := netip.ParseAddrPort(text)
	if err != nil || ap.Addr().Zone() != "" {
		return bad("is no address to listen on", "write IP:PORT, as in 127.0.0.1:25 or [::1]:25, or unix:/PATH")
	}
	ap = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	*l = ListenAddress{"tcp", ap.String(), ap}
	return nil
}

func (l *ListenAddress) readUnix(path string) *fault {
	switch {
	case !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.HasSuffix(path, "/"):
		return bad("is no absolute path of a socket", "write unix:/PATH, as in unix:/run/graphrelay/submit.sock")
	case len(path) > maxSocketPath:
		return bad("is too long a path for a socket", "write one of at most 107 octets")
	}
	*l = ListenAddress{Network: "unix", Address: path}
	return nil
}

func (*ListenAddress) kind() string { return "listen address" }
func (*ListenAddress) like() string { return "127.0.0.1:25" }

// Unix tells whether l is a unix socket.
func (l ListenAddress) Unix() bool { return l.Network == "unix" }

// Loopback tells whether only this host can reach l.
func (l ListenAddress) Loopback() bool { return l.Unix() || l.Addr.Addr().IsLoopback() }

// String writes l as the file does.
func (l ListenAddress) String() string {
	if l.Unix() {
		return "unix:" + l.Address
	}
	return l.Address
}
