package smtpd

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"graphrelay/relay/envelope"
)

// command is one command line, read strictly.
type command struct {
	verb string // upper case, or one of the classes below
	arg  string // what follows it, trimmed
}

// Classes of verbs that are answered without the library.
const (
	unknown        = ""
	notImplemented = "not implemented"
	notSMTP        = "not SMTP" // a browser that was made to speak to us
)

// parseCommand reads a line without its line end. Only printable characters,
// blanks, tabs and octets above 127 may stand in it: a bare CR, a NUL or
// another control character would let two readers see two different lines.
func parseCommand(line []byte) (command, bool) {
	for _, c := range line {
		if c < ' ' && c != '\t' || c == 0x7f {
			return command{}, false
		}
	}
	word, arg := line, []byte(nil)
	if i := bytes.IndexAny(line, " \t"); i >= 0 {
		word, arg = line[:i], bytes.Trim(line[i:], " \t")
	}
	return command{verb: verbOf(word), arg: string(arg)}, true
}

// verbOf returns the verb that word names in any case, or "". Exactness
// matters: go-smtp would take STARTTLSxyz for STARTTLS.
func verbOf(word []byte) string {
	var up [8]byte
	if len(word) > len(up) {
		return unknown
	}
	for i, c := range word {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		up[i] = c
	}
	switch string(up[:len(word)]) {
	case "HELO":
		return "HELO"
	case "EHLO":
		return "EHLO"
	case "MAIL":
		return "MAIL"
	case "RCPT":
		return "RCPT"
	case "DATA":
		return "DATA"
	case "BDAT":
		return "BDAT"
	case "RSET":
		return "RSET"
	case "NOOP":
		return "NOOP"
	case "VRFY":
		return "VRFY"
	case "QUIT":
		return "QUIT"
	case "AUTH":
		return "AUTH"
	case "STARTTLS":
		return "STARTTLS"
	case "HELP", "EXPN", "ETRN", "TURN", "SEND", "SOML", "SAML":
		return notImplemented
	case "GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS":
		return notSMTP
	}
	return unknown
}

// forLibrary appends the line that go-smtp is to read for c.
func (c command) forLibrary(b []byte) []byte {
	arg := c.arg
	switch c.verb {
	case "MAIL", "RCPT":
		arg = clampSize(markBarePath(arg))
	case "BDAT":
		// A chunk is framed by conn; to the library it is a message of DATA.
		return append(b, "DATA\r\n"...)
	}
	b = append(b, c.verb...)
	if arg != "" {
		b = append(append(b, ' '), arg...)
	}
	return append(b, '\r', '\n')
}

// noDomain stands for the missing domain of a path such as <root>, which
// go-smtp's parser refuses. No client can send it: parseCommand refuses
// control characters.
const noDomain = "\x01"

// markBarePath gives the path in "TO:<root>" the domain noDomain; every other
// argument comes back as it is, faulty ones too: judging them is for go-smtp
// and for mailbox.
func markBarePath(arg string) string {
	colon := strings.IndexByte(arg, ':')
	if colon < 0 {
		return arg
	}
	start := colon + 1
	for start < len(arg) && (arg[start] == ' ' || arg[start] == '\t') {
		start++
	}
	end, bare := scanPath(arg[start:])
	if !bare {
		return arg
	}
	return arg[:start+end] + "@" + noDomain + arg[start+end:]
}

// scanPath finds where the mailbox at the start of s ends, and whether it has
// something but no @ outside quotes.
func scanPath(s string) (end int, bare bool) {
	i := 0
	bracket := strings.HasPrefix(s, "<")
	if bracket {
		i = 1
	}
	start, quoted := i, false
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '@':
			return 0, false
		case bracket && c == '>', !bracket && (c == ' ' || c == '\t'):
			return i, i > start
		}
	}
	return len(s), !bracket && !quoted && i == len(s) && i > start
}

// clampSize lowers a SIZE= beyond 32 bits, which go-smtp would call a syntax
// error, to the largest it reads; every limit is below that.
func clampSize(arg string) string {
	fields := strings.Fields(arg)
	changed := false
	for i, f := range fields {
		name, digits, ok := strings.Cut(f, "=")
		if !ok || i == 0 || !strings.EqualFold(name, "SIZE") || len(digits) < 10 || strings.Trim(digits, "0123456789") != "" {
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

// mailbox makes an Address of what go-smtp unquoted: local@domain, where the
// local part may hold further @.
func mailbox(s string) (envelope.Address, error) {
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

// chunk is what a BDAT command announces (RFC 3030).
type chunk struct {
	left int64 // octets still to come
	last bool
}

// parseChunk reads the argument of BDAT. Where it fails nobody knows how many
// octets follow, so the connection cannot go on.
func parseChunk(arg string) (chunk, bool) {
	size, last, _ := strings.Cut(arg, " ")
	last = strings.TrimSpace(last)
	n, err := strconv.ParseUint(size, 10, 63)
	if err != nil || last != "" && !strings.EqualFold(last, "LAST") {
		return chunk{}, false
	}
	return chunk{left: int64(n), last: last != ""}, true
}
