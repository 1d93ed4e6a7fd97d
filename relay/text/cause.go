package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxHeadline is how many characters a headline has at most.
const MaxHeadline = 100

// Cause is what is wrong, in the order in which an administrator reads it. As an
// error or in a log, a history or a store it is one line, "Headline; remedy
// [detail]", and ReadCause takes that line apart again. Neither headline nor
// remedy contains " [", and the headline no "; ".
type Cause struct {
	Headline string // what is wrong, in the administrator's words
	Remedy   string // what to do; may be empty
	Detail   string // the service's own words, IDs and numbers; may be empty
}

// String is the cause in one line.
func (c Cause) String() string {
	s := c.Headline
	if c.Remedy != "" {
		s += "; " + c.Remedy
	}
	if c.Detail != "" {
		s += " [" + c.Detail + "]"
	}
	return s
}

func (c Cause) Error() string { return c.String() }

// ReadCause takes the line of a cause apart. Of any other text it makes a headline
// of what precedes the first semicolon; one that is too long is cut, and the detail
// has it whole.
func ReadCause(line string) Cause {
	rest, detail, _ := strings.Cut(Line(line), " [")
	c := Cause{Detail: strings.TrimSuffix(detail, "]")}
	c.Headline, c.Remedy, _ = strings.Cut(rest, "; ")
	c.Headline = capital(strings.TrimSpace(c.Headline))
	if utf8.RuneCountInString(c.Headline) > MaxHeadline {
		c.Detail = strings.TrimSpace(c.Headline + " " + c.Detail)
		c.Headline = string([]rune(c.Headline)[:MaxHeadline-3]) + "..."
	}
	return c
}

// capital makes a first word that is a plain word begin with a capital letter; a
// key, a name or an address stays as it is.
func capital(s string) string {
	word, _, _ := strings.Cut(s, " ")
	if word == "" || strings.ContainsFunc(word, func(r rune) bool { return r < 'a' || r > 'z' }) {
		return s
	}
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:]
}
