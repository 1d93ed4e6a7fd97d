package wire

import (
	"bytes"
	"strings"
)

// DataDecoder decodes the message of a DATA command: it removes the dot that was
// added before a dot at the start of a line, and ends at CRLF.CRLF alone. A line
// starts behind CRLF, also behind CR CRLF, and never behind a bare LF or CR. The
// zero DataDecoder is at the start of a message.
type DataDecoder struct {
	inLine  bool // the next byte does not start a line
	afterCR bool
}

// Decode decodes from src to dst and returns how many bytes it wrote, and how
// many of src it used. If it used none, it needs more input. The end of the
// message is returned alone, after all bytes before it.
func (d *DataDecoder) Decode(dst, src []byte) (written, used int, end bool) {
	for written < len(dst) {
		s := src[used:]
		dot := !d.inLine && len(s) > 0 && s[0] == '.'
		switch {
		case dot && bytes.HasPrefix(s, []byte(".\r\n")):
			if written > 0 {
				return written, used, false
			}
			return 0, used + 3, true
		case len(s) == 0, dot && bytes.HasPrefix([]byte(".\r\n"), s):
			return written, used, false
		case dot:
			used++
			d.inLine, d.afterCR = true, false
		default:
			n := d.copyLines(dst[written:], s)
			written += n
			used += n
		}
	}
	return written, used, false
}

// copyLines copies from src to dst up to the next line that begins with a dot.
func (d *DataDecoder) copyLines(dst, src []byte) int {
	if d.afterCR && src[0] == '\n' {
		src = src[:1]
	} else if i := bytes.Index(src, []byte("\r\n.")); i >= 0 {
		src = src[:i+2]
	}
	n := copy(dst, src)
	last := src[n-1]
	d.inLine = last != '\n' || !(n > 1 && src[n-2] == '\r' || n == 1 && d.afterCR)
	d.afterCR = last == '\r'
	return n
}

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
