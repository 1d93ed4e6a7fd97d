package message

import (
	"bytes"

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

// differsByReader tells whether readers map a wide domain to different hosts:
// the sharp s, the final sigma and the joiners are letters of their own to IDNA
// 2008, and something else, or nothing, to IDNA 2003.
func (l *list) differsByReader(b box) bool {
	if !b.wide {
		return false
	}
	text := l.text(b)
	old := idna.New(idna.MapForLookup(), idna.Transitional(true), idna.BidiRule(), idna.StrictDomainName(false))
	ascii, err := old.ToASCII(string(text[bytes.LastIndexByte(text, '@')+1:]))
	return err != nil || ascii != b.addr.Domain()
}
