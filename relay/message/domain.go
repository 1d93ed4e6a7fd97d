package message

import (
	"bytes"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"graphrelay/relay/envelope"
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

// authors writes the domains of who wrote or sent the message as Microsoft 365
// keeps those of its mailboxes and as every reader knows them: nothing says that
// Exchange finds `a@bücher.example` to be its `a@xn--bcher-kva.example`, and
// where it does not it refuses the sender. Reply-To stays as it is.
func (p *plan) authors() {
	for i, f := range p.h.fields {
		switch f.kind {
		case kindFrom, kindSender, kindResentFrom, kindResentSender:
			if v, ok := asciiDomains(p.h.value(f)); ok {
				p.change(i, bytes.Join([][]byte{p.h.name(f), {':'}, v, []byte("\r\n")}, nil))
			}
		}
	}
}

// asciiDomains writes the domains of a list in A-labels; false where there is
// nothing to write, or the list has no single reading.
func asciiDomains(v []byte) ([]byte, bool) {
	if envelope.IsASCII(v) {
		return nil, false
	}
	return replaced(v, func(l *list, b box) (lo, hi int, by []byte) {
		if b.wide && !b.addr.IsZero() && !b.route {
			by = l.written(b)
		}
		return b.lo, b.hi, by
	})
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
