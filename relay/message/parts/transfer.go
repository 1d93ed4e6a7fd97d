package parts

import (
	"bufio"
	"context"
	"io"
	"strings"
)

// obedient reads until ctx ends.
type obedient struct {
	io.ReadSeeker
	ctx context.Context
}

func (o *obedient) Read(p []byte) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	return o.ReadSeeker.Read(p)
}

// span reads a piece of a message. Spans of one message share its reader, each at
// its own place; only one may be read at a time.
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

// The transfer encodings that change bytes.
const (
	base64          = "base64"
	quotedPrintable = "quoted-printable"
	uuencode        = "uuencode"
)

// decoded undoes a transfer encoding. fault says, when all is read, what of r is
// not in the result.
func decoded(r io.Reader, encoding string) (content io.Reader, fault func() string) {
	switch encoding {
	case base64:
		d := &base64Decoder{in: buffered(r)}
		return &decoder{next: d.next, tail: d.tail}, d.fault
	case quotedPrintable:
		return &decoder{next: (&quotedDecoder{in: buffered(r)}).next}, func() string { return "" }
	case uuencode:
		d := &uuDecoder{in: buffered(r)}
		return &decoder{next: d.next, name: func() string { return d.name }}, d.fault
	}
	return r, func() string { return "" }
}

func buffered(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, 16<<10) }

// window is what is in the buffer, at least n bytes unless err says why not.
func window(in *bufio.Reader, n int) ([]byte, error) {
	if short, err := in.Peek(n); err != nil {
		return short, err
	}
	return in.Peek(in.Buffered())
}

// decoder reads what next appends to a buffer, a piece at a time.
type decoder struct {
	next  func(to []byte) ([]byte, error)
	buf   []byte
	ready []byte        // of buf
	err   error         // of next, returned when ready is empty
	name  func() string // of the file, where the encoding knows it
	tail  func() int64  // where text begins that is behind the encoded bytes, where there is some
}

func (d *decoder) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && (len(d.ready) > 0 || d.err == nil) {
		if len(d.ready) == 0 {
			d.fill()
			continue
		}
		k := copy(p[n:], d.ready)
		d.ready = d.ready[k:]
		n += k
	}
	if n == 0 && len(p) > 0 {
		return 0, d.err
	}
	return n, nil
}

// fill calls next until there is a piece worth copying.
func (d *decoder) fill() {
	d.buf = d.buf[:0]
	for len(d.buf) < pieceSize && d.err == nil {
		d.buf, d.err = d.next(d.buf)
	}
	d.ready = d.buf
}

const pieceSize = 4 << 10

// base64Decoder decodes as RFC 2045 asks: it passes over what is not in the
// alphabet. After padding a new piece may begin. It remembers where there are
// lines of words in it, such as a footer that a program added.
type base64Decoder struct {
	in     *bufio.Reader
	acc    uint32
	n      int   // characters in acc
	at     int64 // bytes read
	line   int64 // where the line begins
	whole  bool  // no quantum was open there
	other  int   // characters of the line that are not in the alphabet, and blanks between words
	blank  bool  // the last character is a blank that ends a word
	words  bool  // there are words
	behind int64 // where lines of words begin that no base64 follows; 0 if there are none
}

func (b *base64Decoder) fault() string {
	if b.words {
		return "there is text in its base64"
	}
	return ""
}

// tail is where text begins that is behind the base64.
func (b *base64Decoder) tail() int64 { return b.behind }

// next decodes what is in the buffer.
func (b *base64Decoder) next(to []byte) ([]byte, error) {
	text, err := window(b.in, 1)
	if len(text) == 0 {
		return b.flush(to), err
	}
	for i := 0; i < len(text); {
		if b.n == 0 && !b.blank {
			before := len(to)
			to = appendQuanta(to, text[i:])
			used := (len(to) - before) / 3 * 4
			b.at += int64(used)
			if i += used; i == len(text) {
				break
			}
		}
		c := text[i]
		v := base64Value[c]
		if (v > 63 || b.blank) && (c != '\r' || b.blank) {
			b.notice(c, v)
		}
		i++
		b.at++
		switch {
		case v < 64:
			b.acc = b.acc<<6 | uint32(v)
			if b.n++; b.n == 4 {
				to = b.flush(to)
			}
		case c == '=' && b.n > 0:
			to = b.flush(to)
		}
	}
	_, _ = b.in.Discard(len(text))
	return to, nil
}

