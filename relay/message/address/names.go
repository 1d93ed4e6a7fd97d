package address

import (
	"bytes"
	"strings"

	"graphrelay/relay/envelope"
	"graphrelay/relay/message/charset"
)

// Mailbox is an address with the name beside it.
type Mailbox struct {
	Name    string // decoded; empty if there is none
	Address envelope.Address
}

// Mailboxes reads an address list with its names, for a mail API; label is the
// character set of raw 8-bit names. What is not an address, or has no domain, is
// left out, but for words before a name, as in "Surname, Name <a@b>". A list
// without a single reading has none.
func Mailboxes(value []byte, label string) []Mailbox {
	l, err := Parse(value)
	if err != nil {
		return nil
	}
	var all []Mailbox
	before := ""
	for _, b := range l.boxes {
		name := unquotePhrase(string(l.phrase(b)), label)
		switch {
		case !b.addr.IsZero() && b.addr.Domain() != "" && name != "":
			all = append(all, Mailbox{before + name, b.addr})
		case !b.addr.IsZero() && b.addr.Domain() != "":
			all = append(all, Mailbox{readable(l.remark(b), label), b.addr})
		case b.angle < 0:
			before += unquotePhrase(string(l.text(b)), label) + ", "
			continue
		}
		before = ""
	}
	return all
}

// around is all that people read beside the address of a mailbox.
func (l *List) around(b box) string {
	name, rest := l.phrase(b), bytes.TrimLeft(l.value[b.text:b.hi], blanks+">")
	if b.angle < 0 {
		name = l.value[b.lo:b.textLo]
	}
	return plainText(bytes.Join([][]byte{name, rest}, []byte{' '}))
}

// phrase is the display name as written, with the comments in it; empty without
// an angle bracket.
func (l *List) phrase(b box) []byte { return trimBlank(l.value[b.lo:max(b.lo, b.angle)]) }

// remark is the first comment after the address, where old programs write the
// name, without its parentheses and escapes.
func (l *List) remark(b box) string {
	p := parser{List: List{value: bytes.TrimPrefix(trimLeft(l.value[b.text:b.hi]), []byte{'>'})}}
	p.blank()
	lo := p.i + 1
	if !p.at('(') || p.comment() != nil {
		return ""
	}
	var text []byte
	for inner := p.value[lo : p.i-1]; len(inner) > 0; inner = inner[1:] {
		if inner[0] == '\\' {
			inner = inner[1:]
		}
		text = append(text, inner[0])
	}
	return string(text)
}

// unquotePhrase joins words, quoted or not, and leaves comments out.
func unquotePhrase(s, label string) string {
	var b strings.Builder
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth > 0 || c == '"' || c == '\r' || c == '\n':
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return readable(strings.TrimSpace(b.String()), label)
}

// readable decodes a name and makes it fit for one line.
func readable(s, label string) string {
	return strings.TrimSpace(charset.Clean(charset.DecodeBeside(s, label), ' '))
}
