package wire

import (
	"strconv"

	"graphrelay/relay/reply"
)

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

// IsClientError reports whether a reply blames the client's SMTP, its syntax or
// sequence, as opposed to a decision about mail.
func IsClientError(code int) bool { return code >= 500 && code <= 504 || code == 555 }
