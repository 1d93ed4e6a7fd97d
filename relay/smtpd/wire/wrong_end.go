package wire

import (
	"bytes"
	"strings"
)

// tailSize is the length of the longest wrong end of a message that is known,
// CR CR LF . CR CR LF.
const tailSize = 8

// Tail remembers the last bytes of a message.
type Tail struct {
	bytes [tailSize]byte
	n     int
}

// Reset forgets them.
func (t *Tail) Reset() { t.n = 0 }

// Keep adds the bytes that came.
func (t *Tail) Keep(b []byte) {
	b = b[max(0, len(b)-tailSize):]
	keep := min(t.n, tailSize-len(b))
	copy(t.bytes[:], t.bytes[t.n-keep:t.n])
	t.n = keep + copy(t.bytes[keep:], b)
}

// WrongEnd names the end that a client probably took for the end of the message,
// such as "LF.LF"; empty if the last line is not a single dot.
func (t *Tail) WrongEnd() string {
	tail := t.bytes[:t.n]
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
