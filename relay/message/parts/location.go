package parts

import (
	"bufio"
	"bytes"
	"html"
	"io"
	"net/url"
	"strings"
)

// relinker replaces the locations of parts by their Content-IDs in HTML: a mail
// API without MIME shows a file in the text only by its Content-ID (RFC 2557).
type relinker struct {
	base *url.URL          // of the text
	ids  map[string]string // location -> Content-ID
}

// add names a part of multipart/related by its location. One without a Content-ID
// gets the location as one.
func (l *relinker) add(n *node) {
	location := n.head.location
	if location == "" || len(location) > maxValue || len(l.ids) == maxCIDs {
		return
	}
	if n.head.contentID == "" {
		n.head.contentID = "part-" + n.number + "@graphrelay"
	}
	if l.ids == nil {
		l.ids = map[string]string{}
	}
	l.ids[l.absolute(location)] = n.head.contentID
}

// absolute resolves a location by that of the text.
func (l *relinker) absolute(location string) string {
	u, err := url.Parse(location)
	if err != nil || l.base == nil {
		return location
	}
	return l.base.ResolveReference(u).String()
}

// reader reads HTML with the locations replaced.
func (l *relinker) reader(in io.Reader) io.Reader {
	if len(l.ids) == 0 {
		return in
	}
	r := bufio.NewReaderSize(in, 2*maxValue)
	values := 0
	return &decoder{next: func(to []byte) ([]byte, error) {
		if values++; values > maxValues {
			text, err := r.ReadSlice('\n')
			if err == bufio.ErrBufferFull {
				err = nil
			}
			return append(to, text...), err
		}
		return l.next(r, to)
	}}
}

// The bounds of the values of attributes that are looked at: their length and
// their number.
const (
	maxValue  = 2 << 10
	maxValues = 20_000
)

// next copies up to the next equals sign, and the value after it.
func (l *relinker) next(r *bufio.Reader, to []byte) ([]byte, error) {
	text, err := r.ReadSlice('=')
	to = append(to, text...)
	if err == bufio.ErrBufferFull {
		return to, nil
	}
	if err != nil {
		return to, err
	}
	ahead, _ := r.Peek(maxValue)
	begin, ends := len(ahead)-len(bytes.TrimLeft(ahead, " \t\r\n")), " \t\r\n>="
	if begin < len(ahead) && (ahead[begin] == '"' || ahead[begin] == '\'') {
		ends = string(ahead[begin])
		begin++
	}
	n := bytes.IndexAny(ahead[begin:], ends)
	if n <= 0 {
		return to, nil
	}
	value := strings.TrimSpace(html.UnescapeString(string(ahead[begin : begin+n])))
	if id := l.ids[l.absolute(value)]; id != "" {
		to = append(append(append(to, ahead[:begin]...), "cid:"...), url.PathEscape(id)...)
		_, err = r.Discard(begin + n)
	}
	return to, err
}
