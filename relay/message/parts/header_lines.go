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
	more    bool // what is kept ends in a semicolon
	seen    byte // the fields of MIME that were there, as in known

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
		h.seen |= known[fieldName(line)]
	}
	if h.keeping && h.odd < 0 {
		h.keep(line)
	}
	return 0, false
}

func (h *headerLines) keep(line []byte) {
	if len(h.kept)+len(line) > maxPartHeader {
		return
	}
	h.kept = append(h.kept, line...)
	if text := bytes.TrimRight(line, " \t\r\n"); len(text) > 0 {
		h.more = text[len(text)-1] == ';'
	}
}

// resumes reports whether a line is a field of MIME that the header does not
// have yet.
func (h *headerLines) resumes(line []byte) bool {
	field := known[fieldName(line)]
	return field > 0 && h.seen&field == 0
}

// fieldName is in lower case; empty for a line that is no field of MIME.
func fieldName(line []byte) string {
	if !isContentField(line) || !message.IsField(line) {
		return ""
	}
	name, _, _ := bytes.Cut(line, []byte{':'})
	return strings.ToLower(string(bytes.TrimRight(name, " \t")))
}

var known = map[string]byte{
	"content-type": 1, "content-transfer-encoding": 2, "content-disposition": 4, "content-id": 8,
	"content-description": 16, "content-location": 32,
}

// continues reports whether a line is a parameter of the field before it, not
// indented as it should be.
func (h *headerLines) continues(line []byte) bool {
	name, _, ok := bytes.Cut(line, []byte{'='})
	return ok && h.more && h.keeping && h.odd < 0 && isToken(string(bytes.TrimRight(name, " \t")))
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
