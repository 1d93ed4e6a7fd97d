package wire

import (
	"errors"
	"strconv"
	"strings"

	"graphrelay/relay/envelope"
)

// ForLibrary appends the line that go-smtp reads in place of c.
func (c Command) ForLibrary(b []byte) []byte {
	arg := c.Arg
	switch c.Verb {
	case "MAIL", "RCPT":
		arg = clampSize(markBarePath(arg))
	case "BDAT":
		// The connection itself frames chunks; to the library, a message of
		// chunks is one of DATA.
		return append(b, "DATA\r\n"...)
	}
	b = append(b, c.Verb...)
	if arg != "" {
		b = append(append(b, ' '), arg...)
	}
	return append(b, '\r', '\n')
}

// noDomain stands for the missing domain of a path such as <root>, which
// go-smtp's parser refuses for all but <postmaster>. No client can send it:
// ParseCommand refuses control characters.
const noDomain = "\x01"

// markBarePath gives the path in "TO:<root>" the domain noDomain; every other argument
// comes back unchanged, including faulty ones: go-smtp and Mailbox judge those.
func markBarePath(arg string) string {
	start := pathStart(arg)
	end, bare := scanPath(arg[start:])
	if !bare || !strings.Contains(arg, ":") {
		return arg
	}
	return arg[:start+end] + "@" + noDomain + arg[start+end:]
}

// pathStart finds where the path in "TO:<root>" starts.
func pathStart(arg string) int {
	return len(arg) - len(strings.TrimLeft(arg[strings.IndexByte(arg, ':')+1:], " \t"))
}

// scanPath finds where the mailbox at the start of s ends, and whether it
// is neither empty nor has an @ outside quotes.
func scanPath(s string) (end int, bare bool) {
	i, bracket, quoted, at := 0, strings.HasPrefix(s, "<"), false, false
	if bracket {
		i = 1
	}
	start := i
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '@':
			at = true
		case bracket && c == '>', !bracket && (c == ' ' || c == '\t'):
			return i, i > start && !at
		}
	}
	return len(s), !bracket && !quoted && !at && i == len(s) && i > start
}

// clampSize lowers a SIZE= beyond 32 bits, which go-smtp would refuse as a syntax
// error, to the largest that it reads; every limit is below that.
func clampSize(arg string) string {
	fields := strings.Fields(arg)
	changed := false
	for i, f := range fields {
		name, digits, ok := strings.Cut(f, "=")
		if !ok || i == 0 || !strings.EqualFold(name, "SIZE") ||
			len(digits) < 10 || strings.Trim(digits, "0123456789") != "" {
			continue
		}
		if _, err := strconv.ParseUint(digits, 10, 32); err != nil {
			fields[i], changed = "SIZE=4294967295", true
		}
	}
	if !changed {
		return arg
	}
	return strings.Join(fields, " ")
}

// Mailbox makes an Address of what go-smtp unquoted: local@domain, where the
// local part may contain further @.
func Mailbox(s string) (envelope.Address, error) {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return envelope.Address{}, errors.New("no domain")
	}
	local, domain := s[:at], s[at+1:]
	if domain != noDomain {
		return envelope.NewAddress(local, domain)
	}
	return envelope.ParseRecipient(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(local) + `"`)
}
