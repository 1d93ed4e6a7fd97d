package message

import (
	"bytes"
	"io"
)

// minDirect is the smallest buffer that is filled in place.
const minDirect = 512

// Body yields what follows the header block, with CRLF line ends. It is an
// io.Reader and does not close what it reads from.
//
// A last line without line end stays without: over SMTP there is none.
type Body struct {
	in       source
	rejectLF bool
	notes    Notes

	heldCR  bool   // the input read so far ends in a CR whose LF is to come
	tail    []byte // input that is read but must be examined byte by byte
	buf     []byte // backs tail
	afterCR bool   // the last byte returned is a CR, and tail begins with its LF
	err     error  // returned when tail is empty
}

// Notes say what was odd about the message, header and body. They are
// complete once Read has returned io.EOF.
func (b *Body) Notes() Notes { return b.notes }

// Read fills p with canonical body text. It returns io.EOF only when the
// underlying reader does; 550 5.6.0 as a *reply.Error for a NUL, a bare CR or,
// if Options say so, a bare LF; any other error unchanged. After an error the
// message must be dropped.
func (b *Body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if len(b.tail) > 0 {
			if n := b.expand(p); n > 0 {
				return n, nil
			}
		}
		if b.err != nil {
			return 0, b.err
		}
		if len(p) < minDirect {
			b.tail = b.fill(b.own(minDirect))
			continue
		}
		got := b.fill(p)
		if isCanonical(got) {
			if len(got) > 0 {
				return len(got), nil
			}
			continue
		}
		b.tail = b.own(len(got))
		copy(b.tail, got)
	}
}

func (b *Body) own(n int) []byte {
	if cap(b.buf) < n {
		b.buf = make([]byte, n)
	}
	return b.buf[:n]
}

// fill reads into q. It holds back a CR at the end until it knows whether its LF
// follows, so that no chunk ends between the two.
func (b *Body) fill(q []byte) []byte {
	n := 0
	if b.heldCR {
		q[0] = '\r'
		n = 1
	}
	m, err := b.in.Read(q[n:])
	n += m
	switch {
	case err == io.EOF && b.heldCR:
		b.err = errBareCR()
		return nil
	case err != nil:
		b.err = err
		return nil
	}
	b.heldCR = q[n-1] == '\r'
	if b.heldCR {
		n--
	}
	return q[:n]
}

// isCanonical reports whether c needs no change: every LF has its CR, and there
// are no other CRs. It takes a few vector scans.
func isCanonical(c []byte) bool {
	lines := 0
	for at := 0; ; lines++ {
		i := bytes.IndexByte(c[at:], '\n')
		if i < 0 {
			break
		}
		at += i + 1
		if at < 2 || c[at-2] != '\r' {
			return false
		}
	}
	return bytes.Count(c, []byte{'\r'}) == lines && bytes.IndexByte(c, 0) < 0
}

// expand moves text from tail to p, making line ends canonical, until p is
// full, tail is empty, or a byte is refused.
func (b *Body) expand(p []byte) int {
	w := 0
	for len(b.tail) > 0 && w < len(p) {
		if n := plainLen(b.tail); n > 0 {
			n = copy(p[w:], b.tail[:n])
			b.tail = b.tail[n:]
			w += n
			continue
		}
		c, err := b.special()
		if err != nil {
			b.tail, b.err = nil, err
			break
		}
		p[w] = c
		w++
	}
	return w
}

// special decides about a CR, LF or NUL at the head of tail. For a bare LF it
// gives the CR first and leaves the LF in place.
func (b *Body) special() (byte, error) {
	c := b.tail[0]
	switch {
	case c == 0:
		return 0, errNUL()
	case c == '\r' && (len(b.tail) == 1 || b.tail[1] != '\n'):
		return 0, errBareCR()
	case c == '\r':
		b.afterCR = true
	case b.afterCR:
		b.afterCR = false
	default:
		if b.rejectLF {
			return 0, errBareLF()
		}
		b.notes.BareLF = true
		b.afterCR = true
		return '\r', nil
	}
	b.tail = b.tail[1:]
	return c, nil
}

// plainLen counts the bytes before the first CR, LF or NUL.
func plainLen(c []byte) int {
	for i, x := range c {
		if x == '\r' || x == '\n' || x == 0 {
			return i
		}
	}
	return len(c)
}
