package graph

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"sync"
)

// rawBuffer is how much of a message is read at a time: small, for hundreds of sends
// run at once, and a multiple of 3, so that base64 needs no padding before the end.
const rawBuffer = 24 << 10

// spoolError marks a failure to read the message, as opposed to one of the
// network. The request was then cut short by ourselves, so nothing was sent.
type spoolError struct{ err error }

func (e *spoolError) Error() string { return "cannot read the message: " + e.err.Error() }
func (e *spoolError) Unwrap() error { return e.err }

// NotRead marks err as a failure to read the message.
func NotRead(err error) error {
	var already *spoolError
	switch {
	case errors.As(err, &already):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("it is shorter than its recorded size")
	}
	return &spoolError{err}
}

var errBodyClosed = errors.New("the attempt is over")

// streams opens the body for each try that the transport makes within one
// request, and remembers the last: a try is repeated by net/http only when the
// one before certainly was not processed.
type streams struct {
	body *Body
	mu   sync.Mutex
	last *stream
}

func (s *streams) size() int64 {
	if s.body == nil {
		return 0
	}
	return s.body.Size
}

// attach makes the body that of req, of known length and ready to be replayed.
func (s *streams) attach(req *http.Request) (err error) {
	if s.body == nil {
		return nil
	}
	req.Body, err = s.open()
	req.GetBody, req.ContentLength = s.open, s.body.Size
	return err
}

func (s *streams) open() (io.ReadCloser, error) {
	src, err := s.body.Open()
	if err != nil {
		return nil, NotRead(err)
	}
	one := &stream{src: &exact{src, s.body.Size}, closer: src}
	s.mu.Lock()
	s.last = one
	s.mu.Unlock()
	return one, nil
}

// stop ends all reading of the body and then returns how many bytes of the last try
// had been handed to the transport, and whether the body itself could not be read.
func (s *streams) stop() (given int64, unreadable error) {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if last == nil {
		return 0, nil
	}
	_ = last.Close()
	last.mu.Lock()
	defer last.mu.Unlock()
	return last.given, last.err
}

// stream is a body that the transport may Close while it Reads, and may continue to
// read after RoundTrip returned: after Close it gives out nothing more.
type stream struct {
	mu     sync.Mutex
	src    io.Reader
	closer io.Closer
	given  int64
	err    error // of src
	closed bool
}

func (s *stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return 0, errBodyClosed
	case s.err != nil:
		return 0, s.err
	}
	n, err := s.src.Read(p)
	s.given += int64(n)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

func (s *stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.closer.Close()
}

// exact gives the bytes of a source that has as many as left says. Nothing of the
// last piece is given out before the source proved to end there: a message that
// is longer than it said would otherwise be cut and sent.
type exact struct {
	src  io.Reader
	left int64
}

func (e *exact) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.src.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if e.left > 0 {
		if err != nil {
			err = NotRead(err)
		}
		return n, err
	}
	var one [1]byte
	switch more, err := io.ReadFull(e.src, one[:]); {
	case more > 0:
		return 0, NotRead(errors.New("it is longer than its recorded size"))
	case err != io.EOF:
		return 0, NotRead(err)
	}
	return n, nil
}

// base64Body gives the bytes of a source as one line of standard base64.
type base64Body struct {
	src    io.Reader
	closer io.Closer
	left   int64   // raw bytes still to come from src
	raw    *[]byte // from pool; nil once closed
	pool   *sync.Pool
	tail   []byte // encoded, for a caller with less room than four bytes
	quad   [4]byte
}

func newBase64Body(src io.ReadCloser, size int64, pool *sync.Pool) *base64Body {
	return &base64Body{src: &exact{src, size}, closer: src, left: size, raw: pool.Get().(*[]byte), pool: pool}
}

// Base64 gives size bytes of src as base64, for a part of a request's body.
func (c *Client) Base64(src io.ReadCloser, size int64) io.ReadCloser {
	return newBase64Body(src, size, c.buffers)
}

// EncodedLen is the exact length of the base64 of size bytes.
func EncodedLen(size int64) int64 { return (size + 2) / 3 * 4 }

func (b *base64Body) Read(p []byte) (int, error) {
	switch {
	case b.raw == nil:
		return 0, errBodyClosed
	case len(p) == 0:
		return 0, nil
	case len(b.tail) > 0:
		n := copy(p, b.tail)
		b.tail = b.tail[n:]
		return n, nil
	case b.left == 0:
		return 0, io.EOF
	case len(p) >= 4:
		return b.encode(p)
	}
	n, err := b.encode(b.quad[:])
	if err != nil {
		return 0, err
	}
	b.tail = b.quad[:n]
	return b.Read(p)
}

// encode fills dst, which has room for four bytes at least.
func (b *base64Body) encode(dst []byte) (int, error) {
	raw := *b.raw
	want := min(int64(len(dst)/4*3), int64(len(raw)), b.left)
	if _, err := io.ReadFull(b.src, raw[:want]); err != nil {
		return 0, NotRead(err)
	}
	b.left -= want
	base64.StdEncoding.Encode(dst, raw[:want])
	return base64.StdEncoding.EncodedLen(int(want)), nil
}

// Close releases the source and the buffer. It may be called more than once, but
// not during a Read.
func (b *base64Body) Close() error {
	if b.raw == nil {
		return nil
	}
	b.pool.Put(b.raw)
	b.raw = nil
	return b.closer.Close()
}
