package sendmail

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"graphrelay/relay/envelope"
)

// patience is how long the relay may take to reply, and to receive what is
// sent: RFC 5321 section 4.5.3.2 asks for five minutes, ten after the dot.
const (
	patience        = 5 * time.Minute
	finalPatience   = 10 * time.Minute
	goodbyePatience = time.Second // nothing depends on the reply to QUIT
)

// Outcome is the result of submitting a Letter.
type Outcome struct {
	Reached []envelope.Address
	Replies []string // of the relay to each successful transaction, for people
	Failed  []Failure
}

// Failure is a recipient who does not get the message.
type Failure struct {
	To  envelope.Address // zero for a BadAddress
	Err error            // a *Reply, a BadAddress, or what the connection said
}

// Undelivered is the error of a message that some or all recipients do not get.
type Undelivered struct{ Failed []Failure }

// BadAddress is text in the place of a recipient. Exit code 67.
type BadAddress string

func (b BadAddress) Error() string { return fmt.Sprintf("%.100q is not an address", string(b)) }

// maxNamed bounds the recipients that an error text names.
const maxNamed = 10

// Error names the recipients with the cause that they share.
func (u *Undelivered) Error() string {
	var b strings.Builder
	for i, f := range u.Failed {
		if i == maxNamed {
			fmt.Fprintf(&b, "; and %d more", len(u.Failed)-i)
			break
		}
		switch {
		case i > 0 && f.Err.Error() == u.Failed[i-1].Err.Error():
			b.WriteString(", " + f.To.String())
		case i > 0:
			b.WriteString("; ")
			fallthrough
		default:
			b.WriteString(f.head())
		}
	}
	return b.String()
}

func (f Failure) head() string {
	var refused *Reply
	switch {
	case f.To.IsZero():
		return f.Err.Error()
	case errors.As(f.Err, &refused):
		return "the relay replied " + f.Err.Error() + ", and did not accept the message for " + f.To.String()
	}
	return "the connection to the relay broke (" + f.Err.Error() + ") before it accepted the message for " +
		f.To.String()
}

// Reply is a refusal.
type Reply struct {
	Command  string // that was refused: "connect", "MAIL", "RCPT", "DATA"
	Code     int
	Enhanced string // "5.7.1", or ""
	Text     string // printable, one line
}

func (r *Reply) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", r.Code, strings.TrimSpace(r.Enhanced+" "+r.Text)))
}

// Submit hands l over on nc and closes it. hello is the name for EHLO.
func Submit(nc net.Conn, hello string, l *Letter) Outcome {
	t := &timed{nc, finalPatience}
	c := &client{text: textproto.NewConn(t)}
	defer nc.Close()
	var o Outcome
	todo := l.To
	if err := c.open(hello); err != nil {
		o.fail(todo, err)
		return o
	}
	for len(todo) > 0 {
		todo = c.transaction(l, todo, &o)
	}
	t.forReply = goodbyePatience
	_, _ = c.command("QUIT", "QUIT", 2)
	return o
}

func (o *Outcome) fail(to []envelope.Address, err error) {
	for _, a := range to {
		o.Failed = append(o.Failed, Failure{a, err})
	}
}

// timed gives each read and write its own deadline.
type timed struct {
	net.Conn
	forReply time.Duration
}

func (t *timed) Read(p []byte) (int, error) {
	_ = t.SetReadDeadline(time.Now().Add(t.forReply))
	return t.Conn.Read(p)
}

func (t *timed) Write(p []byte) (int, error) {
	_ = t.SetWriteDeadline(time.Now().Add(patience))
	return t.Conn.Write(p)
}

type client struct {
	text *textproto.Conn
	ext  map[string]bool
}

// open reads the greeting and sends EHLO, or HELO to a server that does not know
// EHLO.
func (c *client) open(hello string) error {
	if _, err := c.reply("connect", 2); err != nil {
		return err
	}
	text, err := c.command("EHLO", "EHLO "+hello, 2)
	var refused *Reply
	if errors.As(err, &refused) && refused.Code < 600 && refused.Code >= 500 {
		_, err = c.command("HELO", "HELO "+hello, 2)
	}
	c.ext = make(map[string]bool)
	for _, line := range strings.Split(text, "\n") {
		word, _, _ := strings.Cut(line, " ")
		c.ext[strings.ToUpper(word)] = true
	}
	return err
}

