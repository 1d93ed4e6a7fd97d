package config

// TLS is the certificate of the listeners.
type TLS struct {
	CertificateFile Path `yaml:"certificate_file" required:"true" doc:"PEM file of the certificate, followed by those that lead to a root; read again when it changes."`
	KeyFile         Path `yaml:"key_file" required:"true" doc:"PEM file of its private key."`
}

// Listener is one place where clients connect. TLS is always set.
type Listener struct {
	Address        ListenAddress `yaml:"address" required:"true" doc:"IP:PORT, unix:/PATH, or systemd:NAME for a socket of systemd (FileDescriptorName=). Port 0 takes any free port. An address that other hosts reach needs a client that they can be."`
	TLS            string        `yaml:"tls" unset:"starttls with smtp.tls, else off; off on a unix socket" range:"off | starttls | required | implicit" doc:"No TLS, STARTTLS for who wants it, STARTTLS before any mail, or TLS from the first octet."`
	Auth           string        `yaml:"auth" default:"off" range:"off | optional | required" doc:"Logins: not offered, offered, or needed before any mail."`
	PlaintextAuth  []Network     `yaml:"plaintext_auth" unset:"none" doc:"Networks that may log in without TLS."`
	LegacyTLS      bool          `yaml:"legacy_tls" default:"false" doc:"Also TLS 1.0 and 1.1 and old ciphers, for old devices."`
	LegacyAuthLine bool          `yaml:"legacy_auth_line" default:"false" doc:"Also announce AUTH=LOGIN, for very old clients."`
	BareLF         string        `yaml:"bare_lf" default:"normalize" range:"normalize | reject" doc:"A line of a message that ends in LF alone: end it in CRLF, or refuse the message."`
	ProxyProtocol  []Network     `yaml:"proxy_protocol" unset:"none" doc:"Networks of load balancers, which must send a PROXY header; nobody else may."`
}

func (l Listener) offersAuth() bool { return l.Auth == "optional" || l.Auth == "required" }

func (l Listener) hasTLS() bool { return l.TLS != "" && l.TLS != "off" }

func (l *Listener) check(s scope) {
	if l.Address.Unix() {
		l.checkUnix(s)
	}
	if l.LegacyTLS && l.TLS == "off" {
		s.fail("legacy_tls", bad("has no use without TLS", "write tls: starttls, or take the key out"))
	}
	if l.offersAuth() {
		return
	}
	if s.given("plaintext_auth") {
		s.fail("plaintext_auth", bad("has no use without auth", "write auth: optional, or take the key out"))
	}
	if l.LegacyAuthLine {
		s.fail("legacy_auth_line", bad("has no use without auth", "write auth: optional, or take the key out"))
	}
}

// checkUnix refuses what only network connections have.
func (l *Listener) checkUnix(s scope) {
	if l.hasTLS() {
		s.fail("tls", bad("is for connections over a network, and this is a unix socket", "take the key out"))
	}
	for _, key := range []string{"plaintext_auth", "proxy_protocol"} {
		if s.given(key) {
			s.fail(key, bad("names networks, and a unix socket has none", "take the key out"))
		}
	}
}

// checkListeners holds the listeners against each other, the certificate and
// the clients.
func (c *Config) checkListeners(s scope) {
	seen := map[string]bool{}
	for i, l := range c.SMTP.Listeners {
		key, address := entry("smtp.listeners", i, "address"), l.Address.String()
		fixed := l.Address.Network != "tcp" || l.Address.Addr.Port() != 0
		if l.Address.Network != "" && fixed && seen[address] {
			s.fail(key, bad("is the address of a listener above", "write another address, or take the entry out"))
		}
		if l.Address.Unix() && l.Address == c.Admin.Address {
			s.fail(key, bad("is the socket of admin", "write another path"))
		}
		seen[address] = true
		c.checkReach(s, key, l)
		c.checkTLS(s, i, l)
		checkProxies(s, i, l)
	}
}

// checkReach refuses a port that is open to others for nobody's benefit. What
// systemd listens on is not known here; policy refuses strangers in any case.
func (c *Config) checkReach(s scope, key string, l Listener) {
	if l.Address.Network != "tcp" || l.Address.Loopback() || !s.sound("clients") {
		return
	}
	for _, client := range c.Clients {
		if client.reaches(l) {
			return
		}
	}
	s.fail(key, bad("can be reached from other hosts, which no client is allowed to do", "add a client with networks, or with username where the listener has auth; or write a loopback address, as in 127.0.0.1:25 or [::1]:25, or unix:/PATH"))
}

func (c *Config) checkTLS(s scope, i int, l Listener) {
	certificate := s.given("smtp.tls")
	if l.hasTLS() && !certificate {
		s.fail(entry("smtp.listeners", i, "tls"), bad("needs a certificate", "write smtp.tls with certificate_file and key_file, or tls: off"))
	}
	off := l.TLS == "off" || l.TLS == "" && !certificate
	if l.offersAuth() && off && !l.Address.Unix() && !s.given(entry("smtp.listeners", i, "plaintext_auth")) {
		s.fail(entry("smtp.listeners", i, "auth"), bad("can never happen, for there is neither TLS nor plaintext_auth", "write smtp.tls with a certificate, or plaintext_auth with the networks that may log in without TLS"))
	}
	if l.LegacyTLS && l.TLS == "" && off {
		s.fail(entry("smtp.listeners", i, "legacy_tls"), bad("has no use without TLS", "write smtp.tls with a certificate, or take the key out"))
	}
}

func checkProxies(s scope, i int, l Listener) {
	for j, n := range l.ProxyProtocol {
		if n.IsValid() && n.Bits() == 0 {
			s.fail(indexed(entry("smtp.listeners", i, "proxy_protocol"), j), bad("lets every host say which client it is", "write the addresses of the load balancers alone"))
		}
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
