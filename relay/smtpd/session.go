package smtpd

import (
	"io"
	"time"

	"github.com/emersion/go-smtp"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd/wire"
)

// session is go-smtp's view of a conn: the commands that it parsed and found in
// order come back here. All methods run in the connection's goroutine.
type session struct{ c *conn }

func newSession(lc *smtp.Conn) (smtp.Session, error) { return &session{lc.Conn().(*conn)}, nil }

// Mail opens a transaction. go-smtp would accept a second MAIL and keep the
// recipients of the first.
func (s *session) Mail(from string, opts *smtp.MailOptions) error {
	c := s.c
	if c.tx != nil {
		return forLibrary(errNestedMail)
	}
	m := MailFrom{Size: opts.Size, UTF8: opts.UTF8, Helo: c.helo, ESMTP: c.esmtp, TLS: c.secure}
	if from != "" {
		path, err := wire.Mailbox(from)
		if err != nil {
			return forLibrary(errBadSender.Because(err))
		}
		if !opts.UTF8 && !envelope.IsASCII(from) {
			return forLibrary(errNeedsUTF8)
		}
		m.Path = path
	}
	err := c.guard(func() (err error) {
		c.tx, err = c.session.Mail(c.ctx, m)
		return err
	})
	if err != nil {
		c.tx = nil
		return forLibrary(err)
	}
	c.server.conns.promote(c)
	c.utf8 = opts.UTF8
	c.txEnd = time.Now().Add(c.cfg.TransactionTimeout)
	return nil
}

// Rcpt passes a recipient on. go-smtp limits their number.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	c := s.c
	rcpt, err := wire.Mailbox(to)
	if err != nil {
		return forLibrary(errBadRecipient.Because(err))
	}
	if !c.utf8 && !envelope.IsASCII(to) {
		return forLibrary(errNeedsUTF8)
	}
	m := RcptTo{Path: rcpt, NoReport: c.notify.Never}
	return forLibrary(c.guard(func() error { return c.tx.Rcpt(c.ctx, m) }))
}

// Data lets the handler read the message. The library's own reader is not used:
// conn frames messages, and afterwards gives that reader an empty one.
func (s *session) Data(io.Reader) error {
	c := s.c
	b := c.beginBody()
	var id envelope.QueueID
	err := c.guard(func() (err error) {
		id, err = c.tx.Data(c.ctx, b)
		c.tx = nil
		return err
	})
	if err = c.endBody(b, err); err != nil {
		return forLibrary(err)
	}
	return forLibrary(&reply.Error{Code: 250, Enhanced: reply.Enhanced{2, 0, 0}, Text: string(id) + " accepted"})
}

// Reset ends the transaction: RSET, EHLO, and after Data, where it is over.
func (s *session) Reset() { s.c.abort() }

// Logout has nothing to do: conn.Close ends the session.
func (s *session) Logout() error { return nil }

// abort ends the transaction without a message, if there is one.
func (c *conn) abort() {
	if tx := c.tx; tx != nil {
		c.tx = nil
		_ = c.guard(func() error { tx.Abort(); return nil })
	}
}
