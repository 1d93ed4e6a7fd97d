package address

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// The words, blanks and comments of RFC 5322 section 3.2, as parser reads them.

const blanks = " \t\r\n"

func trimBlank(v []byte) []byte { return bytes.Trim(v, blanks) }

func trimLeft(v []byte) []byte { return bytes.TrimLeft(v, blanks) }

func leading(v []byte) []byte { return v[:len(v)-len(trimLeft(v))] }

// word reads a quoted string or a run of atom characters and dots.
func (p *parser) word() (bare bool, err error) {
	lo := p.i
	if p.at('"') {
		err := p.quoted()
		p.masked = p.masked || p.i == lo+len(`""`)
		return false, err
	}
	switch {
	case p.atoms():
		p.masked = p.masked || len(bytes.Trim(p.value[lo:p.i], ".")) == 0
		return true, nil
	case p.at('@'):
		return false, errAt
	case !p.end() && isControl(p.value[p.i]):
		return false, errControl
	}
	return false, errSyntax
}

// atoms passes over a run of atom characters and dots; false if there is none.
func (p *parser) atoms() bool {
	lo := p.i
	for !p.end() && isWordByte(p.value[p.i]) {
		p.i++
	}
	return p.i > lo
}

// quoted passes over a quoted string.
func (p *parser) quoted() error { return p.enclosed('"', '"') }

// comment passes over a comment. Comments nest; only their depth is counted.
func (p *parser) comment() error {
	lo := p.i
	if err := p.enclosed('(', ')'); err != nil {
		return err
	}
	return p.note(lo+1, p.i-1)
}

// enclosed passes over what begins with opening, here, and ends with closing.
func (p *parser) enclosed(opening, closing byte) error {
	at, escaped := false, false
	for depth := 0; !p.end(); p.i++ {
		switch c := p.value[p.i]; {
		case c == closing && depth > 0:
			if depth--; depth == 0 {
				p.i++
				p.masked = p.masked || at && escaped
				return nil
			}
		case c == opening:
			depth++
		case c == '@':
			at = opening == '"'
			p.hidden = p.hidden || at
		case c == '\n':
			p.folded = true
		case c == '\\':
			escaped = true
			if !p.escape() {
				return errQuote
			}
		case isControl(c) && c != '\r':
			return errControl
		}
	}
	return errQuote
}

// escape passes over a backslash and what it quotes. After half of a UTF-8
// character it may be the second byte of one in Shift-JIS or GBK, and quote
// nothing.
func (p *parser) escape() bool {
	if r, n := utf8.DecodeLastRune(p.value[:p.i]); r == utf8.RuneError && n == 1 {
		return false
	}
	p.i++
	return !p.end() && !isControl(p.value[p.i])
}

// splitsQuotes finds an encoded word with a quote or a parenthesis in it that
// is not a word of its own to readers that look for encoded words first, as one
// of Python's does: they see no quoted string where we see one, or see it end
// later.
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

// isEven reports whether word can be left out without a change to the quoted
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

// isEncodedWord finds what an eager reader would decode before it looks for
// the address.
func isEncodedWord(text []byte) bool { return bytes.Contains(text, []byte("=?")) }

// isWordInAddress finds an encoded word, or the end of one that such a reader sees
// begin in the name before the address, as in `=?utf-8?q?a <b?=@c.example>`.
func isWordInAddress(text []byte) bool {
	return isEncodedWord(text) || bytes.Contains(text, []byte("?="))
}

// skip passes over blanks, folds and comments.
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
	for !p.end() && strings.IndexByte(blanks, p.value[p.i]) >= 0 {
		p.i++
	}
}

// isWordByte takes 8-bit characters for letters, whatever their character set.
func isWordByte(c byte) bool {
	return c > ' ' && c != 0x7f && strings.IndexByte(`()<>[]:;@\,"`, c) < 0
}

func isControl(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }
