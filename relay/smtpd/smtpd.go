// Package smtpd is the SMTP server: it accepts connections, keeps them within
// limits, speaks the protocol and hands each transaction to a Handler. It must
// not know policy, queue or configuration file.
//
// # What it promises
//
// A message reaches io.EOF in Transaction.Data only when the client ended it:
// by CRLF.CRLF, or by all bytes of the chunk of BDAT LAST. Whatever else happens
// (a closed connection, a timeout, too many bytes, another command between
// chunks, a shutdown) is an error there, and the message is not accepted. A
// message is answered 250 only after Data returned nil.
//
// No byte of a message is ever read as a command: not after a timeout, not after
// a refusal in the middle, not when a chunk was refused, not behind bare LF, CR
// or NUL. Where the end of a message cannot be known, the connection ends. Each
// command gets exactly one reply; the last one may be a 421 that replaces the
// reply or follows it unasked.
//
// What was said before TLS does not count after it: plain text pipelined behind STARTTLS
// is dropped, EHLO must be repeated, and a failed handshake ends the connection. A
// password is accepted only under TLS or from the networks that the listener names.
//
// Peer is the real client: behind a load balancer it comes from the PROXY
// header, which is required from the listener's networks and not accepted from
// anyone else. On a unix socket the kernel names the user.
//
// A panic in the Handler is logged, answered 421, and ends that connection only.
// Memory per connection is bounded whatever the client sends: lines of a message
// may have any length, command lines 2,046 bytes.
//
// # How it is built
//
// emersion/go-smtp reads the commands, keeps their order, parses paths and
// parameters and words most replies. It sits above our own net.Conn, the type
// conn, which feeds it one checked command line at a time:
//
//	socket - [PROXY header] - [TLS] - conn - go-smtp - session (the same conn) - Handler
//
// Because conn sees whole commands in plain text and every reply, it can do what
// go-smtp gets wrong and no wrapper below it could repair: it frames the bodies
// of DATA and of BDAT (a BDAT is DATA to the library, so a message is always
// read in the connection's own goroutine), keeps rolling deadlines under a cap
// for the transaction, and gathers the replies to pipelined commands into one
// write. TLS goes between socket and conn, which answers STARTTLS and AUTH
// itself: a close_notify in the middle of a chunk is an end like any other, and
// yields no message. The Handler is asked about a connection in the accept loop,
// so that a flood of refused ones takes no place and no goroutine; behind a load
// balancer it is asked once the header has arrived. The pure parts, which parse
// and format, are package wire.
//
// The standards are RFC 5321 (SMTP), 1870 (SIZE), 2034 and 3463 (enhanced codes),
// 2920 (PIPELINING), 3030 (CHUNKING, without BINARYMIME), 3207 (STARTTLS), 4616
// and 4954 (AUTH PLAIN), 6152 (8BITMIME), 6531 (SMTPUTF8), 8314 (implicit TLS)
// and 9422 (LIMITS); AUTH LOGIN and the PROXY protocol follow common practice.
//
// # Limits
//
// Between two accepted messages a client may make 10 errors of syntax or
// sequence and send 100 commands besides RCPT, DATA and BDAT. An over-long
// command line is skipped up to 64 KiB. A refused message is read to its end,
// up to 64 MiB or four times the largest message, so that the client sees the
// refusal; beyond that the connection is closed.
//
// A connection that may not send before a login is a guest: it must have logged in
// after two minutes, however much it speaks. 20 guests may come from one address (an
// IPv6 /64, a user of a unix socket); of those whom the handler does not know by
// earlier logins, as many as half of all places. One more makes the oldest leave, and
// so does a client for whom there is no place.
//
// A TLS handshake may take 30 seconds, a PROXY header five. The n-th failed
// login of a connection is answered after n seconds, the fifth ends it. A line
// of an AUTH dialog is a command line: 2,046 bytes.
//
// # Known limits
//
//   - A client that sends DATA and the message in one go, without waiting for
//     354, and gets DATA refused, has its message read as commands, as with
//     every SMTP server: nothing distinguishes the two. Ten errors end it.
//   - A line starts behind CRLF. In a message with bare LF line ends, a dot that
//     the client doubled behind a bare LF stays doubled.
//   - BINARYMIME and DSN (RFC 3461) are not offered: Graph supports neither. The
//     parameters of DSN are read and ignored, except NOTIFY=NEVER, for many
//     clients send them unasked.
//   - A client that says HELO or EHLO without a name goes by its address.
//   - CRAM-MD5 is not offered: the server would need the password in clear text.
//   - Old devices that speak TLS 1.0 or 1.1 need LegacyTLS and, for RSA key
//     exchange, a certificate with an RSA key. RC4, SSL 3 and DHE are never
//     offered: Go has none of them. So a Windows Server before 2016, which has
//     no AEAD suite for an RSA certificate, needs LegacyTLS too.
//   - Version 1 of the PROXY header must arrive in one segment, as it does from
//     load balancers; one from another host that names a loopback address is
//     refused.
//   - Shutdown waits for the pause after a failed login, up to five seconds.
package smtpd