// transaction sends l to as many of to as the relay accepts at once, and returns
// those that it wants in another transaction (452 4.5.3).
func (c *client) transaction(l *Letter, to []envelope.Address, o *Outcome) (later []envelope.Address) {
	if err := c.mail(l); err != nil {
		o.fail(to, err)
		return nil
	}
	accepted, later := c.recipients(to, o)
	if len(accepted) == 0 {
		if _, err := c.command("RSET", "RSET", 2); err != nil {
			o.fail(later, err)
			return nil
		}
		return later
	}
	reply, err := c.data(l)
	if err != nil {
		o.fail(slices.Concat(accepted, later), err)
		return nil
	}
	o.Reached = append(o.Reached, accepted...)
	o.Replies = append(o.Replies, reply)
	return later
}

func (c *client) mail(l *Letter) error {
	line := "MAIL FROM:<" + l.From.String() + ">"
	if c.ext["8BITMIME"] {
		line += " BODY=8BITMIME"
	}
	if c.ext["SIZE"] {
		size, err := l.write(io.Discard)
		if err != nil {
			return err
		}
		line += fmt.Sprintf(" SIZE=%d", size)
	}
	switch {
	case l.utf8 && c.ext["SMTPUTF8"]:
		line += " SMTPUTF8"
	case l.mustUTF8():
		return &Reply{"MAIL", 553, "5.6.7", "the relay accepts only addresses in ASCII"}
	}
	_, err := c.command("MAIL", line, 2)
	return err
}

// recipients offers each of to, until one is too many.
func (c *client) recipients(to []envelope.Address, o *Outcome) (accepted, later []envelope.Address) {
	for i, a := range to {
		_, err := c.command("RCPT", "RCPT TO:<"+a.String()+">", 2)
		var refused *Reply
		switch {
		case err == nil:
			accepted = append(accepted, a)
		case errors.As(err, &refused) && len(accepted) > 0 && refused.tooMany():
			return accepted, to[i:]
		default:
			o.fail(to[i:i+1], err)
		}
	}
	return accepted, nil
}

// tooMany recognizes the reply to one recipient too many; RFC 5321 section 4.5.3.1.10
// has 452 for it, and 552 from old servers.
func (r *Reply) tooMany() bool {
	return r.Code == 452 && (r.Enhanced == "" || r.Enhanced == "4.5.3") || r.Code == 552 && r.Enhanced == "5.5.3"
}

// data sends the message. If the relay hangs up in the middle, it may have said
// why.
func (c *client) data(l *Letter) (string, error) {
	if _, err := c.command("DATA", "DATA", 3); err != nil {
		return "", err
	}
	_, err := l.write(c.text.W)
	if err == nil {
		err = c.text.PrintfLine(".")
	}
	if err != nil {
		var refused *Reply
		if _, why := c.reply("DATA", 2); errors.As(why, &refused) {
			return "", refused
		}
		return "", err
	}
	return c.reply("DATA", 2)
}

func (c *client) command(name, line string, class int) (string, error) {
	if err := c.text.PrintfLine("%s", line); err != nil {
		return "", err
	}
	return c.reply(name, class)
}

// reply reads a reply; one of an unexpected class is a *Reply.
func (c *client) reply(command string, class int) (string, error) {
	code, text, err := c.text.ReadResponse(class)
	var refused *textproto.Error
	if !errors.As(err, &refused) {
		return fmt.Sprintf("%d %s", code, text), err
	}
	enhanced, rest, found := strings.Cut(strings.ReplaceAll(text, "\n", " "), " ")
	if !found || len(enhanced) < 5 || enhanced[1] != '.' || strings.Trim(enhanced, "0123456789.") != "" {
		enhanced, rest = "", enhanced+" "+rest
	}
	return "", &Reply{Command: command, Code: code, Enhanced: enhanced, Text: printable(rest)}
}

// printable makes foreign text safe for a terminal and for a header field.
func printable(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), 500)]))
}
