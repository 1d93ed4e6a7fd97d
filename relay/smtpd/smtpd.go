package smtpd

import (
	"context"
	"io"
	"net/netip"

	"graphrelay/relay/envelope"
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
	// Connect is called before the greeting. An error refuses the connection
	// with its reply, or without one where the client expects TLS. It must not
	// block: the next connection is accepted only after it returns. ctx ends
	// with the connection.
	Connect(ctx context.Context, p Peer) (Session, error)
}

// Session is one connection. Its methods are called one at a time.
type Session interface {
	// Authenticate checks a login; after nil the session is this user's. It is
	// not called within a transaction, nor again after nil. 535 counts as a
	// failed login; each makes the client wait a second longer, and five end
	// the connection.
	Authenticate(ctx context.Context, username, password string) error
	// Mail opens a transaction. There is at most one at a time.
	Mail(ctx context.Context, from MailFrom) (Transaction, error)
	// Close is called once, when the connection has ended.
	Close()
}

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
