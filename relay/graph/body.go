package graph

import (
	"encoding/base64"
	"errors"
	"io"
	"sync"
)

// rawBuffer is how much of a message is read at a time: small, for hundreds of
// sends run at once, and a multiple of 3, so that base64 needs no padding
// before the end.
const rawBuffer = 24 << 10

// spoolError marks a failure to read the message, as opposed to one of the
// network. The request was then cut short by ourselves, so nothing was sent.
type spoolError struct{ err error }

func (e *spoolError) Error() string { return "cannot read the message: " + e.err.Error() }
func (e *spoolError) Unwrap() error { return e.err }

var errBodyClosed = errors.New("the attempt is over")

// base64Body gives a message as one line of standard base64. The transport may
// Close it while it Reads, and may go on reading after RoundTrip returned; both
// are safe, and after Close no octet is given out any more.
type base64Body struct {
	mu    sync.Mutex
	src   io.ReadCloser
	left  int64   // raw octets still to come from src
	raw   *[]byte // from pool; nil once closed
	pool  *sync.Pool
	tail  []byte // encoded, for a caller with less room than four octets
	quad  [4]byte
	given int64
	err   error
}

func newBase64Body(src io.ReadCloser, size int64, pool *sync.Pool) *base64Body {
	return &base64Body{src: src, left: size, raw: pool.Get().(*[]byte), pool: pool}
}

// encodedLen is the exact length of the body for a message of size octets.
func encodedLen(size int64) int64 { return (size + 2) / 3 * 4 }

func (b *base64Body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := b.fill(p)
	b.given += int64(n)
	if err != nil {
		b.err = err
	}
	return n, err
}

func (b *base64Body) fill(p []byte) (int, error) {
	if len(b.tail) > 0 {
		n := copy(p, b.tail)
		b.tail = b.tail[n:]
		return n, nil
	}
	if b.left == 0 {
		return 0, io.EOF
	}
	if len(p) < 4 {
		n, err := b.encode(b.quad[:])
		if err != nil {
			return 0, err
		}
		b.tail = b.quad[:n]
		return b.fill(p)
	}
	return b.encode(p)
}

// encode fills dst, which has room for four octets at least. Nothing of the
// last piece is given out before the source proved to end there: a message
// that is longer than it said would otherwise be cut and sent.
func (b *base64Body) encode(dst []byte) (int, error) {
	raw := *b.raw
	want := min(int64(len(dst)/4*3), int64(len(raw)), b.left)
	if _, err := io.ReadFull(b.src, raw[:want]); err != nil {
		return 0, &spoolError{unexpected(err)}
	}
	b.left -= want
	if b.left == 0 {
		if err := b.ended(); err != nil {
			return 0, err
		}
	}
	base64.StdEncoding.Encode(dst, raw[:want])
	return base64.StdEncoding.EncodedLen(int(want)), nil
}

func (b *base64Body) ended() error {
	var one [1]byte
	switch n, err := io.ReadFull(b.src, one[:]); {
	case n > 0:
		return &spoolError{errors.New("it is longer than its recorded size")}
	case err != io.EOF:
		return &spoolError{err}
	}
	return nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it is shorter than its recorded size")
	}
	return err
}

// Close releases the source and the buffer. It may be called more than once.
func (b *base64Body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.raw == nil {
		return nil
	}
	b.pool.Put(b.raw)
	b.raw = nil
	if b.err == nil {
		b.err = errBodyClosed
	}
	return b.src.Close()
}

// bodies opens the message for each try that the transport makes within one
// request, and remembers the last: a try is repeated by net/http only when the
// one before certainly was not processed.
type bodies struct {
	mail Mail
	pool *sync.Pool
	mu   sync.Mutex
	last *base64Body
}

func (b *bodies) open() (io.ReadCloser, error) {
	src, err := b.mail.Open()
	if err != nil {
		return nil, &spoolError{err}
	}
	body := newBase64Body(src, b.mail.Size, b.pool)
	b.mu.Lock()
	b.last = body
	b.mu.Unlock()
	return body, nil
}

// stop ends all reading of the message and then says whether octets of the
// last try had been handed to the transport, and whether the message itself
// could not be read. After stop the spool is not touched any more.
func (b *bodies) stop() (left bool, unreadable error) {
	b.mu.Lock()
	body := b.last
	b.mu.Unlock()
	if body == nil {
		return false, nil
	}
	_ = body.Close()
	body.mu.Lock()
	defer body.mu.Unlock()
	var s *spoolError
	if errors.As(body.err, &s) {
		return body.given > 0, s
	}
	return body.given > 0, nil
}
