package parts

import (
	"encoding/hex"
	"sort"
	"strconv"
	"strings"

	"graphrelay/relay/message/charset"
)

// maxParams bounds the parameters of one field.
const maxParams = 100

// readParams reads the value of Content-Type or Content-Disposition with its
// parameters, in the forms of RFC 2045 and RFC 2231 and in those that programs
// write instead: values with blanks and without quotes, quotes that do not end,
// encoded words, 8-bit text. It returns the value and the names in lower case.
func readParams(field string) (value string, params map[string]string) {
	s := field
	value, s = cutParam(s)
	value = strings.ToLower(firstWord(value))
	plain, split := map[string]string{}, map[string][]section{}
	for n := 0; s != "" && n < maxParams; n++ {
		var one string
		one, s = cutParam(s)
		name, text, ok := strings.Cut(one, "=")
		if !ok {
			continue
		}
		name = strings.ToLower(strings.TrimSpace(name))
		text = strings.TrimSpace(text)
		if base, rest, extended := strings.Cut(name, "*"); extended {
			split[base] = append(split[base], newSection(rest, unquote(text)))
		} else if _, seen := plain[name]; !seen {
			plain[name] = charset.DecodeWords(unquote(text))
		}
	}
	for name, sections := range split { // RFC 2231 takes precedence if both are given
		if text, ok := joinSections(sections); ok {
			plain[name] = text
		}
	}
	return value, plain
}

// cutParam cuts at the next semicolon outside of quotes. A quote that does not end
// is an ordinary character.
func cutParam(s string) (param, rest string) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ';':
			return s[:i], s[i+1:]
		case '"':
			if end := closingQuote(s[i+1:]); end >= 0 {
				i += 1 + end
			}
		}
	}
	return s, ""
}

// closingQuote finds the quote that ends a quoted string.
func closingQuote(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// unquote removes the quotes. A backslash that quotes nothing special stays: some
// programs write whole Windows paths.
func unquote(s string) string {
	if !strings.HasPrefix(s, `"`) {
		return s
	}
	s = s[1:]
	if end := closingQuote(s); end >= 0 {
		s = s[:end]
	}
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(s)
}

// section is one piece of a parameter by RFC 2231.
type section struct {
	number  int
	encoded bool
	text    string
}

// newSection reads what follows the asterisk of a name: "", "0", "0*".
func newSection(rest, text string) section {
	if rest == "" {
		return section{encoded: true, text: text}
	}
	digits, encoded := strings.CutSuffix(rest, "*")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 {
		n = -1
	}
	return section{number: n, encoded: encoded, text: text}
}

// joinSections puts the pieces together in order, up to a gap.
func joinSections(sections []section) (string, bool) {
	sort.SliceStable(sections, func(i, j int) bool { return sections[i].number < sections[j].number })
	var b strings.Builder
	label, next := "", 0
	for _, s := range sections {
		if s.number != next {
			continue
		}
		text := s.text
		if s.encoded {
			if next == 0 {
				if parts := strings.SplitN(text, "'", 3); len(parts) == 3 {
					label, text = parts[0], parts[2]
				}
			}
			text = unpercent(text)
		}
		b.WriteString(text)
		next++
	}
	return charset.ToUTF8(b.String(), label), next > 0
}

func unpercent(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) {
			if decoded, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				c = decoded[0]
				i += 2
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}
