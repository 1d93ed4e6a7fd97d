// Package wire is the form of SMTP (RFC 5321): command lines, chunks, the
// encoding of a message in DATA, reply lines, and the buffer that they are cut
// from. It also writes the lines that emersion/go-smtp reads in place of the
// client's, where that library reads less than the standards allow.
//
// What is faulty is reported as faulty, never repaired: two readers could
// otherwise see two different things. Nothing here blocks, and memory is
// bounded whatever the input. The package must not know connections, time or
// what happens with a message.
package wire

import (
	"bytes"
	"strconv"
	"strings"

	"graphrelay/relay/reply"
)

// Command is one command line, read strictly.
type Command struct {
	Verb string // upper case, or one of the classes below
	Arg  string // what follows it, trimmed
}

// Classes of verbs that are answered without the library.
const (
	Unknown        = ""
	NotImplemented = "not implemented"
	NotSMTP        = "not SMTP" // a browser that was made to speak to us
)

// ParseCommand reads a line without its line end. It may contain only printable
// characters, blanks, tabs and bytes above 127: a bare CR, a NUL or another
// control character would let two readers see two different lines.
func ParseCommand(line []byte) (Command, bool) {
	if bytes.ContainsFunc(line, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		return Command{}, false
	}
	word, arg := line, []byte(nil)
	if i := bytes.IndexAny(line, " \t"); i >= 0 {
		word, arg = line[:i], bytes.Trim(line[i:], " \t")
	}
	return Command{Verb: verbOf(word), Arg: string(arg)}, true
}

// verbs gives each known verb itself or its class.
var verbs = map[string]string{
	"HELO": "HELO", "EHLO": "EHLO", "MAIL": "MAIL", "RCPT": "RCPT", "DATA": "DATA", "BDAT": "BDAT",
	"RSET": "RSET", "NOOP": "NOOP", "VRFY": "VRFY", "QUIT": "QUIT", "AUTH": "AUTH", "STARTTLS": "STARTTLS",
	"HELP": NotImplemented, "EXPN": NotImplemented, "ETRN": NotImplemented, "TURN": NotImplemented,
	"SEND": NotImplemented, "SOML": NotImplemented, "SAML": NotImplemented,
	"GET": NotSMTP, "POST": NotSMTP, "PUT": NotSMTP, "HEAD": NotSMTP, "CONNECT": NotSMTP, "OPTIONS": NotSMTP,
}

// verbOf returns the verb that word names in any case, or Unknown. Exactness
// matters: go-smtp would take STARTTLSxyz for STARTTLS.
func verbOf(word []byte) string {
	var up [8]byte
	if len(word) > len(up) {
		return Unknown
	}
	for i, c := range word {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		up[i] = c
	}
	return verbs[string(up[:len(word)])]
}

// Chunk is what a BDAT command announces (RFC 3030).
type Chunk struct {
	Left int64 // bytes still to come
	Last bool
}

// ParseChunk reads the argument of BDAT. If it fails, nobody knows how many
// bytes follow, so the connection cannot continue.
func ParseChunk(arg string) (Chunk, bool) {
	size, last, _ := strings.Cut(arg, " ")
	last = strings.TrimSpace(last)
	n, err := strconv.ParseUint(size, 10, 63)
	if err != nil || last != "" && !strings.EqualFold(last, "LAST") {
		return Chunk{}, false
	}
	return Chunk{Left: int64(n), Last: last != ""}, true
}

// AppendReply appends the reply line of e.
func AppendReply(b []byte, e *reply.Error) []byte {
	b = strconv.AppendInt(b, int64(e.Code), 10)
	b = append(append(append(b, ' '), e.Enhanced.String()...), ' ')
	return append(append(b, OneLine(e.Text)...), '\r', '\n')
}

// OneLine makes text fit for a reply line: printable ASCII, at most 400 bytes.
func OneLine(text string) string {
	b := []byte(text)
	b = b[:min(len(b), 400)]
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}

// ReplyCode reads the code of a reply; 0 if there is none.
func ReplyCode(reply []byte) int {
	if len(reply) < 3 {
		return 0
	}
	code, _ := strconv.Atoi(string(reply[:3]))
	return code
}

// ReadReply reads a reply line that has an enhanced code; without one, the text is
// all that follows the code.
func ReadReply(line string) *reply.Error {
	code, text, _ := strings.Cut(line, " ")
	e := &reply.Error{Text: text}
	e.Code, _ = strconv.Atoi(code)
	digits, rest, _ := strings.Cut(text, " ")
	for i, d := range strings.Split(digits, ".") {
		n, err := strconv.Atoi(d)
		if err != nil || i >= len(e.Enhanced) {
			e.Enhanced = reply.Enhanced{}
			return e
		}
		e.Enhanced[i], e.Text = n, rest
	}
	return e
}

// IsClientError reports whether a reply blames the client's SMTP, its syntax or
// sequence, as opposed to a decision about mail.
func IsClientError(code int) bool { return code >= 500 && code <= 504 || code == 555 }
