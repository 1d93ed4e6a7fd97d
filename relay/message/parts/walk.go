package parts

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// The bounds of the part reader. Deeper multiparts are read as one part, and the
// Content- fields of a part up to maxPartHeader bytes.
const (
	maxDepth      = 200
	maxParts      = 1000
	maxPartHeader = 64 << 10
	maxBoundary   = 250 // RFC 2046 allows 70 characters
	maxWalks      = 3
)

// ErrTooManyParts means that a message is made of more than 1,000 parts.
var ErrTooManyParts = errors.New("the message is made of more than 1000 parts")

// node is a part as it is in the message: bytes start to end, still encoded.
type node struct {
	head       partHead
	start, end int64
	children   []*node
	multi      bool      // its children are its content
	words      bool      // its content is not blank
	outside    []stretch // text of a multipart before its first part and after its last
	number     string    // as in "1.2"; empty for the message itself
	meant      string    // of a multipart: what delimiters outside of its parts are
	repairs    []string  // what was read otherwise than it is written
	faults     []string  // what has no place
}

// stretch is a piece of a message.
type stretch struct{ start, end int64 }

// walker cuts a message into parts in one pass over its lines. It looks each line
// up once among the open boundaries, so that depth costs nothing.
type walker struct {
	root    *node
	stack   []frame
	open    map[string][]int // boundary -> places in stack, innermost last
	loose   int              // frames of stack that are loose
	meant   map[int64]string // further delimiters of a multipart, by its start
	current *node            // whose header or content the line belongs to; nil between parts
	header  headerLines      // of current
	parts   int
	eol     int64 // length of the last line's end
}

// frame is an open multipart. Its epilogue belongs to it, and more parts may
// follow there.
type frame struct {
	boundaries []string
	node       *node
	loose      bool // one of the boundaries is a guess, and blanks may be before delimiters
	closed     bool
	gap        gap
}

// walk reads r to its end, again where what looks like delimiters is outside of
// the parts of a multipart. Errors are those of r and ErrTooManyParts.
func walk(open func() io.Reader) (*node, error) {
	meant := map[int64]string{}
	for n := 1; ; n++ {
		w := &walker{root: &node{}, open: map[string][]int{}, meant: meant}
		w.current = w.root
		w.header.begin()
		if err := w.read(open()); err != nil {
			return nil, err
		}
		if known := len(meant); n == maxWalks || len(collect(w.root, meant)) == known {
			return w.root, nil
		}
	}
}

// collect adds the delimiters outside of parts that were found.
func collect(n *node, meant map[int64]string) map[int64]string {
	if n.meant != "" && meant[n.start] == "" {
		meant[n.start] = n.meant
	}
	for _, c := range n.children {
		collect(c, meant)
	}
	return meant
}

func (w *walker) read(r io.Reader) error {
	in := bufio.NewReaderSize(r, 32<<10)
	var at int64
	for begins := true; ; {
		if begins {
			at += w.skip(in)
		}
		line, err := in.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return err
		}
		if len(line) > 0 {
			if err := w.line(line, at, begins); err != nil {
				return err
			}
			at += int64(len(line))
			begins = line[len(line)-1] == '\n'
			w.eol = lineEnd(line)
		}
		if err == io.EOF {
			w.finish(at)
			return nil
		}
	}
}

// skip passes over whole lines in the buffer that are no delimiters and change
// nothing else.
func (w *walker) skip(in *bufio.Reader) int64 {
	if w.current != nil && w.header.reading {
		return 0
	}
	text, _ := in.Peek(in.Buffered())
	n, last := 0, 0
	for n < len(text) {
		end := 2
		if text[n] != '\r' || n+1 == len(text) || text[n+1] != '\n' {
			end = 1 + bytes.IndexByte(text[n:], '\n')
			if end == 0 || !w.dull(text[n:n+end]) {
				break
			}
		}
		last, n = n, n+end
	}
	if n > 0 {
		w.eol = lineEnd(text[last:n])
		_, _ = in.Discard(n)
	}
	return int64(n)
}

// dull reports whether a line may be skipped.
func (w *walker) dull(line []byte) bool {
	text := trimBlanks(line)
	hyphen := len(text) > 0 && text[0] == '-'
	switch {
	case hyphen && w.isDelimiter(line, text):
		return false
	case len(text) == 0 || w.current != nil && w.current.words:
		return true
	case w.current != nil:
		w.current.words = len(bytes.TrimSpace(text)) > 0
		return true
	}
	return len(w.stack) == 0 || w.stack[len(w.stack)-1].gap.dull(hyphen)
}

