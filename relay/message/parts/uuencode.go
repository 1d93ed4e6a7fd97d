package parts

import (
	"bufio"
	"bytes"
	"strings"
)

// uuDecoder decodes the first file of a uuencoded part. It remembers whether
// there was one, and anything beside it.
type uuDecoder struct {
	in    *bufio.Reader
	name  string
	state uuState
	more  bool // there is text before or after the file
	added int  // bytes in the place of blanks that were cut off
	cut   bool // too many of them
}

type uuState int

const (
	uuBefore uuState = iota
	uuInside
	uuAfter
)

func (u *uuDecoder) fault() string {
	switch {
	case u.state == uuBefore && u.more:
		return notUuencoded
	case u.state == uuBefore: // an empty part
		return ""
	case u.more:
		return "there is text beside its uuencoded file"
	case u.cut:
		return "lines of its uuencoded file are cut short"
	}
	return ""
}

const notUuencoded = "it is not uuencoded, as its header says"

// next decodes one line.
func (u *uuDecoder) next(to []byte) ([]byte, error) {
	line, err := u.in.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		err = nil
	}
	text := bytes.TrimRight(line, "\r\n")
	switch {
	case u.state == uuBefore:
		if name, ok := uuBegins(text); ok {
			u.state, u.name = uuInside, name
			break
		}
		u.more = u.more || len(bytes.TrimSpace(text)) > 0
	case u.state == uuAfter:
		u.more = u.more || len(bytes.TrimSpace(text)) > 0
	case string(bytes.TrimSpace(text)) == "end":
		u.state = uuAfter
	case len(text) > 0:
		to = u.data(to, text)
	}
	return to, err
}

// maxAdded bounds what a short message can become.
const maxAdded = 1 << 20

// uuBegins recognizes "begin 644 name".
func uuBegins(line []byte) (name string, ok bool) {
	words := strings.SplitN(string(line[:min(len(line), 1000)]), " ", 3)
	if len(words) < 3 || words[0] != "begin" || len(words[1]) < 3 || strings.Trim(words[1], "01234567") != "" {
		return "", false
	}
	return strings.TrimSpace(words[2]), true
}

// data decodes a line of the file: its first character is the number of bytes.
// Blanks at its end may have been cut off; they are added within reason.
func (u *uuDecoder) data(to, line []byte) []byte {
	n := int(line[0]-' ') & 63
	line = line[1:]
	u.more = u.more || len(line) > (n+2)/3*4+2 // a line of text, or a checksum
	for i := 0; n > 0 && !u.cut; i += 4 {
		var group [4]byte
		if i >= len(line) {
			u.added += min(n, 3)
			u.cut = u.added > maxAdded
		}
		if i < len(line) {
			copy(group[:], line[i:])
		}
		for k, c := range group {
			if c != 0 {
				group[k] = (c - ' ') & 63
			}
		}
		three := [3]byte{group[0]<<2 | group[1]>>4, group[1]<<4 | group[2]>>2, group[2]<<6 | group[3]}
		to = append(to, three[:min(n, 3)]...)
		n -= 3
	}
	return to
}
