package config

import (
	"net/netip"
	"slices"
	"strings"

	"graphrelay/config/strict"
)

// TLS is the certificate of the listeners.
type TLS struct {
	CertificateFile Path `yaml:"certificate_file" required:"true"`
	KeyFile         Path `yaml:"key_file" required:"true"`
}

// Listener is one place where clients connect. TLS is always set.
type Listener struct {
	Address ListenAddress `yaml:"address" required:"true"`
	// TLS is always off on a unix socket.
	TLS string `yaml:"tls" unset:"starttls with smtp.tls, else off" range:"off | starttls | required | implicit"`
	// Without TLS, only PlaintextAuth may log in.
	Auth           string    `yaml:"auth" default:"off" range:"off | optional | required"`
	PlaintextAuth  []Network `yaml:"plaintext_auth" unset:"none"`
	LegacyTLS      bool      `yaml:"legacy_tls" default:"false"`
	LegacyAuthLine bool      `yaml:"legacy_auth_line" default:"false"`
	BareLF         string    `yaml:"bare_lf" default:"normalize" range:"normalize | reject"`
	ProxyProtocol  []Network `yaml:"proxy_protocol" unset:"none"`
}

func (l Listener) offersAuth() bool { return l.Auth == "optional" || l.Auth == "required" }

func (l Listener) hasTLS() bool { return l.TLS != "" && l.TLS != "off" }

func (l *Listener) Check(s strict.Scope) {
	if l.Address.Unix() {
		l.checkUnix(s)
	}
	s.FailIf(l.LegacyTLS && l.TLS == "off", "legacy_tls", "has no effect without TLS",
		"write tls: starttls, or remove the key")
	if l.offersAuth() {
		return
	}
	s.FailIf(s.Given("plaintext_auth"), "plaintext_auth", "has no effect without auth",
		"write auth: optional, or remove the key")
	s.FailIf(l.LegacyAuthLine, "legacy_auth_line", "has no effect without auth",
		"write auth: optional, or remove the key")
}

// checkUnix refuses what only network connections have.
func (l *Listener) checkUnix(s strict.Scope) {
	s.FailIf(l.hasTLS(), "tls", "is for connections over a network, and this is a unix socket", "remove the key")
	for _, key := range []string{"plaintext_auth", "proxy_protocol"} {
		s.FailIf(s.Given(key), key, "names networks, and a unix socket has none", "remove the key")
	}
}

// checkListeners compares the listeners with each other, the certificate and the clients.
func (c *Config) checkListeners(s strict.Scope) {
	seen := map[string]bool{}
	for i, l := range c.SMTP.Listeners {
		key, address := strict.Entry("smtp.listeners", i, "address"), l.Address.String()
		fixed := l.Address.Network != "tcp" || l.Address.Addr.Port() != 0
		s.FailIf(l.Address.Network != "" && fixed && seen[address], key, "is already the address of another listener",
			"write another address, or remove the entry")
		s.FailIf(l.Address.Unix() && l.Address == c.Admin.Address, key, "is already the admin socket",
			"write another path")
		seen[address] = true
		c.checkReach(s, key, l)
		c.checkTLS(s, i, l)
		checkProxies(s, i, l)
	}
}

// checkReach refuses a port that other hosts reach and no client may use. What
// systemd listens on is not known here; policy refuses strangers in any case.
func (c *Config) checkReach(s strict.Scope, key string, l Listener) {
	if l.Address.Network != "tcp" || l.Address.Loopback() || !s.Sound("clients") {
		return
	}
	reached := slices.ContainsFunc(c.Clients, func(client Client) bool { return client.reaches(l) })
	s.FailIf(!reached, key, "can be reached from other hosts, but no client may connect from one",
		"add a client with networks, or with username where the listener has auth; or write a loopback address, as "+
			`in 127.0.0.1:25 or "[::1]:25", or unix:/PATH`)
}

func (c *Config) checkTLS(s strict.Scope, i int, l Listener) {
	certificate := s.Given("smtp.tls")
	s.FailIf(l.hasTLS() && !certificate, strict.Entry("smtp.listeners", i, "tls"), "needs a certificate",
		"write smtp.tls with certificate_file and key_file, or tls: off")
	off := l.TLS == "off" || l.TLS == "" && !certificate
	encrypt := "smtp.tls with a certificate"
	if l.TLS == "off" {
		encrypt = "tls: starttls"
	}
	plaintext := l.Address.Unix() || s.Given(strict.Entry("smtp.listeners", i, "plaintext_auth"))
	s.FailIf(l.offersAuth() && off && !plaintext, strict.Entry("smtp.listeners", i, "auth"),
		"can never succeed: there is neither TLS nor plaintext_auth",
		"write "+encrypt+", or plaintext_auth with the networks that may log in without TLS")
	s.FailIf(l.LegacyTLS && l.TLS == "" && off, strict.Entry("smtp.listeners", i, "legacy_tls"),
		"has no effect without TLS", "write smtp.tls with a certificate, or remove the key")
}

func checkProxies(s strict.Scope, i int, l Listener) {
	for j, n := range l.ProxyProtocol {
		s.FailIf(n.IsValid() && n.Bits() == 0, strict.Indexed(strict.Entry("smtp.listeners", i, "proxy_protocol"), j),
			"lets every host claim to be any client", "write only the addresses of the load balancers")
	}
}

// completeListeners fills in the default of tls.
func (c *Config) completeListeners() {
	for i := range c.SMTP.Listeners {
		switch l := &c.SMTP.Listeners[i]; {
		case l.TLS != "":
		case c.SMTP.TLS != nil && !l.Address.Unix():
			l.TLS = "starttls"
		default:
			l.TLS = "off"
		}
	}
}

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
			`write IP:PORT, as in 127.0.0.1:25 or "[::1]:25", unix:/PATH, or systemd:NAME`)
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

func (*ListenAddress) Free() {}

func (*ListenAddress) About() (kind, example string) { return "listen address", "127.0.0.1:25" }

// Unix reports whether l is a unix socket.
func (l ListenAddress) Unix() bool { return l.Network == "unix" }

// Loopback reports whether only this host can reach l; false where only systemd knows.
func (l ListenAddress) Loopback() bool { return l.Unix() || l.Addr.Addr().IsLoopback() }

// String writes l as the file does.
func (l ListenAddress) String() string {
	if l.Network == "unix" || l.Network == "systemd" {
		return l.Network + ":" + l.Address
	}
	return l.Address
}
