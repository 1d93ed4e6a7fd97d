package smtpd

import (
	"crypto/tls"
	"net/netip"
)

// TLSMode says when a listener speaks TLS.
type TLSMode int

// The modes. All but TLSOff need ListenerOptions.Certificate.
const (
	TLSOff      TLSMode = iota
	TLSOptional         // STARTTLS is offered
	TLSRequired         // nothing but EHLO, NOOP, QUIT and STARTTLS before STARTTLS
	TLSImplicit         // from the first octet (RFC 8314)
)

// AuthMode says whether a listener lets clients log in.
type AuthMode int

// The modes.
const (
	AuthOff AuthMode = iota
	AuthOptional
	AuthRequired // no MAIL without a login
)

// ListenerOptions are the settings of one listener. The zero value speaks plain
// SMTP without logins.
type ListenerOptions struct {
	Name string // reaches the Handler as Peer.Listener

	TLS TLSMode
	// Certificate is asked in each handshake, so that files can change while
	// connections live; see KeyPair.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	LegacyTLS   bool // also TLS 1.0 and 1.1, RSA key exchange, CBC and 3DES

	Auth AuthMode
	// PlaintextAuth are networks that may log in without TLS. They are
	// compared with the unmapped address of the real peer.
	PlaintextAuth  []netip.Prefix
	LegacyAuthLine bool // also announce "AUTH=LOGIN PLAIN", as before RFC 2554

	// RejectBareLF reaches the Handler as Peer.RejectBareLF.
	RejectBareLF bool

	// ProxyProtocol are the networks of load balancers. A connection from there
	// must begin with a PROXY header, version 1 or 2, within five seconds; for
	// everybody else PROXY is no command.
	ProxyProtocol []netip.Prefix
}

// mayLoginPlain tells whether p may log in without TLS. Nobody listens in on a
// unix socket.
func (o *ListenerOptions) mayLoginPlain(p Peer) bool {
	return p.Unix || within(o.PlaintextAuth, p.Addr.Addr())
}

// authFor is what logins are to p, now or after STARTTLS.
func (o *ListenerOptions) authFor(p Peer) AuthMode {
	if o.TLS != TLSOff || o.mayLoginPlain(p) {
		return o.Auth
	}
	return AuthOff
}

func within(networks []netip.Prefix, a netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}
