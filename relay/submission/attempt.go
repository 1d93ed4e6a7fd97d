package submission

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/emersion/go-smtp"

	"graphrelay/relay/entra"
	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/text"
)

// attempt is one connection for one message, or for a login alone.
type attempt struct {
	c    *Client
	ctx  context.Context
	as   envelope.Address // zero: no login
	mail *Mail            // nil: none

	smtp *smtp.Client
	done bool // the end of the message may have left
	read error
}

func (t *attempt) run() outcome.Answer {
	var token string
	if !t.as.IsZero() {
		got, err := t.c.cfg.Login.GetToken(t.ctx, policy.TokenRequestOptions{})
		if err != nil {
			return t.noToken(err)
		}
		token = got.Token
	}
	conn, err := t.dial()
	switch {
	case err != nil && errors.Is(t.ctx.Err(), context.Canceled):
		return t.lost(lostStopped, nil)
	case err != nil:
		return t.lost(lostConnect, err)
	}
	over := context.AfterFunc(t.ctx, func() { _ = conn.Close() })
	defer over()
	defer conn.Close()
	if a, ok := t.secure(conn); !ok {
		return a
	}
	if err = t.logIn(token); err == nil && t.mail != nil {
		if a, ok := t.offered(); !ok {
			return a
		}
		err = t.send()
	}
	if err != nil {
		return t.failed(err)
	}
	t.c.quit(t.smtp)
	return Classify(250, "2.0.0", "")
}

func (t *attempt) dial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(t.ctx, t.c.cfg.Step)
	defer cancel()
	conn, err := t.c.cfg.Dial(ctx, "tcp", t.c.cfg.Address)
	if err != nil {
		return nil, err
	}
	return &steady{Conn: conn, limit: t.c.cfg.Step}, nil
}

// steady bounds each write, for go-smtp leaves the body of a message without a deadline,
// and what comes between two of them, for it keeps each line of a reply.
type steady struct {
	net.Conn
	limit time.Duration
	said  int
}

// maxReply bounds a reply, and all that a server says in the handshake of TLS.
const maxReply = 64 << 10

var errEndless = errors.New("smtp: a reply without end")

func (s *steady) Write(p []byte) (int, error) {
	s.said = 0
	_ = s.SetWriteDeadline(time.Now().Add(s.limit))
	return s.Conn.Write(p)
}

func (s *steady) Read(p []byte) (n int, err error) {
	if s.said > maxReply {
		return 0, errEndless
	}
	n, err = s.Conn.Read(p)
	s.said += n
	return n, err
}

// secure greets the server and starts TLS; without it nothing more is said.
func (t *attempt) secure(conn net.Conn) (outcome.Answer, bool) {
	host, _, _ := net.SplitHostPort(t.c.cfg.Address)
	g := &greeting{conn, t.c.cfg.Step}
	client, err := smtp.NewClientStartTLS(g, &tls.Config{
		ServerName: host, RootCAs: t.c.cfg.Roots, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		if strings.Contains(err.Error(), "support STARTTLS") {
			return t.lost(noStartTLS, nil), false
		}
		return t.failed(err), false
	}
	client.CommandTimeout, client.SubmissionTimeout = t.c.cfg.Step, t.c.cfg.Final
	t.smtp, g.limit = client, 0
	if err := client.Hello("localhost"); err != nil {
		return t.failed(err), false
	}
	return outcome.Answer{}, true
}

// greeting shortens the deadlines that go-smtp sets before its own can be changed.
type greeting struct {
	net.Conn
	limit time.Duration
}

func (g *greeting) SetDeadline(at time.Time) error {
	if latest := time.Now().Add(g.limit); at.After(latest) && g.limit > 0 {
		at = latest
	}
	return g.Conn.SetDeadline(at)
}

// logIn authenticates, where there is a mailbox to log in as.
func (t *attempt) logIn(token string) error {
	if t.as.IsZero() {
		return nil
	}
	if !t.smtp.SupportsAuth("XOAUTH2") {
		return errNoLogin
	}
	return t.smtp.Auth(xoauth2{user: t.as.String(), token: token})
}

var errNoLogin = errors.New("the server does not offer XOAUTH2")

// xoauth2 is the mechanism as Microsoft describes it.
type xoauth2 struct{ user, token string }

func (x xoauth2) Start() (string, []byte, error) {
	return "XOAUTH2", []byte("user=" + x.user + "\x01auth=Bearer " + x.token + "\x01\x01"), nil
}

// Next answers a challenge, which can only say why the login fails, with nothing: the
// reply that counts follows.
func (x xoauth2) Next([]byte) ([]byte, error) { return []byte{}, nil }

// offered compares the message with what the server announces.
func (t *attempt) offered() (outcome.Answer, bool) {
	if limit, ok := t.smtp.MaxMessageSize(); ok && limit > 0 && t.mail.Size > int64(limit) {
		a := t.lost(tooLarge, nil)
		a.Detail = strconv.FormatInt(t.mail.Size, 10) + " bytes, and the server takes " + strconv.Itoa(limit)
		return a, false
	}
	if utf8, _ := t.smtp.Extension("SMTPUTF8"); t.needsUTF8() && !utf8 {
		return t.lost(noUTF8, nil), false
	}
	return outcome.Answer{}, true
}

func (t *attempt) needsUTF8() bool {
	for _, a := range append([]envelope.Address{t.mail.From}, t.mail.To...) {
		if strings.ContainsFunc(a.String(), func(r rune) bool { return r > '~' }) {
			return true
		}
	}
	return false
}

// send hands the message over. go-smtp announces 8BITMIME where the server offers it.
func (t *attempt) send() error {
	from := ""
	if !t.mail.From.IsZero() {
		from = t.mail.From.String()
	}
	err := t.smtp.Mail(from, &smtp.MailOptions{Size: t.mail.Size, UTF8: t.needsUTF8()})
	for i := 0; i < len(t.mail.To) && err == nil; i++ {
		err = t.smtp.Rcpt(t.mail.To[i].String(), nil)
	}
	if err != nil {
		return err
	}
	body, err := t.mail.Open()
	if err != nil {
		t.read = err
		return err
	}
	defer body.Close()
	w, err := t.smtp.Data()
	if err != nil {
		return err
	}
	if _, err = io.Copy(w, watched{body, &t.read}); err != nil {
		return err // without the final dot, so that nothing was sent
	}
	if err := t.ctx.Err(); err != nil {
		return err
	}
	t.done = true
	_, err = w.CloseWithResponse()
	return err
}

// watched keeps an error of the message apart from those of the connection.
type watched struct {
	io.Reader
	err *error
}

func (w watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if err != nil && err != io.EOF {
		*w.err = err
	}
	return n, err
}

// quit ends the session; nothing depends on it.
func (c *Client) quit(s *smtp.Client) {
	s.CommandTimeout = min(c.cfg.Step, 5*time.Second)
	_ = s.Quit()
}

// failed says what an error of the session means.
func (t *attempt) failed(err error) outcome.Answer {
	var reply *smtp.SMTPError
	var protocol textproto.ProtocolError
	switch {
	case errors.As(err, &reply) && (t.done || reply.Code >= 400):
		return t.refused(reply)
	case reply != nil:
		return t.lost(lostProtocol, err) // nothing was sent, whatever the success is
	case t.read != nil:
		return t.lost(lostUnreadable, t.read)
	case t.done:
		return t.lost(lostAfter, err)
	case errors.Is(err, errNoLogin):
		return t.lost(noLogin, nil)
	case errors.Is(t.ctx.Err(), context.Canceled):
		return t.lost(lostStopped, nil)
	case t.ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded):
		return t.lost(lostStall, err)
	case isTLS(err):
		return t.lost(lostTLS, err)
	case errors.As(err, &protocol), strings.Contains(err.Error(), "smtp: "):
		return t.lost(lostProtocol, err)
	}
	return t.lost(lostBefore, err)
}

