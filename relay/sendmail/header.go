package sendmail

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"graphrelay/relay/envelope"
)

// maxHeader bounds the header: -t needs all of it at once.
const maxHeader = 1 << 20

// ErrHeaderTooLarge is a header larger than 1 MiB.
var ErrHeaderTooLarge = errors.New("the header of the message is larger than 1 MiB")

// Header is the header of a message, unchanged but for line ends.
type Header struct {
	fields []field
	body   int64 // where it begins in the message
}

type field struct {
	name string // lower case
	text []byte // of all its lines, each ending in CRLF
}

// Header reads the header. A message may have none: then all of it is body.
func (m *Message) Header() (*Header, error) {
	block, err := io.ReadAll(io.LimitReader(m.from(0), maxHeader+1))
	if err != nil {
		return nil, err
	}
	return readHeader(block)
}

// readHeader cuts lines off block. If block ends within a line, the header is too
// large, unless that line does not belong to it.
func readHeader(block []byte) (*Header, error) {
	h := &Header{}
	for at := 0; at < len(block); {
		raw := block[at:]
		if i := bytes.IndexByte(raw, '\n'); i >= 0 {
			raw = raw[:i+1]
		}
		next := at + len(raw)
		line := cleanLine(raw)
		switch {
		case len(line) == 0:
			h.body = int64(next)
			return h, nil
		case next > maxHeader && len(h.fields) > 0:
			return nil, ErrHeaderTooLarge
		case !h.take(line):
			h.body = int64(at)
			return h, nil
		case next > maxHeader:
			return nil, ErrHeaderTooLarge
		}
		at = next
	}
	h.body = int64(len(block))
	return h, nil
}

// cleanLine removes the line end, and what would let two readers see two
// different headers: a bare CR becomes a space, NUL is removed.
func cleanLine(raw []byte) []byte {
	line := bytes.TrimRight(bytes.TrimSuffix(raw, []byte("\n")), "\r")
	if bytes.IndexByte(line, '\r') < 0 && bytes.IndexByte(line, 0) < 0 {
		return line
	}
	return bytes.ReplaceAll(bytes.ReplaceAll(line, []byte("\r"), []byte(" ")), []byte("\x00"), nil)
}

// take adds a line; false means that it does not belong to the header.
func (h *Header) take(line []byte) bool {
	if line[0] == ' ' || line[0] == '\t' {
		if len(h.fields) == 0 {
			return false
		}
		if len(bytes.Trim(line, " \t")) > 0 { // a fold that looks empty ends the header for some readers
			f := &h.fields[len(h.fields)-1]
			f.text = append(append(f.text, line...), "\r\n"...)
		}
		return true
	}
	name := fieldName(line)
	if name == "" {
		return len(h.fields) == 0 && isMboxFrom(line)
	}
	h.fields = append(h.fields, field{name: name, text: append(bytes.Clone(line), "\r\n"...)})
	return true
}

// fieldName returns the name of a field in lower case; "" if line is not a field.
func fieldName(line []byte) string {
	n := 0
	for n < len(line) && line[n] > ' ' && line[n] < 0x7f && line[n] != ':' {
		n++
	}
	if rest := bytes.TrimLeft(line[n:], " \t"); n == 0 || len(rest) == 0 || rest[0] != ':' {
		return ""
	}
	return strings.ToLower(string(line[:n]))
}

// isMboxFrom recognizes, by its date, the line that mbox files put before a message.
func isMboxFrom(line []byte) bool {
	if !bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) {
		return false
	}
	words := strings.Fields(string(line[:min(len(line), 500)]))
	for i := 1; i+1 < len(words); i++ {
		if isOneOf(words[i], "Sun Mon Tue Wed Thu Fri Sat") &&
			isOneOf(words[i+1], "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec") {
			return true
		}
	}
	return false
}

func isOneOf(word, list string) bool {
	return len(word) == 3 && strings.Contains(list, word)
}

// Has reports whether there is a field of that name, given in lower case.
func (h *Header) Has(name string) bool {
	return slices.ContainsFunc(h.fields, func(f field) bool { return f.name == name })
}

// AddRecipients adds the recipients in the header: To, Cc, Bcc and Apparently-To,
// or only Resent-To, Resent-Cc and Resent-Bcc if there is one of these, because
// then the others got the message when it was first sent.
func (h *Header) AddRecipients(l *List) {
	names := []string{"to", "cc", "bcc", "apparently-to"}
	if h.Has("resent-to") || h.Has("resent-cc") || h.Has("resent-bcc") {
		names = []string{"resent-to", "resent-cc", "resent-bcc"}
	}
	for _, name := range names {
		for _, f := range h.fields {
			if f.name == name {
				_, value, _ := bytes.Cut(f.text, []byte(":"))
				l.AddHeader(string(value))
			}
		}
	}
}

// utf8 reports whether the header needs SMTPUTF8.
func (h *Header) utf8() bool {
	ascii := true
	for _, f := range h.fields {
		if !utf8.Valid(f.text) {
			return false // in another character set, which nothing announces
		}
		ascii = ascii && envelope.IsASCII(f.text)
	}
	return !ascii
}

// block is the header as it is sent, with the empty line: without the blind
// recipients, and with a From field if there was none.
func (h *Header) block(name string, from envelope.Address) []byte {
	var b []byte
	if !h.Has("from") {
		b = append(b, "From: "+author(name, from)+"\r\n"...)
	}
	for _, f := range h.fields {
		if f.name != "bcc" && f.name != "resent-bcc" {
			b = append(b, f.text...)
		}
	}
	return append(b, "\r\n"...)
}
