package message

import (
	"bytes"
	"fmt"
	"strings"
)

// What to do with a line that is neither field, fold nor empty. Readers differ
// about it: to some it ends the header, others skip it, or drop what follows.

// notAField deals with such a line. As the message's first line it means that
// there is no header at all, and as body it is harmless. Further down it is
// mended where only one reading is likely, otherwise refused.
func (s *scanner) notAField(start int, line []byte, name int) (done bool, err error) {
	switch {
	case len(s.h.fields) > 0 && s.h.continues(line):
		s.h.raw = append(s.h.raw, 0)
		copy(s.h.raw[start+1:], s.h.raw[start:])
		s.h.raw[start] = ' '
		s.h.fields[len(s.h.fields)-1].end = int32(len(s.h.raw))
		s.h.notes.MissingFold = true
		return false, s.checkSize()
	case len(s.h.fields) > 0:
		return true, s.text(start, line, refuse(fmt.Sprintf("Header line %d %s", s.lines, faultOf(line, name))))
	case IsMboxFrom(line):
		s.drop(start)
		s.h.notes.MboxFrom = true
		return false, nil
	case beginsFrom(line):
		s.from = s.cutOff(start)
		return false, nil
	}
	s.noHeader(start)
	return true, nil
}

// text ends the header at a line that is text, as if there were the empty line
// that somebody forgot. It is refused if it may be a field, or if a line behind
// it is one: Body looks for that up to the next empty line.
func (s *scanner) text(start int, line []byte, refusal error) error {
	if hasColon(line) || beginsFrom(line) {
		return refusal
	}
	s.ifField = refusal
	s.h.notes.NoEmptyLine = true
	s.pushBack(s.cutOff(start))
	return nil
}

func (s *scanner) noHeader(start int) {
	s.h.notes.NoHeader = true
	s.pushBack(s.cutOff(start))
}

// isLongText reports whether the line at start is longer than a header may be, but
// begins no header. It looks at no more than that, of which all is there however
// the line arrives.
func (s *scanner) isLongText(start int) bool {
	line := s.h.raw[start:]
	if len(line) <= s.opt.MaxHeader || start > 0 || s.from != nil || isBlank(line[0]) ||
		beginsFrom(line[:s.opt.MaxHeader]) {
		return false
	}
	return !IsField(line[:s.opt.MaxHeader])
}

// cutOff takes the line at start out of the header, and returns it as it came.
func (s *scanner) cutOff(start int) []byte {
	line := bytes.Clone(s.h.raw[start:])
	if s.was != nil {
		line, s.nul = append(s.was, "\r\n"...), s.nulBefore
	}
	if s.cut && len(line) > 0 {
		line = line[:len(line)-2]
	}
	s.h.raw = s.h.raw[:start]
	return line
}

func (s *scanner) pushBack(lines []byte) { s.in.rest = append(lines, s.in.rest...) }

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// hasColon reports whether a line has a colon that is not part of a time of day.
func hasColon(line []byte) bool {
	digit := func(i int) bool { return i >= 0 && i < len(line) && line[i] >= '0' && line[i] <= '9' }
	for i, c := range line {
		if c == ':' && !(digit(i-1) && digit(i+1)) {
			return true
		}
	}
	return false
}

func faultOf(line []byte, name int) string {
	switch {
	case bytes.IndexByte(line, ':') < 0:
		return "has no colon"
	case name == 0 && line[0] == ':':
		return "has no field name"
	case isBlank(line[name]):
		return "has a blank in the field name"
	}
	return "has a field name that is not printable ASCII"
}

// dropMark drops the byte order mark that editors put before a header.
func (s *scanner) dropMark(start int) {
	line := s.h.raw[start:]
	rest, found := bytes.CutPrefix(line, []byte("\xef\xbb\xbf"))
	if s.lines == 1 && found && (IsField(rest) || beginsFrom(rest)) {
		s.h.raw = append(s.h.raw[:start], rest...)
		s.h.notes.ByteOrderMark = true
	}
}

