package message

import (
	"bufio"
	"io"
	"strings"
)

// span reads a piece of a message. Spans of one message share its reader, each
// with a place of its own; only one may be read at a time.
type span struct {
	r       io.ReadSeeker
	at, end int64
}

func (s *span) Read(p []byte) (int, error) {
	if s.at >= s.end {
		return 0, io.EOF
	}
	if _, err := s.r.Seek(s.at, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p[:min(int64(len(p)), s.end-s.at)])
	s.at += int64(n)
	if err == io.EOF && s.at < s.end {
		err = io.ErrUnexpectedEOF
	}
	if err == io.EOF && n > 0 {
		err = nil
	}
	return n, err
}

// decoded undoes a transfer encoding; one that is not known changes nothing.
func decoded(r io.Reader, encoding string) io.Reader {
	switch encoding {
	case "base64":
		return &base64Reader{in: bufio.NewReaderSize(r, 16<<10)}
	case "quoted-printable":
		return &quotedReader{in: bufio.NewReaderSize(r, 16<<10)}
	}
	return r
}

// base64Reader decodes as RFC 2045 asks: what is no letter of the alphabet is
// passed over. After padding a new piece may begin.
type base64Reader struct {
	in    *bufio.Reader
	acc   uint32
	n     int // letters in acc
	out   [3]byte
	ready []byte // of out
	ended bool
}

func (b *base64Reader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(b.ready) > 0 {
			k := copy(p[n:], b.ready)
			b.ready = b.ready[k:]
			n += k
			continue
		}
		if b.ended {
			break
		}
		if err := b.fill(); err != nil && err != io.EOF {
			return n, err
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// fill decodes the next quantum into ready.
func (b *base64Reader) fill() error {
	for {
		c, err := b.in.ReadByte()
		if err == io.EOF {
			b.flush()
			b.ended = true
		}
		if err != nil {
			return err
		}
		switch v := base64Value[c]; {
		case v < 64:
			b.acc = b.acc<<6 | uint32(v)
			if b.n++; b.n == 4 {
				b.out = [3]byte{byte(b.acc >> 16), byte(b.acc >> 8), byte(b.acc)}
				b.ready, b.n = b.out[:], 0
				return nil
			}
		case c == '=' && b.n > 0:
			if b.flush(); len(b.ready) > 0 {
				return nil
			}
		}
	}
}

// flush gives out what an incomplete quantum holds.
func (b *base64Reader) flush() {
	switch b.n {
	case 2:
		b.out[0] = byte(b.acc >> 4)
		b.ready = b.out[:1]
	case 3:
		b.out[0], b.out[1] = byte(b.acc>>10), byte(b.acc>>2)
		b.ready = b.out[:2]
	}
	b.acc, b.n = 0, 0
}

// base64Value maps the alphabet to 0..63, everything else to 64.
var base64Value = func() (t [256]byte) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for c := range t {
		t[c] = 64
		if i := strings.IndexByte(alphabet, byte(c)); i >= 0 {
			t[c] = byte(i)
		}
	}
	return t
}()

// quotedReader decodes quoted-printable. What is no escape stays as it is;
// blanks at the end of a line were added on the way and go (RFC 2045, 6.7).
type quotedReader struct {
	in    *bufio.Reader
	held  []byte // blanks that may be at the end of a line
	ready []byte // to be given out first
	err   error
}

// maxHeld bounds the blanks that are held back: longer runs stay.
const maxHeld = 1000

func (q *quotedReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(q.ready) > 0 {
			k := copy(p[n:], q.ready)
			q.ready = q.ready[k:]
			n += k
			continue
		}
		if q.err != nil {
			break
		}
		q.step()
	}
	if n == 0 && len(p) > 0 {
		return 0, q.err
	}
	return n, nil
}

// step reads one character and sets ready to what it means.
func (q *quotedReader) step() {
	c, err := q.in.ReadByte()
	if err != nil {
		q.err = err
		q.held = q.held[:0]
		return
	}
	switch {
	case (c == ' ' || c == '\t') && len(q.held) < maxHeld:
		q.held = append(q.held, c)
		return
	case c == '\n' || c == '\r':
		q.held = q.held[:0]
		q.ready = append(q.ready[:0], c)
		return
	case c == '=':
		q.ready = append(q.ready[:0], q.held...)
		q.escape()
	default:
		q.ready = append(append(q.ready[:0], q.held...), c)
	}
	q.held = q.held[:0]
}

// escape reads on after "=": two digits, a soft line break, or nothing of the kind.
func (q *quotedReader) escape() {
	next, _ := q.in.Peek(2)
	if len(next) == 2 && unhex(next[0]) >= 0 && unhex(next[1]) >= 0 {
		q.ready = append(q.ready, byte(unhex(next[0])<<4|unhex(next[1])))
		_, _ = q.in.Discard(2)
		return
	}
	line, _ := q.in.Peek(80)
	for i, c := range line {
		if c == '\n' {
			_, _ = q.in.Discard(i + 1)
			return
		}
		if c != ' ' && c != '\t' && c != '\r' {
			break
		}
	}
	if len(line) > 0 { // "=" as the last character is a soft line break
		q.ready = append(q.ready, '=')
	}
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
