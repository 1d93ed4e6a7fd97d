package smtpd

import (
	"context"
	"log/slog"
	"net"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd/wire"
	"graphrelay/relay/socket"
)

// conn is the net.Conn that go-smtp serves. It gives the library one checked
// command line at a time and handles everything else itself: the limits of time
// and length, the bodies of DATA and BDAT, the replies until a flush.
//
// One goroutine, the library's, calls all methods except stop and kill.
type conn struct {
	server *Server
	cfg    *settings
	loop   *acceptLoop
	raw    net.Conn // the socket, for deadlines and for kill
	nc     net.Conn // what is read and written: raw, or TLS on it
	peer   Peer
	ctx    context.Context
	cancel context.CancelFunc

	proxied bool // peer is a load balancer, until its header was read
	opened  bool // the library has read once
	secure  bool // TLS

	session       Session // nil until the handler admitted the connection
	guest         *guest  // of the registry; nil for a client
	authenticated bool
	failedLogins  int

	tx    Transaction // nil outside a transaction
	utf8  bool        // of the transaction
	txEnd time.Time   // its latest end; zero outside
	helo  string
	esmtp bool

	in      wire.Input
	line    []byte    // built for the library and not yet read by it
	lineBuf []byte    // its memory
	feedDot bool      // the library waits for the end of a message
	held    []byte    // the command that interrupted a series of chunks
	lineEnd time.Time // when the next command must be complete; zero in a message

	verb      string      // of the command that the library is busy with
	notify    wire.Notify // of MAIL or RCPT
	chunk     wire.Chunk  // of BDAT
	inBody    bool        // from 354 to the reply
	tail      wire.Tail   // of a message, for the log
	reply     []byte      // what the library has written since it got the command
	dropReply bool
	judged    bool   // the handler refused, and has logged it
	out       []byte // replies to be sent before the next wait

	errors      int
	commands    int
	notifyNoted bool  // the log has that this client sends DSN parameters
	hangUp      bool  // after this reply
	linger      bool  // when closing
	end         error // once set, nothing is read or written any more
	closed      bool

	mu      sync.Mutex
	parting *reply.Error // with which the connection is asked to end
	waiting bool         // for a command, so that part may interrupt

	// The first memory of lineBuf, reply and out, in one allocation.
	lineMem  [128]byte
	replyMem [256]byte
	outMem   [512]byte
}

// endedError is what every read returns after the connection has ended, whatever
// the cause. It is net.ErrClosed to go-smtp, which then does nothing more, and
// never io.EOF, so that no reader mistakes it for the end of a message.
type endedError struct{ cause string }

func (e *endedError) Error() string        { return "connection ended: " + e.cause }
func (e *endedError) Is(target error) bool { return target == net.ErrClosed }

func newConn(l *acceptLoop, nc net.Conn) *conn {
	c := &conn{server: l.server, cfg: l.settings, loop: l, raw: nc, nc: nc, peer: peerOf(nc.RemoteAddr(), l.options)}
	c.peer.User = socket.UserOf(nc)
	c.proxied = within(l.options.ProxyProtocol, c.peer.Addr.Addr())
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.lineBuf, c.reply, c.out = c.lineMem[:0], c.replyMem[:0], c.outMem[:0]
	return c
}

// Read gives the library its next command line, or the end of a message that
// the handler has already read.
func (c *conn) Read(p []byte) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			c.logPanic(r)
			n, err = 0, c.finish("panic")
		}
	}()
	switch {
	case c.end != nil:
		return 0, c.end
	case len(c.line) > 0:
	case c.feedDot:
		c.feedDot = false
		c.line = append(c.lineBuf[:0], ".\r\n"...)
	default:
		if err := c.nextCommand(); err != nil {
			return 0, err
		}
	}
	n = copy(p, c.line)
	c.line = c.line[n:]
	return n, nil
}

// Write collects the library's reply to the command that it is busy with.
func (c *conn) Write(b []byte) (int, error) {
	c.reply = append(c.reply, b...)
	return len(b), nil
}

// Close ends the connection, its transaction and its session.
func (c *conn) Close() error {
	if c.closed {
		return nil
	}
	c.closed = true
	if c.end == nil {
		c.say()
		_ = c.finish("closed by the server")
	}
	c.cancel()
	c.abort()
	if c.linger {
		c.awaitClient()
	}
	err := c.nc.Close()
	if c.session != nil {
		_ = c.guard(func() error { c.session.Close(); return nil })
	}
	c.in.Release()
	c.cfg.Log.Debug("connection ended", "client", c.peer.String(), "listener", c.peer.Listener, "error", c.end)
	c.server.conns.remove(c)
	return err
}

// The library's deadlines have no effect: they would cover a whole message, and
// what arrived after them would be run as commands.
func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
func (c *conn) LocalAddr() net.Addr              { return c.raw.LocalAddr() }
func (c *conn) RemoteAddr() net.Addr             { return c.raw.RemoteAddr() }

// part asks the connection to end: at once if it waits for a command, otherwise
// before it would wait for the next one.
func (c *conn) part(e *reply.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parting = e
	if c.waiting {
		_ = c.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

// kill closes the socket; the goroutine notices at the next read or write.
func (c *conn) kill() {
	c.cancel()
	_ = c.raw.Close()
}

func (c *conn) asked() *reply.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parting
}

// obey ends the connection as it was asked to.
func (c *conn) obey(e *reply.Error) error {
	if e.Cause != nil {
		c.note(slog.LevelWarn, "connections without a login", "connection without a login closed",
			slog.String("reply", e.Text), slog.String("error", e.Cause.Error()))
		c.refused(e)
	}
	return c.bye(e)
}

// guard runs a method of the handler; a panic is logged and becomes a 421,
// after which the connection ends.
func (c *conn) guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.logPanic(p)
			err = errPanic
		}
		c.judged = c.judged || err != nil
	}()
	return f()
}

// note logs an event of this connection, or counts it if there are many.
func (c *conn) note(level slog.Level, kind, msg string, attrs ...slog.Attr) {
	about := []slog.Attr{slog.String("client_addr", c.peer.String()), slog.String("listener", c.peer.Listener)}
	if c.peer.User != "" {
		about = append(about, slog.String("client_user", c.peer.User))
	}
	c.server.events.Log(level, kind, c.peer.Addr.Addr(), msg, append(about, attrs...)...)
}

// noteRefusal logs a refusal that no handler decided, such as a SIZE over the
// limit: a device whose mail never arrives must leave a trace.
func (c *conn) noteRefusal(verb string, reply []byte) {
	text := strings.TrimSpace(string(reply))
	c.note(slog.LevelWarn, "refused with "+text[:min(len(text), 9)], "refused",
		slog.String("at", strings.ToLower(verb)), slog.String("reply", text))
	c.refused(wire.ReadReply(text))
}

// refused lets the handler know of a refusal that it did not decide.
func (c *conn) refused(e *reply.Error) {
	_ = c.guard(func() error { c.server.handler.Refused(c.peer, c.session, e); return nil })
}

func (c *conn) logPanic(p any) {
	c.cfg.Log.Error("panic while serving a connection; please report it", "client", c.peer.String(),
		"listener", c.peer.Listener, "panic", p, "stack", string(debug.Stack()))
}
