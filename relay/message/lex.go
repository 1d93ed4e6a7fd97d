package message

import (
	"bytes"
	"strings"
)

// The words, blanks and comments of RFC 5322 section 3.2, as parser reads them.

// word reads a quoted string or a run of atom characters and dots.
func (p *parser) word() (bare bool, err error) {
	if p.at('"') {
		return false, p.quoted()
	}
	lo := p.i
	for !p.end() && isWordByte(p.value[p.i]) {
		p.i++
	}
	switch {
	case p.i > lo:
		p.open.pass(p.value[lo:p.i])
		return true, nil
	case p.at('@'):
		return false, errAt
	case !p.end() && isControl(p.value[p.i]):
		return false, errControl
	}
	return false, errSyntax
}

// quoted passes a quoted string. Readers differ about where it ends if it begins
// within an encoded word, if it is folded, and if a backslash comes behind an
// 8-bit octet, which is half a letter of Shift-JIS or GBK to some: what it hides
// from us is then looked at like a comment.
func (p *parser) quoted() error {
	lo, doubtful := p.i+1, p.open > 0
	for p.i++; !p.end(); p.i++ {
		switch c := p.value[p.i]; {
		case c == '"':
			p.i++
			if doubtful {
				return p.note(lo, p.i-1)
			}
			return nil
		case c == '\r':
			doubtful = true
		case c == '\\':
			doubtful = doubtful || p.value[p.i-1] >= 0x80
			if p.i++; p.end() || isControl(p.value[p.i]) {
				return errQuote
			}
		case isControl(c) && c != '\n':
			return errControl
		}
	}
	return errQuote
}

// openWord counts the question marks of an encoded word of RFC 2047 that has
// begun and not ended: =?charset?encoding?text?= has four. Programs write some
// with blanks in it, so that it goes on in the next word.
type openWord int

func (o *openWord) pass(word []byte) {
	if *o == 0 && !isEncodedWord(word) {
		return
	}
	*o += openWord(bytes.Count(word, []byte{'?'}))
	if *o >= 4 && bytes.HasSuffix(word, []byte("?=")) {
		*o = 0
	}
}

// skip passes blanks, folds and comments. Comments nest; their depth is only
// counted.
func (p *parser) skip() error {
	for {
		p.blank()
		if !p.at('(') {
			return nil
		}
		if err := p.comment(); err != nil {
			return err
		}
	}
}

func (p *parser) blank() {
	for !p.end() && strings.IndexByte(" \t\r\n", p.value[p.i]) >= 0 {
		p.i++
	}
}

func (p *parser) comment() error {
	lo, depth := p.i, 0
	for ; !p.end(); p.i++ {
		switch c := p.value[p.i]; {
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth == 0 {
				p.i++
				return p.note(lo+1, p.i-1)
			}
		case c == '\\':
			if p.i++; p.end() || isControl(p.value[p.i]) {
				return errQuote
			}
		case isControl(c) && c != '\r' && c != '\n':
			return errControl
		}
	}
	return errQuote
}

// isWordByte takes 8-bit characters for letters: ASCII structure is the same
// whatever their character set.
func isWordByte(c byte) bool {
	return c > ' ' && c != 0x7f && strings.IndexByte(`()<>[]:;@\,"`, c) < 0
}

func isControl(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }
