package sendmail

import (
	"bufio"
	"io"

	"graphrelay/relay/envelope"
)

// wire writes text as SMTP carries it: CRLF line ends, dots doubled at the
// start of a line. Its errors are those of the writer below, returned by Flush.
type wire struct {
	w       *bufio.Writer
	n       int64 // bytes without the doubled dots
	cr      bool  // after a CR, and only CR since
	midLine bool
}

func (t *wire) Write(p []byte) (int, error) {
	for _, c := range p {
		switch {
		case c == '\r':
			t.cr = true
			continue
		case c == '\n' || t.cr:
			t.endLine()
		}
		if c != '\n' && c != 0 {
			t.char(c)
		}
	}
	return len(p), nil
}

func (t *wire) char(c byte) {
	if c == '.' && !t.midLine {
		_ = t.w.WriteByte('.')
	}
	_ = t.w.WriteByte(c)
	t.n++
	t.midLine = true
}

func (t *wire) endLine() {
	_, _ = t.w.WriteString("\r\n")
	t.n += 2
	t.cr, t.midLine = false, false
}

// end ends an unfinished last line, and flushes.
func (t *wire) end() error {
	if t.midLine {
		t.endLine()
	}
	return t.w.Flush()
}

// Letter is a message ready to be submitted.
type Letter struct {
	From envelope.Address // zero is the null reverse-path
	To   []envelope.Address

	message *Message
	block   []byte
	body    int64
	utf8    bool
}

// Letter makes a Letter of the message. If its header has no From field, it gets
// one from name and author; from is the reverse-path.
func (m *Message) Letter(h *Header, from envelope.Address, to []envelope.Address, name string,
	author envelope.Address) *Letter {
	l := &Letter{From: from, To: to, message: m, block: h.block(name, author), body: h.body}
	l.utf8 = h.utf8() || !author.ASCII() || l.mustUTF8()
	return l
}

// mustUTF8 reports whether the envelope has no other form.
func (l *Letter) mustUTF8() bool {
	ascii := l.From.ASCII()
	for _, a := range l.To {
		ascii = ascii && a.ASCII()
	}
	return !ascii
}

// write writes the message without the final dot and returns its size.
func (l *Letter) write(w io.Writer) (int64, error) {
	t := &wire{w: bufio.NewWriterSize(w, 32<<10)}
	_, _ = t.Write(l.block)
	if _, err := io.Copy(t, l.message.from(l.body)); err != nil {
		return 0, err
	}
	err := t.end()
	return t.n, err
}
