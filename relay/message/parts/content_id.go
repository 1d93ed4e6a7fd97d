package parts

import "net/url"

// maxCIDs bounds the references that are remembered from one text.
const maxCIDs = 1000

// cidFinder finds the parts that an HTML text shows, by their Content-ID: what
// follows "cid:" (RFC 2392), anywhere. A part that is not shown must not be
// hidden from the list of attachments.
type cidFinder struct {
	found map[string]bool
	n     int    // how much of "cid:" has been read
	id    []byte // what followed it
	in    bool
}

// Write takes the next piece of the text. It never fails.
func (c *cidFinder) Write(p []byte) (int, error) {
	for _, b := range p {
		switch {
		case c.in && endsCID(b):
			c.take()
		case c.in && len(c.id) < maxBoundary:
			c.id = append(c.id, b)
		case c.in:
			c.in = false
		case lower(b) == "cid:"[c.n]:
			if c.n++; c.n == 4 {
				c.in, c.n, c.id = true, 0, c.id[:0]
			}
		case lower(b) == 'c':
			c.n = 1
		default:
			c.n = 0
		}
	}
	return len(p), nil
}

func (c *cidFinder) take() {
	c.in = false
	if len(c.id) == 0 || len(c.found) == maxCIDs || c.found[string(c.id)] {
		return
	}
	id, err := url.PathUnescape(string(c.id))
	if err != nil {
		id = string(c.id)
	}
	c.found[id] = true
}

func endsCID(b byte) bool {
	return b <= ' ' || b == '"' || b == '\'' || b == '<' || b == '>' || b == ')' || b == '\\'
}

func lower(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}
