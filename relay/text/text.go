// Package text prepares foreign text (what clients, messages and servers wrote)
// for people: in logs, tables, pages, reports and error messages. There is one
// way to do it, so that a character that one of them reveals is never invisible
// in another.
//
// A character that is invisible, that controls a terminal or that changes the
// direction of text is shown as an escape: \n and \t for the two best known,
// \xNN for a byte that is not UTF-8, \uNNNN or \UNNNNNNNN for the rest. The
// package must not know who shows the text; a page still escapes it for HTML.
package text

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line shows s on one line, whatever it contains.
func Line(s string) string { return Cut(s, math.MaxInt) }

// Lines is Line for text of several lines: line ends stay (CRLF becomes LF),
// and so do tabs.
func Lines(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	var b strings.Builder
	for i, r := range s {
		if r == '\n' || r == '\t' {
			b.WriteRune(r)
			continue
		}
		b.WriteString(escape(r, s[i:]))
	}
	return b.String()
}

// Cut is Line, with "..." in place of what exceeds limit bytes.
func Cut(s string, limit int) string {
	if len(s) <= limit && plain(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		if b.Len() >= limit {
			return b.String() + "..."
		}
		b.WriteString(escape(r, s[i:]))
	}
	return b.String()
}

// Visible reports whether r shows on a page or a terminal as it is.
func Visible(r rune) bool {
	return unicode.IsPrint(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) && r != brailleBlank
}

// brailleBlank is a symbol to Unicode, and nothing to the eye.
const brailleBlank = 0x2800

// plain reports whether s is ASCII that needs no escape, as nearly all text is.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

func escape(r rune, at string) string {
	switch {
	case r == utf8.RuneError && !strings.HasPrefix(at, string(utf8.RuneError)):
		return fmt.Sprintf(`\x%02x`, at[0])
	case Visible(r):
		return string(r)
	case r == '\n':
		return `\n`
	case r == '\t':
		return `\t`
	case r > 0xffff:
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// WithoutTokens replaces every JWT, the form that access tokens and assertions
// of Entra have, by "[token]".
func WithoutTokens(s string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, "eyJ")
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i] + "[token]")
		s = strings.TrimLeft(s[i:], tokenBytes)
	}
}

const tokenBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.="

// Foreign is Cut for what a server said: tokens are left out, and line ends are
// blanks, for servers write paragraphs.
func Foreign(s string, limit int) string {
	s = strings.Trim(s[:min(len(s), 8*limit)], " \r\n")
	return Cut(WithoutTokens(lineEnds.Replace(s)), limit)
}

var lineEnds = strings.NewReplacer("\r\n", " ", "\n", " ")

// Grouped writes a number with a comma between each three digits.
func Grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
