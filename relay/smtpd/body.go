package smtpd

import (
	"bytes"
	"io"

	"graphrelay/relay/reply"
)

// body is the message that a handler reads, of DATA or of BDAT chunks. Its
// errors are sticky, and io.EOF means that the message is complete.
type body struct {
	c       *conn
	chunked bool
	size    int64 // octets given to the reader
	err     error

	complete    bool // the end was seen
	tooLarge    bool
	interrupted bool // another command came between two chunks

	lineStart bool // the octets before the next were CRLF, or it is the first
	afterCR   bool
}

// beginBody takes the input from the library: it wrote 354, so the command was
// in order.
func (c *conn) beginBody() *body {
	b := &body{c: c, chunked: c.verb == "BDAT", lineStart: true}
	if !b.chunked {
		// Sent at once: the handler may take its time before it reads.
		c.out = append(c.out, c.reply...)
		_ = c.flush()
	}
	c.reply = c.reply[:0]
	c.inBody = true
	c.in.enlarge()
	c.tail = c.tail[:0]
	c.keepTail(c.in.bytes())
	return b
}

// endBody gives the input back behind the message, or makes the connection end
// after the reply, and returns the error that is to be the reply.
func (c *conn) endBody(b *body, err error) error {
	defer func() { c.inBody, c.feedDot = false, true }()
	switch {
	case c.end != nil:
		return c.end
	case b.interrupted:
		c.dropReply = true
		return errSequence
	case err == nil && !b.complete:
		c.cfg.Log.Error("a handler accepted a message without reading it to its end; please report it", "client", c.peer.String())
		err = errUnread
	case err != nil && b.tooLarge:
		err = errTooLarge
	}
	if err != nil && reply.Of(err).Code == 421 {
		c.hangUp = true
	} else if !b.complete {
		c.hangUp = !b.discard()
	}
	b.err = errUnread // a reader that outlives the message gets nothing
	return err
}

// Read gives the next octets of the message.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := b.next(p)
	b.size += int64(n)
	if b.size > b.c.cfg.MaxMessageSize {
		b.tooLarge = true
		n, err = 0, errTooLarge
	}
	b.err = err
	return n, err
}

// next reads some octets, or returns an error and none.
func (b *body) next(p []byte) (int, error) {
	if b.chunked {
		return b.nextOfChunk(p)
	}
	return b.nextOfData(p)
}

// nextOfData decodes DATA: it removes the dot that stands before others at the
// start of a line, and ends at CRLF.CRLF alone. A line starts behind CRLF, also
// behind CR CRLF, and never behind a bare LF or CR.
func (b *body) nextOfData(p []byte) (n int, err error) {
	in := &b.c.in
	for n < len(p) {
		s := in.bytes()
		dot := b.lineStart && len(s) > 0 && s[0] == '.'
		end := dot && bytes.HasPrefix(s, []byte(".\r\n"))
		switch {
		case end && n > 0:
			return n, nil
		case end:
			in.skip(3)
			b.complete = true
			return 0, io.EOF
		case len(s) == 0, dot && bytes.HasPrefix([]byte(".\r\n"), s):
			if n > 0 {
				return n, nil
			}
			if err := b.c.fill(); err != nil {
				return 0, err
			}
		case dot:
			in.skip(1)
			b.lineStart, b.afterCR = false, false
		default:
			k := b.copyLines(p[n:], s)
			in.skip(k)
			n += k
		}
	}
	return n, nil
}

// copyLines copies from s to p up to the next line that begins with a dot.
func (b *body) copyLines(p, s []byte) int {
	if b.afterCR && s[0] == '\n' {
		s = s[:1]
	} else if i := bytes.Index(s, []byte("\r\n.")); i >= 0 {
		s = s[:i+2]
	}
	n := copy(p, s)
	last := s[n-1]
	b.lineStart = last == '\n' && (n > 1 && s[n-2] == '\r' || n == 1 && b.afterCR)
	b.afterCR = last == '\r'
	return n
}

// nextOfChunk reads on in the chunk, or in the next one.
func (b *body) nextOfChunk(p []byte) (int, error) {
	c := b.c
	for c.chunk.left == 0 {
		if c.chunk.last {
			b.complete = true
			return 0, io.EOF
		}
		if err := b.awaitChunk(); err != nil {
			return 0, err
		}
	}
	if len(c.in.bytes()) == 0 {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	s := c.in.bytes()
	n := copy(p, s[:min(int64(len(s)), c.chunk.left)])
	c.in.skip(n)
	c.chunk.left -= int64(n)
	return n, nil
}

// awaitChunk acknowledges a chunk and waits for the next. What may not stand
// between chunks is refused here; what ends the transaction is held back for
// the library, and the reader gets an error.
func (b *body) awaitChunk() error {
	c := b.c
	c.out = append(c.out, "250 2.0.0 Chunk received\r\n"...)
	for {
		line, refusal, err := c.readLine()
		if err != nil {
			return err
		}
		if refusal == nil {
			cmd, ok := parseCommand(line)
			switch {
			case !ok:
				refusal = errCharacters
			case cmd.verb == "BDAT":
				if c.chunk, ok = parseChunk(cmd.arg); !ok {
					return c.cutOff(errChunkSize)
				}
				c.in.enlarge()
				return nil
			case cmd.verb == "RSET", cmd.verb == "EHLO", cmd.verb == "HELO", cmd.verb == "QUIT":
				c.held = bytes.Clone(line)
				b.interrupted = true
				return &endedError{"message interrupted by " + cmd.verb}
			default:
				refusal = errInChunks
			}
		}
		if c.errors++; c.errors > maxErrors {
			return c.cutOff(errManyErrors)
		}
		c.out = appendStatus(c.out, refusal)
	}
}

// discard drops the rest of the message, or of the chunk that was refused;
// false means that the connection has ended or must end.
func (b *body) discard() bool {
	if b.chunked {
		return b.c.skipChunk()
	}
	waste := b.c.server.buffers.large.Get().(*[bodyBuffer]byte)
	defer b.c.server.buffers.large.Put(waste)
	for dropped := int64(0); dropped < b.c.cfg.drainLimit(); {
		n, err := b.nextOfData(waste[:])
		if err != nil {
			return err == io.EOF
		}
		dropped += int64(n)
	}
	return false
}
