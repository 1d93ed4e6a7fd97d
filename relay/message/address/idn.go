package address

import (
	"bytes"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"graphrelay/relay/envelope"
)

// isWide reports whether the domain of an address as written has letters beyond
// ASCII.
func isWide(text []byte) bool {
	at := bytes.LastIndexByte(text, '@')
	return at >= 0 && !envelope.IsASCII(text[at+1:])
}

// ASCIIDomains writes the domains of a list in A-labels; false if there is
// nothing to write, or the list has no single reading.
func ASCIIDomains(value []byte) ([]byte, bool) {
	if envelope.IsASCII(value) {
		return nil, false
	}
	return replaced(value, func(l *List, b box) (lo, hi int, by []byte) {
		if b.wide && !b.addr.IsZero() && !b.route {
			by = l.written(b)
		}
		return b.lo, b.hi, by
	})
}

// differsByReader reports whether readers map a wide domain to different hosts.
// The sharp s, the final sigma and the joiners are letters of their own to IDNA
// 2008, and something else, or nothing, to IDNA 2003. Letters that only IDNA
// makes ASCII, such as the fullwidth ones and the Kelvin sign, are not ASCII to
// readers that compare domains as they are written.
func (l *List) differsByReader(b box) bool {
	if !b.wide {
		return false
	}
	text := l.text(b)
	domain := string(text[bytes.LastIndexByte(text, '@')+1:])
	old := idna.New(idna.MapForLookup(), idna.Transitional(true), idna.BidiRule(), idna.StrictDomainName(false))
	ascii, err := old.ToASCII(domain)
	if err != nil || ascii != b.addr.Domain() {
		return true
	}
	shown, err := idna.ToUnicode(ascii)
	return err != nil || wideLetters(shown) != wideLetters(domain)
}

func wideLetters(s string) int {
	n := 0
	for _, r := range s {
		if r >= utf8.RuneSelf {
			n++
		}
	}
	return n
}
