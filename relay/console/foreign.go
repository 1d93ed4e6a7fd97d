package console

import (
	"fmt"
	"mime"
	"strings"
	"unicode"
	"unicode/utf8"
)

// foreign is text that came with a mail or from a client. A template shows it
// by String, so that none can forget to make it safe to look at; html/template
// escapes it besides.
type foreign string

// String shows control characters, octets that are no UTF-8, and characters
// that steer the direction of text or take no room, as escapes. Line ends and
// tabs stay.
func (f foreign) String() string {
	s := string(f)
	var b strings.Builder
	for i := 0; i < len(s); {
		c, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case c == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case c == '\r' && strings.HasPrefix(s[i:], "\r\n"):
			b.WriteByte('\n')
			size = 2
		case c == '\t' || c == '\n':
			b.WriteRune(c)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		case !unicode.IsGraphic(c), unicode.Is(unicode.Cf, c), c == 0x2028, c == 0x2029, c == 0x3164, c == 0x115f, c == 0x1160:
			fmt.Fprintf(&b, `\u{%x}`, c)
		default:
			b.WriteRune(c)
		}
		i += size
	}
	return b.String()
}

// subject decodes the encoded words of a Subject, where they can be.
func subject(raw string) foreign {
	d := mime.WordDecoder{}
	if s, err := d.DecodeHeader(raw); err == nil {
		return foreign(s)
	}
	return foreign(raw)
}

func addresses[T fmt.Stringer](list []T) foreign {
	var all []string
	for _, a := range list {
		all = append(all, a.String())
	}
	return foreign(strings.Join(all, ", "))
}
