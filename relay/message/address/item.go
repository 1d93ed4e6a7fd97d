package address

import (
	"bytes"
	"strings"

	"graphrelay/relay/envelope"
)

// item is what a person would take for one mailbox: the text between two commas or
// semicolons. shape is as long as text, with inQuotes and inComment in place of
// the bytes of quoted strings and comments. Quotes and parentheses that do not end
// are text.
type item struct {
	text, shape []byte
	end         byte // what separates it from the next one
}

const (
	inQuotes  = 0x01
	inComment = 0x02
)

// The separators of items: those of RFC 5322 and of Outlook, and what people write
// between addresses, too.
const (
	separators   = ",;"
	moreThanThem = ",;/|"
)

// itemsOf cuts a value at the separators into items that are not blank; false if
// it holds a control character.
func itemsOf(value []byte, separators string) (items []item, ok bool) {
	p := parser{List: List{value: value}}
	shape := bytes.Clone(value)
	open := map[byte]bool{} // quotes and parentheses that are text from here on
	lo := 0
	cut := func() {
		if it := (item{value[lo:p.i], shape[lo:p.i], ','}); len(trimBlank(it.text)) > 0 {
			if !p.end() {
				it.end = value[p.i]
			}
			items = append(items, it)
		}
		lo = p.i + 1
	}
	for ; !p.end() && len(items) < maxList; p.i++ {
		switch c := value[p.i]; {
		case strings.IndexByte(separators, c) >= 0:
			cut()
		case (c == '"' || c == '(') && !open[c]:
			open[c] = !p.shade(shape, c)
		case isControl(c) && c != '\r' && c != '\n':
			return nil, false
		}
	}
	cut()
	return items, p.end()
}

// shade marks a quoted string or comment in shape and stays at its end.
func (p *parser) shade(shape []byte, opening byte) bool {
	lo, closing, mark := p.i, byte('"'), byte(inQuotes)
	if opening == '(' {
		closing, mark = ')', inComment
	}
	if p.enclosed(opening, closing) != nil {
		p.i = lo
		return false
	}
	p.i--
	for i := lo; i <= p.i; i++ {
		shape[i] = mark
	}
	return true
}

// mailbox reads the name and the address of an item, or a name alone. An address
// without brackets comes last. Nothing beside it holds an @, but what repeats it.
func (it item) mailbox() (name string, a envelope.Address, ok bool) {
	text, shape := trimBlank(it.text), trimBlank(it.shape)
	if inner := bytes.Trim(shape, string([]byte{inQuotes})); len(inner) == 0 && bytes.IndexByte(text, '\\') < 0 {
		text = text[1 : len(text)-1] // "Frop <frop@example.org>"
		shape = bytes.Clone(text)
	}
	lo, hi, behind, ok := addressIn(shape)
	if !ok {
		return "", a, false
	}
	rest := bytes.Clone(text[:lo])
	var addr []byte
	for i, c := range text[lo:behind] {
		switch {
		case shape[lo+i] == inComment:
			rest = append(rest, c)
		case lo+i < hi && c != '<':
			addr = append(addr, c)
		}
	}
	rest = append(append(rest, ' '), text[behind:]...)
	name = plainText(rest)
	if lo < hi {
		if a, ok = addressAlone(addr); !ok {
			return "", a, false
		}
	}
	if bytes.IndexByte(rest, '@') >= 0 {
		same, err := envelope.ParseAddress(strings.Trim(name, `'"<>() `))
		ok = err == nil && same.Equal(a)
	}
	return name, a, ok
}

// addressAlone reads an address, perhaps in single quotes or as the URL of one.
func addressAlone(text []byte) (envelope.Address, bool) {
	s := string(trimBlank(text))
	if n := len(s) - 1; n > 0 && s[0] == '\'' && s[n] == '\'' {
		s = s[1:n]
	}
	if n := len("mailto:"); len(s) > n && strings.EqualFold(s[:n], "mailto:") {
		s = s[n:]
	}
	a, err := envelope.ParseAddress(s)
	return a, err == nil && !isWordInAddress(text)
}

// addressIn finds the address in the shape of an item: from the angle bracket to
// the closing one, which may be missing, or else the last word; both may be
// doubled. Comments, stray quotes and brackets may follow, and the name from behind
// on, if none is before. The address is empty, at the end, in a name alone.
func addressIn(shape []byte) (lo, hi, behind int, ok bool) {
	lo, hi = bytes.IndexByte(shape, '<'), bytes.IndexByte(shape, '>')
	after, closed := hi+1, lo >= 0 && hi > lo
	if at := bytes.IndexByte(shape, '@'); lo < 0 && at >= 0 {
		lo = bytes.LastIndexAny(shape[:at], blanks) + 1
		hi = at + bytes.IndexAny(append(bytes.Clone(shape[at:]), ' '), blanks)
		after = hi
	} else if lo < 0 && hi < 0 {
		return len(shape), len(shape), len(shape), true
	} else if hi < 0 {
		hi, after = len(shape), len(shape)
	}
	if lo < 0 || lo >= hi {
		return 0, 0, 0, false
	}
	inner := bytes.TrimLeft(shape[lo:], "<")
	doubled := len(shape) - lo - len(inner)
	if bytes.IndexByte(inner, '<') >= 0 {
		return 0, 0, 0, false
	}
	if doubled > 1 && !bytes.HasPrefix(shape[hi:], bytes.Repeat([]byte{'>'}, doubled)) {
		return 0, 0, 0, false
	}
	trailing := string([]byte{inComment}) + blanks + `"'>`
	if len(bytes.Trim(shape[after:], trailing)) == 0 {
		return lo, hi, len(shape), true
	}
	behind = len(shape) - len(bytes.TrimLeft(shape[after:], ">"))
	return lo, hi, behind, closed && len(trimBlank(shape[:lo])) == 0 && bytes.IndexByte(shape[behind:], '>') < 0
}

// listed writes an item for a list: as it is, if it can be read.
func (it item) listed() ([]byte, bool) {
	text := bytes.TrimRight(it.text, blanks)
	if _, err := Parse(text); err == nil {
		return text, true
	}
	if quoted, ok := quoteNames(text); ok {
		return quoted, true
	}
	name, a, ok := it.mailbox()
	if a.IsZero() {
		return []byte(" " + phraseOf(name)), ok && name != ""
	}
	return append([]byte{' '}, mailboxOf(name, a)...), ok
}