func beginsFrom(line []byte) bool {
	return bytes.HasPrefix(bytes.TrimPrefix(line, []byte(">")), []byte("From "))
}

const days = " Sun Mon Tue Wed Thu Fri Sat "

// IsMboxFrom recognizes the separator of mbox files by its date, so that a text
// that begins with the word From is not taken for one.
func IsMboxFrom(line []byte) bool {
	if !beginsFrom(line) {
		return false
	}
	const months = " Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec "
	words := strings.Fields(string(line))
	for i := 1; i+1 < len(words); i++ {
		if strings.Contains(days, " "+words[i]+" ") && strings.Contains(months, " "+words[i+1]+" ") {
			return true
		}
	}
	return false
}

// resolve decides about a first line "From ..." without such a date, by the line
// at start; nil for line means that none follows. Before a field it is dropped if
// it looks like a separator: some programs write one without a date, or with
// another. Otherwise it is text, if it looks like that.
func (s *scanner) resolve(start int, line []byte) error {
	if s.from == nil {
		return nil
	}
	words := strings.Fields(string(s.from[:min(len(s.from), 500)]))
	sure := len(words) > 1 && (words[1] == "-" || strings.Contains(strings.TrimRight(words[1], ":,;."), "@"))
	likely := sure || len(words) <= 2 || words[1] == "MAILER-DAEMON" ||
		strings.ContainsAny(words[2], "0123456789") || strings.Contains(days, " "+strings.Trim(words[2], ",")+" ")
	field := IsField(line)
	switch {
	case field && likely:
		s.h.notes.MboxFrom = true
	case field, sure:
		return refuse("Message begins with a line From that is neither header field nor mbox separator")
	default:
		from := s.from
		s.noHeader(start)
		s.pushBack(from)
	}
	s.from = nil
	return nil
}

// continues reports whether line belongs to the last field and lacks only the
// blank of a fold: parameters behind a semicolon, or message IDs.
func (h *Header) continues(line []byte) bool {
	f := h.fields[len(h.fields)-1]
	is := func(a, b string) bool { return equalFold(h.name(f), a) || equalFold(h.name(f), b) }
	switch {
	case is("Content-Type", "Content-Disposition"):
		return bytes.HasSuffix(trimBlank(h.value(f)), []byte(";")) && areParameters(line)
	case is("References", "In-Reply-To"):
		return areMessageIDs(line)
	}
	return false
}

// areParameters recognizes name=value, or several with semicolons between them,
// where each value is a word or in quotes.
func areParameters(line []byte) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789*-"
	line = trimBlank(bytes.TrimSuffix(trimBlank(line), []byte(";")))
	for more := true; more; {
		name, rest, found := bytes.Cut(trimBlank(line), []byte("="))
		if !found || len(name) == 0 || len(bytes.Trim(name, letters)) > 0 {
			return false
		}
		value, ended := rest, false
		if inner, quoted := bytes.CutPrefix(rest, []byte{'"'}); quoted {
			if value, rest, ended = bytes.Cut(inner, []byte{'"'}); !ended || bytes.IndexByte(value, '\\') >= 0 {
				return false
			}
			if rest, more = bytes.CutPrefix(trimBlank(rest), []byte{';'}); !more && len(rest) > 0 {
				return false
			}
		} else if value, rest, more = bytes.Cut(rest, []byte{';'}); len(trimBlank(value)) == 0 ||
			bytes.ContainsAny(trimBlank(value), " \t\",()<>@\\") {
			return false
		}
		line = rest
	}
	return true
}

func areMessageIDs(line []byte) bool {
	words := 0
	for word := range bytes.FieldsSeq(line) {
		if len(word) < 3 || word[0] != '<' || bytes.IndexByte(word, '>') != len(word)-1 {
			return false
		}
		words++
	}
	return words > 0 // a form feed is no fold that everybody sees
}