// appendQuanta decodes whole quanta as long as there is nothing else.
func appendQuanta(to, text []byte) []byte {
	for ; len(text) >= 4; text = text[4:] {
		v := [4]byte{base64Value[text[0]], base64Value[text[1]], base64Value[text[2]], base64Value[text[3]]}
		if v[0]|v[1]|v[2]|v[3] > 63 {
			break
		}
		to = append(to, v[0]<<2|v[1]>>4, v[1]<<4|v[2]>>2, v[2]<<6|v[3])
	}
	return to
}

// fullLine is the length from which a line without words is base64 again.
const fullLine = 40

// notice looks at what is not plain base64.
func (b *base64Decoder) notice(c, v byte) {
	switch {
	case c == ' ' || c == '\t':
		b.blank = b.n > 0
		return
	case c == '\n':
		if b.other == 0 && b.at-b.line > fullLine {
			b.behind = 0
		}
		b.line, b.whole, b.other = b.at+1, b.n == 0, 0
	case v < 64: // words with a blank between them
		b.other += 2
	case c != '=' && c != '\r':
		b.other++
	}
	b.blank = false
	if b.other > 1 {
		if !b.words && b.whole && b.line > 0 {
			b.behind = b.line
		}
		b.words = true
	}
}

// flush appends what acc holds, which may be an incomplete quantum.
func (b *base64Decoder) flush(to []byte) []byte {
	switch acc := b.acc; b.n {
	case 2:
		to = append(to, byte(acc>>4))
	case 3:
		to = append(to, byte(acc>>10), byte(acc>>2))
	case 4:
		to = append(to, byte(acc>>16), byte(acc>>8), byte(acc))
	}
	b.acc, b.n = 0, 0
	return to
}

// base64Value and hexValue map the digits to their values, everything else to 255.
var (
	base64Value = values("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
	hexValue    = values("0123456789ABCDEF", "0123456789abcdef")
)

func values(alphabets ...string) (t [256]byte) {
	for c := range t {
		t[c] = 255
		for _, alphabet := range alphabets {
			if i := strings.IndexByte(alphabet, byte(c)); i >= 0 {
				t[c] = byte(i)
			}
		}
	}
	return t
}

// quotedDecoder decodes quoted-printable. What is not an escape stays as it is;
// blanks at the end of a line were added on the way and go (RFC 2045, 6.7).
type quotedDecoder struct {
	in   *bufio.Reader
	held []byte // blanks that may be at the end of a line
}

// The bounds of the blanks that are held back, longer runs stay, and of those
// between an equals sign and the end of its line.
const (
	maxHeld  = 1000
	softLine = 80
)

// next decodes what is in the buffer, but for the end of it: an escape may be cut
// there.
func (q *quotedDecoder) next(to []byte) ([]byte, error) {
	text, err := window(q.in, softLine+1)
	if len(text) == 0 {
		return to, err
	}
	i := 0
	for i < len(text) && (err != nil || len(text)-i > softLine) {
		c := text[i]
		if (c == ' ' || c == '\t') && len(q.held) < maxHeld {
			q.held = append(q.held, c)
			i++
			continue
		}
		if c != '\n' && c != '\r' {
			to = append(to, q.held...)
		}
		q.held = q.held[:0]
		used := 1
		if c == '=' {
			to, used = escape(to, text[i:])
		} else {
			to = append(to, c)
		}
		i += used
	}
	_, _ = q.in.Discard(i)
	return to, nil
}

// escape decodes an equals sign and what follows: two digits, a soft line break,
// or neither. used is how much of text that is.
func escape(to, text []byte) (_ []byte, used int) {
	if len(text) > 2 && hexValue[text[1]] < 16 && hexValue[text[2]] < 16 {
		return append(to, hexValue[text[1]]<<4|hexValue[text[2]]), 3
	}
	for i, c := range text[1:min(len(text), softLine+1)] {
		if c == '\n' {
			return to, i + 2
		}
		if c != ' ' && c != '\t' && c != '\r' {
			break
		}
	}
	if len(text) > 1 { // "=" as the last character is a soft line break
		to = append(to, '=')
	}
	return to, 1
}
