package config

import (
	"net/netip"
	"strings"

	"graphrelay/config/strict"
)

// ListenAddress is where a socket listens. Network and Address go to
// net.Listen as they are, but for systemd, where a socket is handed over.
type ListenAddress struct {
	Network string         // tcp, unix or systemd
	Address string         // ip:port, an absolute path, or the name of a socket
	Addr    netip.AddrPort // for tcp; IPv4 is never mapped into IPv6
}

// maxSocketPath is sun_path of Linux without its final NUL.
const maxSocketPath = 107

func (l *ListenAddress) Read(text string) *strict.Fault {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		return l.readUnix(path)
	}
	if name, ok := strings.CutPrefix(text, "systemd:"); ok {
		return l.readSystemd(name)
	}
	ap, err := netip.ParseAddrPort(text)
	if err != nil || ap.Addr().Zone() != "" {
		return strict.Bad("is not an address to listen on",
			"write IP:PORT, as in 127.0.0.1:25 or [::1]:25, unix:/PATH, or systemd:NAME")
	}
	ap = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	*l = ListenAddress{"tcp", ap.String(), ap}
	return nil
}

func (l *ListenAddress) readUnix(path string) *strict.Fault {
	switch {
	case !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.HasSuffix(path, "/"):
		return strict.Bad("is not an absolute path of a socket",
			"write unix:/PATH, as in unix:/run/graphrelay/submit.sock")
	case len(path) > maxSocketPath:
		return strict.Bad("is too long a path for a socket", "write one of at most 107 bytes")
	}
	*l = ListenAddress{Network: "unix", Address: path}
	return nil
}

// readSystemd takes what sd_listen_fds_with_names(3) can name.
func (l *ListenAddress) readSystemd(name string) *strict.Fault {
	if name == "" || len(name) > 255 || strings.Contains(name, ":") || !isASCIIText(name) {
		return strict.Bad("is not the name of a systemd socket",
			"write systemd:NAME with the FileDescriptorName= of the socket unit, as in systemd:smtp")
	}
	*l = ListenAddress{Network: "systemd", Address: name}
	return nil
}

func isASCIIText(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

func (*ListenAddress) About() (kind, example string) { return "listen address", "127.0.0.1:25" }

// Unix reports whether l is a unix socket.
func (l ListenAddress) Unix() bool { return l.Network == "unix" }

// Loopback reports whether only this host can reach l; false where only systemd
// knows.
func (l ListenAddress) Loopback() bool { return l.Unix() || l.Addr.Addr().IsLoopback() }

// String writes l as the file does.
func (l ListenAddress) String() string {
	if l.Network == "unix" || l.Network == "systemd" {
		return l.Network + ":" + l.Address
	}
	return l.Address
}