import (
	"context"
	"crypto/tls"
	"io"
	"net/netip"
	"slices"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
)

// Peer is the other end of a connection.
type Peer struct {
	Listener string         // its configured address, e.g. "127.0.0.1:25" or "unix:/run/..."
	Addr     netip.AddrPort // unmapped, without a zone; zero on a unix socket
	Unix     bool
	User     string // decimal ID of the user who opened a unix socket; empty if unknown
	// Auth is the listener's, or AuthOff if this peer cannot log in. Where it can,
	// a client that is not known by address may still become known by name.
	Auth         AuthMode
	RejectBareLF bool // the listener wants messages with a bare LF refused
}

// MailFrom is the content of a MAIL command, with its syntax checked.
type MailFrom struct {
	Path  envelope.Address // zero for the null reverse-path; may lack a domain
	Size  int64            // declared by SIZE=, else 0
	UTF8  bool             // SMTPUTF8
	Helo  string           // of EHLO or HELO, printable ASCII; the client's address if it said none
	TLS   bool
	ESMTP bool // EHLO, not HELO
}

// RcptTo is the content of a RCPT command, with its syntax checked.
type RcptTo struct {
	Path     envelope.Address // may lack a domain ("root")
	NoReport bool             // NOTIFY=NEVER: the sender wants no report about this recipient
}

// Handler decides about connections. Errors of all methods become replies through
// reply.Of: any error but a reply.Error becomes 451 4.3.0. A reply of 421 also
// ends the connection, and so does a panic, which is logged.
type Handler interface {
	// Connect is called before the greeting. An error refuses the connection with its
	// reply, or without one where the client expects TLS. It must not block: the next
	// connection is accepted only after it returns. ctx ends with the connection.
	Connect(ctx context.Context, p Peer) (Session, error)
	// Refused is called for each refusal that the server itself decided, such as a
	// message over the limit; s is nil where there is no session (yet). It must not
	// block.
	Refused(p Peer, s Session, e *reply.Error)
}

// Session is one connection. Its methods are called one at a time.
type Session interface {
	// Authenticate checks a login; after nil the session is this user's. It is not
	// called within a transaction, nor again after nil. 535 counts as a failed login;
	// each makes the client wait a second longer, and five end the connection.
	Authenticate(ctx context.Context, username, password string) error
	// Mail opens a transaction. There is at most one at a time.
	Mail(ctx context.Context, from MailFrom) (Transaction, error)
	// Standing is asked after Connect returned the session.
	Standing() Standing
	// Close is called once, when the connection has ended.
	Close()
}

// Standing is what a connection is worth where places are short.
type Standing int

// The standings. A guest becomes a client by a login or a MAIL that succeeds.
const (
	Client   Standing = iota // may send, or has logged in
	Known                    // a guest from where somebody has lately logged in
	Stranger                 // any other guest
)

// Transaction is from MAIL to the reply of DATA. It ends with exactly one of
// Data returning or Abort; recipients arrive only before Data. If a method
// panics, Abort is called as well.
type Transaction interface {
	// Rcpt adds a recipient.
	Rcpt(ctx context.Context, to RcptTo) error
	// Data reads the message, dot-unstuffed, to its end: io.EOF comes only if
	// the message is complete (CRLF.CRLF, BDAT LAST); every other end is an
	// error, and the message must be dropped. smtpd drains or cuts off what Data
	// leaves unread. A nil error is answered "250 2.0.0" with the ID, so Data
	// must return it only once the message is durable, and only after io.EOF.
	Data(ctx context.Context, r io.Reader) (envelope.QueueID, error)
	// Abort ends it without a message: after RSET, EHLO or a lost connection.
	Abort()
}

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

	// Unused turns every connection away with 421: nothing is to be served here,
	// and whoever connects must not wait for a greeting.
	Unused bool

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
