package parts

import (
	"bytes"
	"strings"

	"graphrelay/relay/message"
)

// headerLines collects the Content- fields of one part, line by line. A line that
// is no field ends the header, and what follows is content, unless a field of
// MIME is to come before the next empty line: then it is a line of the header.
type headerLines struct {
	kept    []byte
	reading bool // it is not complete
	fields  bool // it has a field already
	keeping bool // the last one is a Content- field

	odd      int64 // where a line is that is no field; -1 if there is none
	oddLines int
	oddText  bool // there was one, and it has no place
	joined   bool // there was one, and it belongs to the field before it
}

// maxOdd is for how many lines a header is looked for after one that is no field.
const maxOdd = 30

func (h *headerLines) begin() { *h = headerLines{kept: h.kept[:0], reading: true, odd: -1} }

// line takes a line, or a further piece of a long one. over means that the
// header is complete; content is where the content begins then.
func (h *headerLines) line(line []byte, at int64, begins bool) (content int64, over bool) {
	folded := line[0] == ' ' || line[0] == '\t'
	switch {
	case !begins || folded && h.fields && h.odd < 0:
	case len(bytes.TrimRight(line, "\r\n")) == 0:
		return h.stop(at + int64(len(line))), true
	case h.odd >= 0 && !h.resumes(line):
		if h.oddLines++; h.oddLines > maxOdd {
			return h.stop(at), true
		}
		return 0, false
	case h.continues(line):
		h.kept, h.joined = append(h.kept, ' '), true
	case folded || !message.IsField(line):
		h.odd, h.oddLines = at, 1
		if !h.fields {
			return h.stop(at), true // there is no header
		}
		return 0, false
	default:
		h.oddText = h.oddText || h.odd >= 0
		h.odd, h.fields, h.keeping = -1, true, isContentField(line)
	}
	if h.keeping && h.odd < 0 && len(h.kept)+len(line) <= maxPartHeader {
		h.kept = append(h.kept, line...)
	}
	return 0, false
}

// resumes reports whether a line is a field of MIME that the header does not
// have yet.
func (h *headerLines) resumes(line []byte) bool {
	name, _, ok := bytes.Cut(line, []byte(":"))
	if !ok || !message.IsField(line) || !known[strings.ToLower(strings.TrimRight(string(name), " \t"))] {
		return false
	}
	for old := range bytes.Lines(h.kept) {
		if len(old) > len(name) && bytes.EqualFold(old[:len(name)], name) {
			return false
		}
	}
	return true
}

var known = map[string]bool{
	"content-type": true, "content-transfer-encoding": true, "content-disposition": true, "content-id": true,
	"content-description": true, "content-location": true,
}

// continues reports whether a line is a parameter of the field before it, not
// indented as it should be.
func (h *headerLines) continues(line []byte) bool {
	name, _, ok := strings.Cut(string(line), "=")
	before := bytes.TrimRight(h.kept, " \t\r\n")
	return ok && h.keeping && h.odd < 0 && bytes.HasSuffix(before, []byte(";")) &&
		isToken(strings.TrimRight(name, " \t"))
}

// stop ends the header, which would end at at, and returns where the content begins.
func (h *headerLines) stop(at int64) int64 {
	h.reading = false
	if h.odd >= 0 {
		return h.odd
	}
	return at
}

// into reads the header into n.
func (h *headerLines) into(n *node) {
	n.head = readPartHead(h.kept, n.head.mediaType)
	n.words = h.odd >= 0
	if h.joined {
		n.repairs = append(n.repairs, "a parameter in its header is not indented")
	}
	if h.oddText {
		n.faults = append(n.faults, "a line in its header is no field")
	}
	if h.odd >= 0 && h.fields {
		n.repairs = append(n.repairs, "its header ends without an empty line")
	}
}

func isContentField(line []byte) bool {
	const prefix = "Content-"
	return len(line) >= len(prefix) && bytes.EqualFold(line[:len(prefix)], []byte(prefix))
}
