package smtpd

import (
	"bytes"
	"errors"
	"io"

	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd/wire"
)

// body is the message that a handler reads, of DATA or of BDAT chunks. Its
// errors are sticky, and io.EOF means that the message is complete.
type body struct {
	c       *conn
	chunked bool
	data    wire.DataDecoder
	size    int64 // bytes given to the reader
	err     error

	complete    bool // the end was seen
	tooLarge    bool
	interrupted bool // another command came between two chunks
}

// beginBody takes the input from the library: it wrote 354, so the command was in order.
func (c *conn) beginBody() *body {
	b := &body{c: c, chunked: c.verb == "BDAT"}
	if !b.chunked {
		// Sent at once: the handler may take its time before it reads.
		c.out = append(c.out, c.reply...)
		_ = c.flush()
	}
	c.reply = c.reply[:0]
	c.inBody = true
	c.in.Enlarge()
	c.tail.Reset()
	c.tail.Keep(c.in.Bytes())
	return b
}

// endBody continues the input behind the message, or makes the connection end
// after the reply, and returns the error that becomes the reply.
func (c *conn) endBody(b *body, err error) error {
	defer func() { c.inBody, c.feedDot = false, true }()
	switch {
	case c.end != nil:
		return c.end
	case b.interrupted:
		c.dropReply = true
		return errSequence
	case err == nil && !b.complete:
		c.cfg.Log.Error("a handler accepted a message without reading it to its end; please report it",
			"client", c.peer.String())
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

// Read returns the next bytes of the message.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	next := b.nextOfData
	if b.chunked {
		next = b.nextOfChunk
	}
	n, err := next(p)
	b.size += int64(n)
	if b.size > b.c.cfg.MaxMessageSize {
		b.tooLarge = true
		n, err = 0, errTooLarge
	}
	b.err = err
	return n, err
}

// nextOfData reads some bytes of a message of DATA, or returns an error and none.
func (b *body) nextOfData(p []byte) (int, error) {
	in := &b.c.in
	for {
		n, used, end := b.data.Decode(p, in.Bytes())
		in.Skip(used)
		switch {
		case end:
			b.complete = true
			return 0, io.EOF
		case n > 0:
			return n, nil
		}
		if err := b.c.fill(); err != nil {
			return 0, err
		}
	}
}

// nextOfChunk reads some bytes of the chunk, or of the next one.
func (b *body) nextOfChunk(p []byte) (int, error) {
	c := b.c
	for c.chunk.Left == 0 {
		if c.chunk.Last {
			b.complete = true
			return 0, io.EOF
		}
		if err := b.awaitChunk(); err != nil {
			return 0, err
		}
	}
	if len(c.in.Bytes()) == 0 {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	s := c.in.Bytes()
	n := copy(p, s[:min(int64(len(s)), c.chunk.Left)])
	c.in.Skip(n)
	c.chunk.Left -= int64(n)
	return n, nil
}

// awaitChunk acknowledges a chunk and waits for the next. Commands that are not
// allowed between chunks are refused here; one that ends the transaction is held
// back for the library, and the reader gets an error.
func (b *body) awaitChunk() error {
	c := b.c
	c.out = append(c.out, "250 2.0.0 Chunk received\r\n"...)
	for {
		line, refusal, err := c.readLine()
		if err != nil {
			return err
		}
		if refusal == nil {
			cmd, ok := wire.ParseCommand(line)
			switch {
			case !ok:
				refusal = errCharacters
			case cmd.Verb == "BDAT":
				if c.chunk, ok = wire.ParseChunk(cmd.Arg); !ok {
					return c.cutOff(errChunkSize)
				}
				c.in.Enlarge()
				return nil
			case cmd.Verb == "RSET", cmd.Verb == "EHLO", cmd.Verb == "HELO", cmd.Verb == "QUIT":
				c.held = bytes.Clone(line)
				b.interrupted = true
				return &endedError{"message interrupted by " + cmd.Verb}
			default:
				refusal = errInChunks
			}
		}
		if c.errors++; c.errors > maxErrors {
			return c.cutOff(errManyErrors)
		}
		c.out = wire.AppendReply(c.out, refusal)
	}
}

// discard drops the rest of the message, or of the refused chunk; false means
// that the connection has ended or must end.
func (b *body) discard() bool {
	if b.chunked {
		return b.c.skipChunk()
	}
	var waste [4 << 10]byte
	for dropped := int64(0); dropped < b.c.cfg.drainLimit(); {
		n, err := b.nextOfData(waste[:])
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		dropped += int64(n)
	}
	return false
}