func isTLS(err error) bool {
	var cert *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var header tls.RecordHeaderError
	return errors.As(err, &cert) || errors.As(err, &unknown) || errors.As(err, &header) ||
		strings.Contains(err.Error(), "tls: ") || strings.Contains(err.Error(), "x509: ")
}

// refused classifies a reply.
func (t *attempt) refused(r *smtp.SMTPError) outcome.Answer {
	code := ""
	if e := r.EnhancedCode; e != (smtp.EnhancedCode{}) && e != smtp.NoEnhancedCode {
		code = strconv.Itoa(e[0]) + "." + strconv.Itoa(e[1]) + "." + strconv.Itoa(e[2])
	}
	a := Classify(r.Code, code, r.Message)
	a.Detail = "the submission server answered " + outcome.Quote(r.Code, code, r.Message, nil)
	return t.c.redact(a)
}

// Classify says what a reply means. It is pure. A reply may quote addresses, which
// clients choose: their words say nothing.
func Classify(reply int, code, message string) outcome.Answer {
	var codes, words []string
	if code != "" {
		codes = []string{code}
	}
	for _, w := range strings.Fields(message) {
		if !strings.Contains(w, "@") {
			words = append(words, w)
		}
	}
	row, _ := outcome.Find(catalogue(), outcome.Seen{HTTP: reply, Codes: codes, Message: strings.Join(words, " ")})
	a := apart(row.Answer())
	a.Reply, a.Code, a.RetryAfter = reply, code, row.Pause
	return a
}

// noToken is the answer without a token: Entra's own, for large mail alone.
func (t *attempt) noToken(err error) outcome.Answer {
	var refused *entra.LoginError
	if !errors.As(err, &refused) {
		return t.lost(lostStopped, nil)
	}
	a := refused.Answer
	if a.Scope = large; a.Outcome != outcome.Hold {
		a.Scope = message
	}
	return apart(a)
}

func (t *attempt) lost(way int, err error) outcome.Answer { return t.c.lost(way, err) }

// lost is the answer of a row without a reply.
func (c *Client) lost(way int, err error) outcome.Answer {
	a := apart(lossCatalogue()[way].Answer())
	if err != nil {
		a.Detail = text.Foreign(entra.ErrorText(err), outcome.MaxText)
	}
	return c.redact(a)
}

// redact takes the token out of what the server or the network said.
func (c *Client) redact(a outcome.Answer) outcome.Answer {
	if c.cfg.Login == nil {
		return a
	}
	return c.cfg.Login.Redact(a)
}

// apart marks an answer as one that shows nothing of other mail's way.
func apart(a outcome.Answer) outcome.Answer {
	a.Apart = true
	return a
}
