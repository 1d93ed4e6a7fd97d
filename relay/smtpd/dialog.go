package smtpd

import (
	"log/slog"
	"strings"
	"time"

	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd/wire"
)

const (
	// maxErrors is how many syntax and sequence errors a client may make
	// between two accepted messages.
	maxErrors = 10
	// maxCommands is how many commands other than RCPT, DATA and BDAT a client
	// may send between two accepted messages.
	maxCommands = 100
	// maxReplies is how many bytes of pipelined replies may wait for a flush.
	maxReplies = 4 << 10
)

// nextCommand finishes the last command and waits for one for the library, which
// it leaves in c.line.
func (c *conn) nextCommand() error {
	if !c.opened {
		if err := c.open(); err != nil {
			return err
		}
	}
	if err := c.settle(); err != nil {
		return err
	}
	for len(c.line) == 0 {
		if asked := c.asked(); asked != nil {
			return c.obey(asked)
		}
		line, refusal, err := c.readLine()
		switch {
		case err != nil:
			return err
		case refusal != nil:
			err = c.refuse(refusal)
		default:
			err = c.take(line)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// open does what comes before SMTP. The library has written its greeting already;
// it is held back until then.
func (c *conn) open() error {
	c.opened = true
	c.in.Init(&c.server.buffers)
	if c.proxied {
		if err := c.readProxy(); err != nil {
			return err
		}
		if refusal := c.identify(); refusal != nil {
			return c.bye(refusal)
		}
	}
	if c.loop.options.TLS == TLSImplicit {
		return c.handshake()
	}
	return nil
}

// take judges a command line. It either answers it or passes it to the library.
func (c *conn) take(line []byte) error {
	cmd, ok := wire.ParseCommand(line)
	if !ok {
		return c.refuse(errCharacters)
	}
	switch cmd.Verb {
	case wire.Unknown:
		return c.refuse(errUnknown)
	case wire.NotImplemented:
		return c.refuse(errNotImplemented)
	case wire.NotSMTP:
		return c.cutOff(errNotSMTP)
	case "RCPT", "DATA":
	case "BDAT":
		if c.chunk, ok = wire.ParseChunk(cmd.Arg); !ok {
			return c.cutOff(errChunkSize)
		}
	default:
		if c.commands++; c.commands > maxCommands {
			return c.cutOff(errManyCommands)
		}
	}
	if refusal := c.barred(cmd.Verb); refusal != nil {
		return c.refuse(refusal)
	}
	switch cmd.Verb {
	case "STARTTLS":
		return c.starttls(cmd.Arg)
	case "AUTH":
		return c.auth(cmd.Arg)
	}
	if cmd.Glued() {
		return c.refuse(errGlued)
	}
	if c.notify, ok = cmd.CutNotify(); !ok {
		return c.refuse(errNotify)
	}
	c.noteNotify()
	c.pass(cmd)
	return nil
}

// noteNotify logs, once a connection, that a client sends parameters of DSN. It is
// not refused: its mail would be lost for a wish.
func (c *conn) noteNotify() {
	if c.notify.Given && !c.notifyNoted {
		c.notifyNoted = true
		c.note(slog.LevelInfo, "DSN parameters ignored", "DSN parameters ignored",
			slog.String("remedy", "none needed; DSN is not offered, and only NOTIFY=NEVER has an effect"))
	}
}

// barred returns a refusal if something else must come before this verb.
func (c *conn) barred(verb string) *reply.Error {
	switch verb {
	case "EHLO", "NOOP", "QUIT", "STARTTLS":
		return nil
	}
	o := c.loop.options
	switch {
	case o.TLS == TLSRequired && !c.secure:
		return errNeedsTLS
	case verb != "MAIL":
		return nil
	case c.helo == "": // the library would remember what was said before TLS
		return errSequence
	case o.Auth == AuthRequired && !c.authenticated:
		return errNeedsAuth
	}
	return nil
}

// pass gives a command to the library.
func (c *conn) pass(cmd wire.Command) {
	if cmd.Verb == "EHLO" || cmd.Verb == "HELO" {
		if cmd.Arg == "" { // some devices know no name of their own
			cmd.Arg = c.peer.Literal()
		}
		name, _, _ := strings.Cut(cmd.Arg, " ")
		c.helo, c.esmtp = wire.OneLine(name), cmd.Verb == "EHLO"
	}
	c.verb = cmd.Verb
	c.lineBuf = cmd.ForLibrary(c.lineBuf[:0])
	c.line = c.lineBuf
}

// refuse answers a command that the library never sees.
func (c *conn) refuse(e *reply.Error) error {
	c.verb, c.reply = "", wire.AppendReply(c.reply, e)
	return c.settle()
}

// settle takes the reply to the last command, ends the connection if that was the last
// reply, and skips the chunk of a refused BDAT, none of which may be read as commands.
func (c *conn) settle() error {
	refused := c.chunk.Left > 0
	code := c.say()
	if code == 421 || c.hangUp {
		c.linger = true
		return c.finish("closed after a refusal")
	}
	if refused && !c.skipChunk() {
		c.linger = true
		return c.finish("chunk too large to skip")
	}
	c.chunk = wire.Chunk{}
	if c.tx == nil {
		c.txEnd = time.Time{}
	}
	if len(c.out) > maxReplies {
		return c.flush()
	}
	return nil
}

// say moves the reply to those that will be sent, and returns its code, 0 if there
// is none. One error too many becomes a 421.
func (c *conn) say() int {
	verb, reply := c.verb, c.reply
	c.verb, c.reply = "", c.reply[:0]
	if c.dropReply {
		c.dropReply = false
		return 0
	}
	start := len(c.out)
	c.out = appendPolished(c.out, verb, c.cfg.Hostname, reply)
	if verb == "EHLO" {
		c.out = c.appendCapabilities(c.out, start)
	}
	code := wire.ReplyCode(c.out[start:])
	if code >= 400 && !c.judged {
		c.noteRefusal(verb, c.out[start:])
	}
	c.judged = false
	switch {
	case code == 250 && (verb == "DATA" || verb == "BDAT"):
		c.errors, c.commands = 0, 0
	case wire.IsClientError(code):
		if c.errors++; c.errors > maxErrors {
			c.out = wire.AppendReply(c.out[:start], errManyErrors)
			code = errManyErrors.Code
		}
	}
	return code
}

// bye sends the last reply and ends the connection.
func (c *conn) bye(e *reply.Error) error {
	if c.loop.options.TLS != TLSImplicit || c.secure { // never plain text where TLS begins at once
		c.out = wire.AppendReply(c.out, e)
	}
	return c.finish(e.Text)
}

// cutOff is bye for a client that may be in the middle of sending.
func (c *conn) cutOff(e *reply.Error) error {
	c.linger = true
	c.refused(e)
	return c.bye(e)
}
