package smtpd

import (
	"bytes"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"time"

	"graphrelay/relay/pacing"
	"graphrelay/relay/reply"
)

// maxLogins is how many failed logins end a connection.
const maxLogins = 5

// The challenges of LOGIN, "Username:" and "Password:": devices compare them byte by byte.
const (
	challengeUser     = "VXNlcm5hbWU6"
	challengePassword = "UGFzc3dvcmQ6"
)

// auth answers AUTH (RFC 4954) with PLAIN (RFC 4616) or LOGIN.
func (c *conn) auth(arg string) error {
	mechanism, initial, _ := strings.Cut(arg, " ")
	if refusal := c.mayAuth(mechanism); refusal != nil {
		return c.refuse(refusal)
	}
	if initial = strings.TrimSpace(initial); initial == "=" {
		initial = "" // an empty response: ask for another
	}
	credentials := c.login
	if strings.EqualFold(mechanism, "PLAIN") {
		credentials = c.plain
	}
	user, password, err := credentials(initial)
	var refusal *reply.Error
	switch {
	case errors.As(err, &refusal):
		return c.refuse(refusal)
	case err != nil:
		return err
	}
	return c.authenticate(user, password)
}

// mayAuth returns a refusal if AUTH is not possible now.
func (c *conn) mayAuth(mechanism string) *reply.Error {
	switch {
	case c.loop.options.Auth == AuthOff:
		return errNotImplemented
	case c.authenticated:
		return errAuthenticated
	case c.tx != nil:
		return errInTransaction
	case c.helo == "":
		return errSequence
	case !c.offersAuth():
		return errAuthNeedsTLS
	case mechanism == "":
		return errNoMechanism
	case !strings.EqualFold(mechanism, "PLAIN") && !strings.EqualFold(mechanism, "LOGIN"):
		return errMechanism
	}
	return nil
}

// offersAuth reports whether the client may log in with the connection as it is.
func (c *conn) offersAuth() bool {
	o := c.loop.options
	return o.Auth != AuthOff && (c.secure || o.mayLoginPlain(c.peer))
}

// plain reads "authorization NUL user NUL password". No user may act for another,
// so the first is empty or the user.
func (c *conn) plain(initial string) (user, password string, err error) {
	message, err := c.response("", initial)
	if err != nil {
		return "", "", err
	}
	parts := bytes.Split(message, []byte{0})
	switch {
	case len(parts) != 3:
		return "", "", errEncoding
	case len(parts[0]) > 0 && !bytes.Equal(parts[0], parts[1]):
		return "", "", errActingFor
	}
	return string(parts[1]), string(parts[2]), nil
}

func (c *conn) login(initial string) (user, password string, err error) {
	u, err := c.response(challengeUser, initial)
	if err != nil {
		return "", "", err
	}
	p, err := c.response(challengePassword, "")
	return string(u), string(p), err
}

// response decodes what the client has given already, or asks for it. A refusal
// is a reply.Error, any other error the end of the connection.
func (c *conn) response(challenge, given string) ([]byte, error) {
	if given == "" {
		c.out = append(append(append(c.out, "334 "...), challenge...), '\r', '\n')
		line, refusal, err := c.readLine()
		if err != nil {
			return nil, err
		}
		if refusal != nil {
			return nil, refusal
		}
		if given = strings.TrimSpace(string(line)); given == "*" {
			return nil, errCancelled
		}
	}
	// Some devices omit the padding.
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(given, "="))
	if err != nil {
		return nil, errEncoding
	}
	return decoded, nil
}

// authenticate asks the handler. Each failure makes the client wait longer, which
// costs only someone who guesses.
func (c *conn) authenticate(user, password string) error {
	err := c.guard(func() error { return c.session.Authenticate(c.ctx, user, password) })
	if err == nil {
		c.authenticated = true
		c.server.conns.promote(c)
		c.reply = append(c.reply, "235 2.7.0 Authentication successful\r\n"...)
		return c.settle()
	}
	refusal := reply.Of(err)
	if refusal.Code != 535 {
		return c.refuse(refusal)
	}
	c.failedLogins++
	_ = pacing.Sleep(c.ctx, time.Duration(c.failedLogins)*time.Second)
	if c.failedLogins >= maxLogins {
		c.note(slog.LevelWarn, "failed logins", "connection closed after failed logins",
			slog.Int("failures", c.failedLogins))
		return c.cutOff(errManyLogins)
	}
	return c.refuse(refusal)
}
