package message

import (
	"bytes"
	"io"
)

// minDirect is the smallest buffer that is filled in place.
const minDirect = 512

// maxTail bounds the buffer for what must be examined byte by byte.
const maxTail = 32 << 10

// Body yields what follows the header block, with CRLF line ends. It is an
// io.Reader and does not close what it reads from. Any number of CRs before a LF
// count as one line end with it, any other CR as a line end of its own.
//
// A last line without line end stays without: over SMTP there is none.
type Body struct {
	in       source
	rejectLF bool
	notes    Notes
	text     paragraph // that must not hold a field

	heldCR bool   // the input read so far ends in a CR whose LF is to come
	tail   []byte // input that is read but must be examined byte by byte
	buf    []byte // backs tail
	crs    int    // CRs before tail, until it is known what they are
	nul    bool   // a NUL was dropped: nothing but line ends may follow
	owed   int    // bytes of CRLF pairs to be returned before tail
	err    error  // returned when all that is done
}

// Notes say what was odd about the message, header and body. They are
// complete once Read has returned io.EOF.
func (b *Body) Notes() Notes { return b.notes }

// Read fills p with canonical body text. It returns io.EOF only when the
// underlying reader does; 550 5.6.0 as a *reply.Error for a NUL that text follows,
// for a field where the empty line was missing or, if Options say so, for any NUL,
// bare CR or bare LF; any other error unchanged. After an error the message must
// be dropped.
func (b *Body) Read(p []byte) (int, error) {
	n, err := b.read(p)
	if refusal := b.text.check(p[:n]); refusal != nil {
		b.err, b.tail, b.owed = refusal, nil, 0
		return 0, refusal
	}
	return n, err
}

func (b *Body) read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if n := b.expand(p); n > 0 {
			return n, nil
		}
		if b.err != nil {
			return 0, b.err
		}
		if len(p) < minDirect || b.crs > 0 || b.nul {
			b.tail = b.fill(b.own(max(minDirect, min(len(p), maxTail))))
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
	if err != nil {
		b.end(err, n)
		return nil
	}
	b.heldCR = q[n-1] == '\r'
	if b.heldCR {
		n--
	}
	return q[:n]
}

// end is the end of the input behind some more CRs.
func (b *Body) end(err error, more int) {
	b.err = err
	crs := b.crs + more
	switch {
	case err != io.EOF || crs == 0:
	case b.rejectLF:
		b.err = errBareCR()
	default:
		b.notes.StrayCR = true
		b.crs, b.heldCR, b.owed = 0, false, 2*crs
	}
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
	for w < len(p) {
		plain := plainLen(b.tail[:min(len(b.tail), len(p)-w)])
		switch {
		case b.owed > 0:
			for ; b.owed > 0 && w < len(p); w++ {
				p[w] = "\n\r"[1-b.owed%2]
				b.owed--
			}
		case len(b.tail) == 0:
			return w
		case plain > 0 && b.crs == 0 && !b.nul:
			n := copy(p[w:], b.tail[:plain])
			b.tail = b.tail[n:]
			w += n
		default:
			if err := b.special(); err != nil {
				b.tail, b.err = nil, err
				return w
			}
		}
	}
	return w
}

// special decides about the byte at the head of tail, where CRs or a NUL went
// before it or it is one. It takes all but a plain byte.
func (b *Body) special() error {
	c := b.tail[0]
	switch {
	case b.rejectLF && (b.crs > 1 || b.crs == 1 && c != '\n'):
		return errBareCR()
	case b.rejectLF && b.crs == 0 && c == '\n':
		return errBareLF()
	case c == 0 && b.rejectLF, b.nul && c != 0 && c != '\r' && c != '\n':
		return errNUL()
	case c == 0:
		b.nul, b.notes.FinalNUL = true, true
		b.tail = bytes.TrimLeft(b.tail, "\x00")
		return nil
	case c == '\r': // a flood of them costs little
		crs := len(b.tail) - len(bytes.TrimLeft(b.tail, "\r"))
		b.crs, b.tail = b.crs+crs, b.tail[crs:]
		return nil
	case c == '\n':
		b.notes.BareLF = b.notes.BareLF || b.crs == 0
		b.notes.StrayCR = b.notes.StrayCR || b.crs > 1
		b.crs, b.owed = 0, 2
	default: // the CRs end lines; the byte stays
		b.notes.StrayCR = true
		b.crs, b.owed = 0, 2*b.crs
		return nil
	}
	b.tail = b.tail[1:]
	return nil
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

// paragraph is text that somebody put directly under the header: the body up to
// its first empty line. A line of the form "Name:" in it would make it a part of
// the header to some readers.
type paragraph struct {
	refusal error // what check returns; nil if there is no such text
	at      place
}

// place is where in a line a paragraph is.
type place uint8

const (
	lineStart place = iota
	inName
	behindName
	inText
)

// check reads the next bytes, which have canonical line ends.
func (g *paragraph) check(text []byte) error {
	for i := 0; g.refusal != nil && i < len(text); i++ {
		switch c := text[i]; {
		case c == '\n':
			g.at = lineStart
		case g.at == inText:
			if n := bytes.IndexByte(text[i:], '\n'); n > 0 {
				i += n - 1
			} else {
				return nil
			}
		case c == '\r' && g.at == lineStart:
			g.refusal = nil // the empty line
		case c == ':':
			return g.refusal
		case !isBlank(c):
			g.at = [...]place{lineStart: inName, inName: inName, behindName: inText}[g.at]
		case g.at == lineStart:
			g.at = inText // a fold
		default:
			g.at = behindName
		}
	}
	return nil
}
