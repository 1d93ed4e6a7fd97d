package sendmail

import (
	"bufio"
	"io"

	"graphrelay/relay/envelope"
	"graphrelay/relay/message"
)

// wire writes text with CRLF line ends as SMTP carries it: dots doubled at the
// start of a line, and the last line ended. Its errors are those of the writer below,
// returned by end.
type wire struct {
	w       *bufio.Writer
	n       int64 // bytes without the doubled dots
	midLine bool
}

func (t *wire) Write(p []byte) (int, error) {
	for _, c := range p {
		if c == '.' && !t.midLine {
			_ = t.w.WriteByte('.')
		}
		_ = t.w.WriteByte(c)
		t.midLine = c != '\n'
	}
	t.n += int64(len(p))
	return len(p), nil
}

// end ends an unfinished last line, and flushes.
func (t *wire) end() error {
	if t.midLine {
		_, _ = t.Write([]byte("\r\n"))
	}
	return t.w.Flush()
}

// Letter is a message ready to be submitted.
type Letter struct {
	From envelope.Address // zero is the null reverse-path
	To   []envelope.Address

	message *Message
	block   []byte
	utf8    bool
}

// Letter makes a Letter of the message. If its header has no From field, it gets
// one from name and author; from is the reverse-path.
func (m *Message) Letter(h *Header, from envelope.Address, to []envelope.Address, name string,
	author envelope.Address) *Letter {
	l := &Letter{From: from, To: to, message: m, block: h.block(name, author)}
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
	_, body, err := message.Read(l.message.from(0), message.Options{})
	if err != nil {
		return 0, err
	}
	if _, err := io.Copy(t, body); err != nil {
		return 0, err
	}
	err = t.end()
	return t.n, err
}
