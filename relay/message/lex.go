package message

import (
	"bytes"
	"strings"
	"unicode/utf8"
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
		return true, nil
	case p.at('@'):
		return false, errAt
	case !p.end() && isControl(p.value[p.i]):
		return false, errControl
	}
	return false, errSyntax
}

// quoted passes a quoted string.
func (p *parser) quoted() error {
	for p.i++; !p.end(); p.i++ {
		switch c := p.value[p.i]; {
		case c == '"':
			p.i++
			return nil
		case c == '@':
			p.hidden = true
		case c == '\n':
			p.folded = true
		case c == '\\':
			if !p.escape() {
				return errQuote
			}
		case isControl(c) && c != '\r':
			return errControl
		}
	}
	return errQuote
}

// escape passes a backslash and what it quotes. Behind half a letter of UTF-8
// it may be the other half of one of Shift-JIS or GBK, and quote nothing.
func (p *parser) escape() bool {
	if r, n := utf8.DecodeLastRune(p.value[:p.i]); r == utf8.RuneError && n == 1 {
		return false
	}
	p.i++
	return !p.end() && !isControl(p.value[p.i])
}

// splitsQuotes finds an encoded word with a quote or a parenthesis in it that
// is no word of its own to readers that look for encoded words first, as one of
// Python's does: what is a quoted string to them is none to us, or ends later.
func splitsQuotes(v []byte) bool {
	for {
		start := bytes.Index(v, []byte("=?"))
		if start < 0 {
			return false
		}
		v = v[start+2:]
		_, rest, _ := bytes.Cut(v, []byte{'?'})
		_, rest, _ = bytes.Cut(rest, []byte{'?'})
		_, rest, ended := bytes.Cut(rest, []byte("?="))
		if !ended {
			return false
		}
		if !isEven(v[:len(v)-len(rest)]) {
			return true
		}
		v = rest
	}
}

// isEven tells whether word can be left out without a change to the quoted
// strings and comments around it.
func isEven(word []byte) bool {
	quotes := bytes.Count(word, []byte{'"'})
	open, closed := bytes.Count(word, []byte{'('}), bytes.Count(word, []byte{')'})
	switch {
	case quotes+open+closed == 0:
		return true
	case bytes.IndexByte(word, '\\') >= 0:
		return false
	}
	return quotes == 0 && open == closed || open+closed == 0 && quotes%2 == 0
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
		case c == '\n':
			p.folded = true
		case c == '\\':
			if !p.escape() {
				return errQuote
			}
		case isControl(c) && c != '\r':
			return errControl
		}
	}
	return errQuote
}

// isWordByte takes 8-bit characters for letters, whatever their character set.
func isWordByte(c byte) bool {
	return c > ' ' && c != 0x7f && strings.IndexByte(`()<>[]:;@\,"`, c) < 0
}

func isControl(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }
