package smtpd

import (
	"bytes"
	"log/slog"
	"strings"
)

// tailSize has room for the longest wrong end of a message that is known,
// CR CR LF . CR CR LF.
const tailSize = 8

// keepTail remembers the last octets that came.
func (c *conn) keepTail(b []byte) {
	if len(b) >= tailSize {
		c.tail = append(c.tail[:0], b[len(b)-tailSize:]...)
		return
	}
	keep := min(len(c.tail), tailSize-len(b))
	n := copy(c.tail, c.tail[len(c.tail)-keep:])
	c.tail = append(c.tail[:n], b...)
}

// noteTimeout logs a message that did not end in time: a client that ends its
// messages wrongly looks like one that hangs.
func (c *conn) noteTimeout() {
	if !c.inBody {
		return
	}
	cause := "the client sent nothing more, or too slowly"
	if end := wrongEnd(c.tail); end != "" && c.chunk.left == 0 {
		cause = "the message ended with " + end + ", and only CRLF.CRLF ends one: let the client end its lines with CRLF"
	}
	c.note(slog.LevelWarn, "message timed out", "message timed out", slog.String("cause", cause))
}

// wrongEnd names the end that a client probably took for the end of the
// message, such as "LF.LF"; empty where the last line is no single dot.
func wrongEnd(tail []byte) string {
	dot := bytes.LastIndexByte(tail, '.')
	if dot < 0 {
		return ""
	}
	before, after := tail[:dot], tail[dot+1:]
	start := len(bytes.TrimRight(before, "\r\n"))
	if start == dot || len(after) == 0 || strings.Trim(string(after), "\r\n") != "" {
		return ""
	}
	name := strings.NewReplacer("\r", "CR", "\n", "LF")
	return name.Replace(string(before[start:])) + "." + name.Replace(string(after))
}
