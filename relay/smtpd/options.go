package smtpd

import (
	"crypto/tls"
	"net/netip"
	"slices"
)

// TLSMode is when a listener speaks TLS.
type TLSMode int

// The modes. All but TLSOff need ListenerOptions.Certificate.
const (
	TLSOff      TLSMode = iota
	TLSOptional         // STARTTLS is offered
	TLSRequired         // nothing but EHLO, NOOP, QUIT and STARTTLS before STARTTLS
	TLSImplicit         // from the first byte (RFC 8314)
)

// AuthMode is whether clients of a listener may or must log in.
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
	// Certificate is called in each handshake, so that a renewed certificate
	// needs no restart.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	LegacyTLS   bool // also TLS 1.0 and 1.1, RSA key exchange, CBC and 3DES

	Auth AuthMode
	// PlaintextAuth are networks that may log in without TLS. They are
	// compared with the unmapped address of the real peer.
	PlaintextAuth  []netip.Prefix
	LegacyAuthLine bool // also announces "AUTH=LOGIN PLAIN", as before RFC 2554

	// RejectBareLF reaches the Handler as Peer.RejectBareLF.
	RejectBareLF bool

	// ProxyProtocol are the networks of load balancers. A connection from there
	// must begin with a PROXY header, version 1 or 2, within five seconds; from
	// anyone else PROXY is an unknown command.
	ProxyProtocol []netip.Prefix
}

// mayLoginPlain reports whether p may log in without TLS. Nobody can listen in on
// a unix socket.
func (o *ListenerOptions) mayLoginPlain(p Peer) bool {
	return p.Unix || within(o.PlaintextAuth, p.Addr.Addr())
}

// authFor is the mode that applies to p, now or after STARTTLS.
func (o *ListenerOptions) authFor(p Peer) AuthMode {
	if o.TLS != TLSOff || o.mayLoginPlain(p) {
		return o.Auth
	}
	return AuthOff
}

func within(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) })
}
