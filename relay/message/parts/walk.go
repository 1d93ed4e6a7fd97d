package parts

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"

	"graphrelay/relay/message"
)

// The bounds of the part reader. Deeper multiparts are read as one part, and the
// Content- fields of a part up to maxPartHeader bytes.
const (
	maxDepth      = 50
	maxParts      = 1000
	maxPartHeader = 64 << 10
	maxBoundary   = 250 // RFC 2046 allows 70 characters
)

// ErrTooManyParts means that a message is made of more than 1,000 parts.
var ErrTooManyParts = errors.New("the message is made of more than 1000 parts")

// node is a part as it is in the message: bytes start to end, still encoded.
type node struct {
	head       partHead
	start, end int64
	children   []*node
	multi      bool // its children are its content
}

// walker cuts a message into parts in one pass over its lines. It looks each line
// up once among the open boundaries, so that depth costs nothing.
type walker struct {
	root    *node
	stack   []frame
	open    map[string][]int // boundary -> places in stack, innermost last
	current *node            // whose header or content the line belongs to; nil between parts
	header  []byte           // of current: its Content- fields
	reading bool             // header is not complete
	fields  bool             // it has a field already
	keeping bool             // the last one is a Content- field
	parts   int
	eol     int64 // length of the last line's end
}

type frame struct {
	boundary string
	node     *node
}

// walk reads r to its end. Errors are those of r and ErrTooManyParts.
func walk(r io.Reader) (*node, error) {
	w := &walker{root: &node{}, open: map[string][]int{}, reading: true}
	w.current = w.root
	in := bufio.NewReaderSize(r, 32<<10)
	var at int64
	for begins := true; ; {
		line, err := in.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return nil, err
		}
		if len(line) > 0 {
			if err := w.line(line, at, begins); err != nil {
				return nil, err
			}
			at += int64(len(line))
			begins = line[len(line)-1] == '\n'
			w.eol = lineEnd(line)
		}
		if err == io.EOF {
			w.finish(at)
			return w.root, nil
		}
	}
}

func lineEnd(line []byte) int64 {
	switch {
	case bytes.HasSuffix(line, []byte("\r\n")):
		return 2
	case bytes.HasSuffix(line, []byte("\n")):
		return 1
	}
	return 0
}

// line takes one line, or a further piece of a long one.
func (w *walker) line(line []byte, at int64, begins bool) error {
	if begins {
		if place, closing, ok := w.delimiter(line); ok {
			return w.delimit(place, closing, at, at+int64(len(line)))
		}
	}
	if !w.reading {
		return nil
	}
	switch {
	case begins && len(bytes.TrimRight(line, "\r\n")) == 0:
		return w.begin(at + int64(len(line)))
	case begins && !isHeaderLine(line, w.fields):
		return w.begin(at) // no header, or one that breaks off: what follows is content
	}
	if begins && line[0] != ' ' && line[0] != '\t' {
		w.fields, w.keeping = true, isContentField(line)
	}
	if w.keeping && len(w.header)+len(line) <= maxPartHeader {
		w.header = append(w.header, line...)
	}
	return nil
}

func isHeaderLine(line []byte, further bool) bool {
	if line[0] == ' ' || line[0] == '\t' {
		return further
	}
	return message.IsField(line)
}

func isContentField(line []byte) bool {
	const prefix = "Content-"
	return len(line) >= len(prefix) && bytes.EqualFold(line[:len(prefix)], []byte(prefix))
}

// delimiter reports whether a line is the delimiter of an open multipart.
func (w *walker) delimiter(line []byte) (place int, closing, ok bool) {
	if len(w.stack) == 0 || len(line) > maxBoundary+8 || !bytes.HasPrefix(line, []byte("--")) {
		return 0, false, false
	}
	id := bytes.TrimRight(line[2:], " \t\r\n")
	if places := w.open[string(id)]; len(places) > 0 {
		return places[len(places)-1], false, true
	}
	id, closing = bytes.CutSuffix(id, []byte("--"))
	if places := w.open[string(id)]; closing && len(places) > 0 {
		return places[len(places)-1], true, true
	}
	return 0, false, false
}

// delimit ends what is open inside the multipart at place, and begins its next
// part unless the delimiter closes it. The line end before the delimiter
// belongs to it.
func (w *walker) delimit(place int, closing bool, at, after int64) error {
	w.close(at-w.eol, at)
	keep := place + 1
	if closing {
		keep = place
	}
	for len(w.stack) > keep {
		w.pop(at)
	}
	if closing {
		return nil
	}
	parent := w.stack[place].node
	w.current = &node{start: after, end: after}
	if parent.head.mediaType == "multipart/digest" {
		w.current.head.mediaType = typeMessage // the default inside a digest
	}
	w.header, w.reading, w.fields, w.keeping = w.header[:0], true, false, false
	parent.children = append(parent.children, w.current)
	if w.parts++; w.parts > maxParts {
		return ErrTooManyParts
	}
	return nil
}

// close ends the current part. A header that a delimiter cuts off is read as far
// as it goes.
func (w *walker) close(end, at int64) {
	if w.current == nil {
		return
	}
	if w.reading {
		w.current.head = readPartHead(w.header, w.current.head.mediaType)
		w.current.start, w.reading = at, false
		end = at
	}
	w.current.end = max(end, w.current.start)
	w.current = nil
}

func (w *walker) pop(end int64) {
	last := w.stack[len(w.stack)-1]
	last.node.end = end
	w.stack = w.stack[:len(w.stack)-1]
	places := w.open[last.boundary]
	w.open[last.boundary] = places[:len(places)-1]
}

// begin reads the header that is complete now; content starts at at.
func (w *walker) begin(at int64) error {
	n := w.current
	n.head = readPartHead(w.header, n.head.mediaType)
	n.start, n.end, w.reading = at, at, false
	boundary := strings.TrimRight(n.head.params["boundary"], " \t")
	n.multi = strings.HasPrefix(n.head.mediaType, "multipart/") && len(w.stack) < maxDepth &&
		boundary != "" && len(boundary) <= maxBoundary
	if n.multi {
		w.open[boundary] = append(w.open[boundary], len(w.stack))
		w.stack = append(w.stack, frame{boundary, n})
		w.current = nil // the preamble belongs to no part
	}
	return nil
}

func (w *walker) finish(size int64) {
	w.close(size, size)
	for len(w.stack) > 0 {
		w.pop(size)
	}
}
