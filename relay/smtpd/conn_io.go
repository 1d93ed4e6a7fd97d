package smtpd

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"time"

	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd/wire"
)

const (
	// maxFlood is how much of an over-long command line is skipped.
	maxFlood = 64 << 10
	// minDrain is how much of a refused message or chunk is read at least, so that
	// the client sees the refusal; four times the largest message if that is more.
	minDrain = 64 << 20
	// farewell bounds how long the last reply may take to leave.
	farewell = 10 * time.Second
	// lingerTime and lingerBytes bound the wait for a client to read the reply
	// that ends its connection: closing a socket with unread input resets it,
	// and the reply would be lost.
	lingerTime  = time.Second
	lingerBytes = 1 << 20
)

// readLine returns the next command line without its end, CRLF or the LF that old scripts
// send, or the reply to one that is too long. The line is valid until the next read.
func (c *conn) readLine() (line []byte, refusal *reply.Error, err error) {
	if c.held != nil {
		line, c.held = c.held, nil
		return line, nil, nil
	}
	c.in.Shrink()
	c.lineEnd = time.Time{}
	for seen := 0; ; {
		b := c.in.Bytes()
		if i := bytes.IndexByte(b[seen:], '\n'); i >= 0 {
			c.in.Skip(seen + i + 1)
			if seen+i >= wire.MaxLine {
				return nil, errLongLine, nil
			}
			return bytes.TrimSuffix(b[:seen+i], []byte{'\r'}), nil, nil
		}
		if seen = len(b); seen >= wire.MaxLine {
			return nil, errLongLine, c.skipLine()
		}
		if err := c.fill(); err != nil {
			return nil, nil, err
		}
	}
}

// skipLine drops the rest of an over-long line; a flood ends the connection.
func (c *conn) skipLine() error {
	for skipped := 0; skipped < maxFlood; {
		b := c.in.Bytes()
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			c.in.Skip(i + 1)
			return nil
		}
		skipped += len(b)
		c.in.Skip(len(b))
		if err := c.fill(); err != nil {
			return err
		}
	}
	return c.cutOff(errFlood)
}

// skipChunk drops the rest of a chunk; false means that the connection has
// ended or must end.
func (c *conn) skipChunk() bool {
	if c.chunk.Left > c.cfg.drainLimit() {
		return false
	}
	c.inBody = true
	defer func() { c.inBody = false }()
	if c.txEnd.IsZero() {
		c.txEnd = time.Now().Add(c.cfg.TransactionTimeout)
	}
	for c.chunk.Left > 0 {
		n := min(c.chunk.Left, int64(len(c.in.Bytes())))
		c.in.Skip(int(n))
		if c.chunk.Left -= n; c.chunk.Left > 0 && c.fill() != nil {
			return false
		}
	}
	return true
}

func (s *settings) drainLimit() int64 { return max(minDrain, 4*s.MaxMessageSize) }

// fill reads at least one byte into c.in. It first sends the waiting replies.
func (c *conn) fill() error {
	if c.end != nil {
		return c.end
	}
	if err := c.flush(); err != nil {
		return err
	}
	if err := c.arm(); err != nil {
		return err
	}
	for {
		room := c.in.Free()
		n, err := c.nc.Read(room)
		if c.inBody {
			c.tail.Keep(room[:n])
		}
		c.in.Filled(n)
		switch {
		case n > 0:
			return nil
		case err != nil:
			return c.readFailed(err)
		}
	}
}

// arm sets the deadline of the next read: the idle timeout, rolling within a
// message, fixed for a command line, and never later than the transaction's.
func (c *conn) arm() error {
	until := time.Now().Add(c.cfg.IdleTimeout)
	if !c.inBody {
		if c.lineEnd.IsZero() {
			c.lineEnd = until
		}
		until = c.lineEnd
	}
	if !c.txEnd.IsZero() && c.txEnd.Before(until) {
		until = c.txEnd
	}
	return c.awaitUntil(until, !c.inBody)
}

// awaitUntil sets the deadline of the next reads; part may interrupt them if they
// only wait.
func (c *conn) awaitUntil(until time.Time, waiting bool) error {
	c.mu.Lock()
	c.waiting = waiting
	asked := c.parting
	var err error
	if asked == nil || !waiting {
		err = c.raw.SetReadDeadline(until)
	}
	c.mu.Unlock()
	switch {
	case asked != nil && waiting:
		return c.obey(asked)
	case err != nil:
		return c.finish(err.Error())
	}
	return nil
}

// readFailed ends the connection for good. Even after a mere deadline, nothing
// that still arrives is read, for it may be the rest of a message.
func (c *conn) readFailed(err error) error {
	var ne net.Error
	timeout := errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
	switch {
	case timeout && !c.inBody && c.asked() != nil:
		return c.obey(c.asked())
	case timeout:
		c.noteTimeout()
		return c.bye(errIdle)
	}
	return c.finish(err.Error())
}

// noteTimeout logs a message that did not end in time: a client that ends its
// messages wrongly looks like one that hangs.
func (c *conn) noteTimeout() {
	if !c.inBody {
		return
	}
	cause := "the client sent nothing more, or too slowly"
	if end := c.tail.WrongEnd(); end != "" && c.chunk.Left == 0 {
		cause = "the message ended with " + end + ", but only CRLF.CRLF ends one: " +
			"make the client end its lines with CRLF"
	}
	c.note(slog.LevelWarn, "message timed out", "message timed out", slog.String("error", cause))
	c.refused(errIdle)
}

// flush sends the waiting replies.
func (c *conn) flush() error {
	if len(c.out) > 0 {
		if err := c.send(c.cfg.IdleTimeout); err != nil {
			return c.finish(err.Error())
		}
	}
	return nil
}

func (c *conn) send(within time.Duration) error {
	_ = c.raw.SetWriteDeadline(time.Now().Add(within))
	_, err := c.nc.Write(c.out)
	c.out = c.out[:0]
	return err
}

// finish sends the waiting replies and ends all reading and writing; it returns
// the error that every read returns from now on.
func (c *conn) finish(reason string) error {
	if c.end == nil {
		c.end = &endedError{reason}
		if len(c.out) > 0 {
			_ = c.send(farewell)
		}
	}
	return c.end
}

// awaitClient gives the client time to read the last reply.
func (c *conn) awaitClient() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_ = c.raw.SetReadDeadline(time.Now().Add(lingerTime))
	var waste [512]byte
	for dropped := 0; dropped < lingerBytes; {
		n, err := c.nc.Read(waste[:])
		if err != nil {
			return
		}
		dropped += n
	}
}
