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
// encoded words, 8-bit text, no semicolon before the first parameter. It returns
// the value and the names in lower case. A parameter that is given again is under
// its name with an asterisk.
func readParams(field string) (value string, params map[string]string) {
	c := cutter{s: field}
	head, _ := c.next()
	value = strings.TrimRight(strings.ToLower(firstWord(head)), ",")
	plain, split := map[string]string{}, map[string][]section{}
	add := func(one string) {
		name, text, ok := strings.Cut(one, "=")
		if !ok {
			return
		}
		name = strings.ToLower(strings.TrimSpace(name))
		text = unquote(strings.TrimSpace(text))
		if base, rest, extended := strings.Cut(name, "*"); extended {
			split[base] = append(split[base], newSection(rest, text))
		} else if _, seen := plain[name]; !seen {
			plain[name] = plainParam(text)
		} else {
			plain[name+"*"] = text
		}
	}
	if strings.Contains(value, "=") { // there is no value
		value = ""
		add(head)
	} else if _, late, ok := strings.Cut(strings.TrimSpace(head), " "); ok {
		add(late)
	}
	for n := 0; n < maxParams; n++ {
		one, ok := c.next()
		if !ok {
			break
		}
		add(one)
	}
	for name, sections := range split { // RFC 2231 takes precedence if both are given
		if text, ok := joinSections(sections); ok {
			plain[name] = text
		}
	}
	return value, plain
}

// plainParam decodes a value without an asterisk at its name. Raw 8-bit text stays:
// what it is in, others know. Some programs forget the asterisk.
func plainParam(text string) string {
	if label, rest, ok := strings.Cut(text, "''"); ok && strings.Contains(rest, "%") && charset.Known(label) {
		return charset.ToUTF8(unpercent(rest), label)
	}
	if !strings.Contains(text, "=?") {
		return text
	}
	return charset.DecodeWords(text)
}

// cutter cuts a field at the semicolons outside of quotes. A quote that does not
// end is an ordinary character, as are those that follow it.
type cutter struct {
	s      string
	open   bool // a quote does not end
	commas bool // it cuts at these, too
}

// next returns the next piece; false at the end.
func (c *cutter) next() (string, bool) {
	if c.s == "" {
		return "", false
	}
	for i := 0; i < len(c.s); i++ {
		if c.s[i] == ';' || c.commas && c.s[i] == ',' {
			one := c.s[:i]
			c.s = c.s[i+1:]
			return one, true
		}
		if c.s[i] == '"' && !c.open {
			end := closingQuote(c.s[i+1:])
			if c.open = end < 0; !c.open {
				i += 1 + end
			}
		}
	}
	one := c.s
	c.s = ""
	return one, true
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

// joinSections puts the pieces together in order, whatever number the first one
// has. Pieces that are not encoded may hold encoded words, cut anywhere.
func joinSections(sections []section) (string, bool) {
	sort.SliceStable(sections, func(i, j int) bool { return sections[i].number < sections[j].number })
	var b strings.Builder
	label, last, encoded := "", -1, false
	for _, s := range sections {
		if s.number <= last {
			continue
		}
		text := s.text
		if s.encoded {
			if last < 0 {
				if parts := strings.SplitN(text, "'", 3); len(parts) == 3 {
					label, text = parts[0], parts[2]
				}
			}
			text, encoded = unpercent(text), true
		}
		b.WriteString(text)
		last = s.number
	}
	if encoded && label != "" {
		return charset.ToUTF8(b.String(), label), true
	}
	return charset.DecodeWords(b.String()), last >= 0
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
