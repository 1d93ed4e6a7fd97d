package sendmail

import (
	"slices"
	"strings"

	"graphrelay/relay/envelope"
)

// List is what was found in one or more address lists.
type List struct {
	Good []envelope.Address // without duplicates; may lack a domain ("root")
	Bad  []string           // in the place of an address, but not one
	seen map[string]bool
}

// AddHeader reads an address list of RFC 5322 section 3.4, and more: people
// write these. Names, comments, groups and source routes are dropped.
func (l *List) AddHeader(s string) { l.read(s, false) }

// AddArgument reads an address list of a command line, where spaces separate
// addresses, too: "a@example.org b@example.org".
func (l *List) AddArgument(s string) { l.read(s, true) }

func (l *List) read(s string, blanks bool) {
	r := reader{s: s}
	for r.more() {
		r.entry()
		l.take(&r, blanks)
	}
}

// take turns the words between two separators into recipients.
func (l *List) take(r *reader, blanks bool) {
	switch {
	case r.angle:
		l.add(r.address)
	case len(r.words) == 1:
		l.add(r.words[0])
	case blanks || !slices.ContainsFunc(r.words, hasNoAt): // no name, but an old list without commas
		for _, w := range r.words {
			l.add(w)
		}
	default: // a name without an address
		l.Bad = append(l.Bad, strings.Join(r.words, " "))
	}
}

func hasNoAt(word string) bool { return !strings.Contains(word, "@") }

func (l *List) add(s string) {
	if strings.HasPrefix(s, "@") { // <@relay.example:user@example.org>
		if _, after, ok := strings.Cut(s, ":"); ok {
			s = after
		}
	}
	a, err := envelope.ParseRecipient(s)
	if err != nil || strings.HasPrefix(s, "=?") {
		l.Bad = append(l.Bad, s)
		return
	}
	if l.seen == nil {
		l.seen = make(map[string]bool)
	}
	if !l.seen[a.Key()] {
		l.seen[a.Key()] = true
		l.Good = append(l.Good, a)
	}
}

// reader cuts an address list into entries. It never fails: what is not closed
// ends with the text.
type reader struct {
	s string
	i int

	words   []string // of the current entry, quotes kept, comments dropped
	angle   bool     // there was <address>
	address string
}

func (r *reader) more() bool { return r.i < len(r.s) }

// entry reads up to a separator: a comma, a semicolon or the end.
func (r *reader) entry() {
	r.words, r.angle, r.address = nil, false, ""
	glue := false // the next word continues the last one: "user" @ "example.org"
	for r.more() {
		switch c := r.s[r.i]; c {
		case ',', ';':
			r.i++
			return
		case ' ', '\t', '\r', '\n':
			r.i++
		case '(':
			r.comment()
		case '<':
			r.angle, r.address = true, r.inAngle()
		case ':': // the words were the name of a group
			r.i++
			r.words = nil
		default:
			w := r.word()
			if n := len(r.words); n > 0 && (glue || w[0] == '@') {
				r.words[n-1] += w
			} else {
				r.words = append(r.words, w)
			}
			glue = w[len(w)-1] == '@'
		}
	}
}

// word reads a run of text, in which quoted strings and address literals may
// contain separators. It reads at least one byte.
func (r *reader) word() string {
	start := r.i
	for r.more() {
		switch c := r.s[r.i]; {
		case c == '"':
			r.until('"')
		case c == '[':
			r.until(']')
		case c == '\\':
			r.i += 2
		case strings.IndexByte(" \t\r\n,;:<(", c) >= 0 && r.i > start:
			return r.s[start:r.i]
		default:
			r.i++
		}
	}
	r.i = len(r.s)
	return r.s[start:]
}

// until goes from an opening character past the closing one.
func (r *reader) until(end byte) {
	for r.i++; r.more(); r.i++ {
		switch r.s[r.i] {
		case '\\':
			r.i++
		case end:
			r.i++
			return
		}
	}
	r.i = len(r.s)
}

func (r *reader) inAngle() string {
	start := r.i + 1
	for r.i++; r.more() && r.s[r.i] != '>'; {
		if r.s[r.i] == '"' {
			r.until('"')
		} else {
			r.i++
		}
	}
	text := r.s[start:r.i]
	if r.more() {
		r.i++
	}
	return strings.Trim(text, " \t\r\n")
}

func (r *reader) comment() {
	for depth := 0; r.more(); {
		c := r.s[r.i]
		r.i++
		switch c {
		case '\\':
			r.i = min(r.i+1, len(r.s))
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return
			}
		}
	}
}