func trimBlanks(line []byte) []byte {
	blank := func(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
	for len(line) > 0 && blank(line[len(line)-1]) {
		line = line[:len(line)-1]
	}
	for len(line) > 0 && blank(line[0]) {
		line = line[1:]
	}
	return line
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
		if place, closing, ok := w.delimiter(line, trimBlanks(line)); ok {
			return w.delimit(place, closing, at, at+int64(len(line)))
		}
	}
	switch {
	case w.current == nil && len(w.stack) > 0:
		w.stack[len(w.stack)-1].gap.line(line, begins)
	case w.header.reading:
		if content, over := w.header.line(line, at, begins); over {
			w.begin(content)
		}
	case w.current != nil && !w.current.words:
		w.current.words = len(bytes.TrimSpace(line)) > 0
	}
	return nil
}

func (w *walker) isDelimiter(line, text []byte) bool {
	_, _, ok := w.delimiter(line, text)
	return ok
}

// delimiter reports whether a line, which is text and blanks around it, is the
// delimiter of an open multipart.
func (w *walker) delimiter(line, text []byte) (place int, closing, ok bool) {
	indented := w.loose > 0 && (line[0] == ' ' || line[0] == '\t')
	if len(w.stack) == 0 || len(line) > maxBoundary+8 || line[0] != '-' && !indented {
		return 0, false, false
	}
	id, ok := bytes.CutPrefix(text, []byte("--"))
	if !ok || len(id) == 0 {
		return 0, false, false
	}
	if place, ok = w.find(id, indented); ok {
		return place, false, true
	}
	if id, closing = bytes.CutSuffix(id, []byte("--")); closing {
		place, ok = w.find(id, indented)
	}
	return place, closing, ok
}

// find finds the innermost multipart of a boundary. One that is closed already
// gives way to one around it.
func (w *walker) find(id []byte, indented bool) (place int, ok bool) {
	places := w.open[string(id)]
	if n := len(places); n > 1 && w.stack[places[n-1]].closed {
		places = places[:n-1]
	}
	if len(places) == 0 || len(id) == 0 {
		return 0, false
	}
	place = places[len(places)-1]
	return place, !indented || w.stack[place].loose
}

// delimit ends what is open inside the multipart at place, and begins its next
// part unless the delimiter closes it. The line end before the delimiter
// belongs to it.
func (w *walker) delimit(place int, closing bool, at, after int64) error {
	w.close(at-w.eol, at)
	for len(w.stack) > place+1 {
		w.pop(at-w.eol, at)
	}
	f := &w.stack[place]
	w.endGap(f, at-w.eol)
	if f.closed && !closing {
		f.node.repairs = append(f.node.repairs, "there are parts behind its last delimiter")
	}
	f.closed = closing
	if closing {
		f.gap = gap{start: after}
		return nil
	}
	parent := f.node
	w.current = &node{start: after, end: after}
	if parent.head.mediaType == "multipart/digest" {
		w.current.head.mediaType = typeMessage // the default inside a digest
	}
	w.header.begin()
	parent.children = append(parent.children, w.current)
	if w.parts++; w.parts > maxParts {
		return ErrTooManyParts
	}
	return nil
}

// close ends the current part. A header that a delimiter cuts off is read as far
// as it goes.
func (w *walker) close(end, at int64) {
	n := w.current
	if n == nil {
		return
	}
	if w.header.reading {
		n.start = w.header.stop(at)
		w.header.into(n)
		if n.start == at {
			end = at
		}
	}
	n.end = max(end, n.start)
	w.current = nil
}

// pop ends the innermost multipart.
func (w *walker) pop(end, at int64) {
	last := &w.stack[len(w.stack)-1]
	w.endGap(last, end)
	last.node.end = at
	if last.loose {
		w.loose--
	}
	for _, b := range last.boundaries {
		w.open[b] = w.open[b][:len(w.open[b])-1]
	}
	w.stack = w.stack[:len(w.stack)-1]
}

// begin reads the header that is complete now; content starts at at.
func (w *walker) begin(at int64) {
	n := w.current
	w.header.into(n)
	n.start, n.end = at, at
	if !strings.HasPrefix(n.head.mediaType, "multipart/") {
		return
	}
	boundaries := []string{n.head.boundary()}
	if n.multi = len(w.stack) < maxDepth && len(boundaries[0]) <= maxBoundary; !n.multi {
		n.faults = append(n.faults, "it is nested too deeply, or its boundary is too long")
		return
	}
	meant := w.meant[at]
	if meant != "" {
		w.loose++
		n.repairs = append(n.repairs, "some of its delimiters are not those that its header names")
	}
	if meant != "" && meant != boundaries[0] {
		boundaries = append(boundaries, meant)
	}
	for _, b := range boundaries {
		w.open[b] = append(w.open[b], len(w.stack))
	}
	w.stack = append(w.stack, frame{
		boundaries: boundaries, node: n, loose: meant != "", gap: gap{start: at, meant: n.head.meant()},
	})
	w.current = nil // the preamble belongs to no part
}

func (w *walker) finish(size int64) {
	w.close(size, size)
	for len(w.stack) > 0 {
		w.pop(size, size)
	}
}
