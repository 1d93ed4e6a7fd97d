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
	User     string // the user ID of who opened a unix socket, in decimal; empty where unknown
	// Auth is the listener's, but AuthOff where this peer cannot log in: who is
	// not known by address may otherwise still be by name.
	Auth         AuthMode
	RejectBareLF bool // the listener wants messages with a bare LF refused
}

// MailFrom is what a MAIL command said, checked for form.
type MailFrom struct {
	Path  envelope.Address // zero for the null reverse-path; may lack a domain
	Size  int64            // declared by SIZE=, else 0
	UTF8  bool             // SMTPUTF8
	Helo  string           // of EHLO or HELO, printable ASCII
	TLS   bool
	ESMTP bool // EHLO, not HELO
}

// Handler decides about connections. Errors of all methods go to the client
// through status.Of; what is not a status.Error becomes 451 4.3.0. A reply of
// 421 also ends the connection, and so does a panic, which is logged.
type Handler interface {
	// Connect is asked before the greeting; an error refuses the connection
	// with its reply, or without a word where the client expects TLS. It must
	// not block: the next connection is accepted after its answer. ctx ends
	// with the connection.
	Connect(ctx context.Context, p Peer) (Session, error)
}

// Session is one connection. Its methods are called one at a time.
type Session interface {
	// Authenticate checks a login; nil means that the session is now of this
	// user. It is not called within a transaction, nor again after nil. 535
	// counts as a failed login, of which five end the connection; each makes
	// the client wait a second longer.
	Authenticate(ctx context.Context, username, password string) error
	// Mail opens a transaction. There is at most one at a time.
	Mail(ctx context.Context, from MailFrom) (Transaction, error)
	// Close is called once, when the connection has ended.
	Close()
}

// Transaction is from MAIL to the reply of DATA. It ends with exactly one of
// Data returning or Abort; a recipient may arrive only before Data. When a
// method panics, Abort is called as well.
type Transaction interface {
	// Rcpt takes a recipient; it may lack a domain ("root").
	Rcpt(ctx context.Context, to envelope.Address) error
	// Data reads the message, dot-unstuffed, to its end: io.EOF comes only when
	// the message is complete (CRLF.CRLF, BDAT LAST); every other end is an
	// error and the message must be dropped. What Data leaves unread smtpd
	// drains or cuts off. A nil error is answered "250 2.0.0" with the ID, so it
	// must be returned only when the message is durable, and only after io.EOF
	// was seen.
	Data(ctx context.Context, r io.Reader) (envelope.QueueID, error)
	// Abort ends it without a message: RSET, EHLO, the connection died.
	Abort()
}
