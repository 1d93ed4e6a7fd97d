package message

import (
	"bytes"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// isWide tells whether the domain of an address as written has other letters
// than ASCII.
func isWide(text []byte) bool {
	for _, c := range text[bytes.LastIndexByte(text, '@')+1:] {
		if c >= 0x80 {
			return bytes.IndexByte(text, '@') >= 0
		}
	}
	return false
}

// differsByReader tells whether readers map a wide domain to different hosts.
// The sharp s, the final sigma and the joiners are letters of their own to IDNA
// 2008, and something else, or nothing, to IDNA 2003. Letters that only IDNA
// makes ASCII, such as the fullwidth ones and the Kelvin sign, are no ASCII to
// whoever compares domains as they are written.
func (l *list) differsByReader(b box) bool {
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
