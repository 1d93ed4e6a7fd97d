package parts

import (
	"bytes"
	"slices"
	"strings"

	"graphrelay/relay/message"
)

// gap is what is in a multipart outside of its parts. It watches for what may be
// delimiters that are written otherwise than the header says.
type gap struct {
	start  int64
	meant  []string // what they may look like
	text   bool     // it is not blank
	sample []byte   // its beginning
	first  string   // the first line that begins with two hyphens, without these
	last   string   // of the line before, if it is one
	found  string   // what the delimiters seem to be
	tries  int
}

// maxTries bounds the lines of a gap that are looked at as delimiters.
const maxTries = 10_000

// maxNotice bounds the notices that are recognized.
const maxNotice = 600

// line takes a line, or a further piece of a long one.
func (g *gap) line(line []byte, begins bool) {
	if len(g.sample) > maxNotice && g.tries > maxTries {
		return
	}
	trimmed := bytes.TrimSpace(line)
	if len(trimmed) == 0 {
		return
	}
	g.text = true
	if len(g.sample) <= maxNotice {
		g.sample = append(append(g.sample, trimmed[:min(len(trimmed), maxNotice)]...), ' ')
	}
	if !begins || g.found != "" || len(line) > maxBoundary+8 || g.tries > maxTries {
		g.last = ""
		return
	}
	id, ok := bytes.CutPrefix(trimmed, []byte("--"))
	switch {
	case !ok && g.last != "" && isContentField(line) && message.IsField(line):
		g.found = g.last
	case !ok || len(id) == 0:
		g.last = ""
	case g.first != "" && string(id) == g.first+"--":
		g.found = g.first
	default:
		g.tries++
		g.last = string(id)
		if g.first == "" {
			g.first = g.last
		}
		if len(g.meant) > 0 && slices.Contains(g.meant, plainBoundary(g.last)) {
			g.found = g.last
		}
	}
}

// dull reports whether a line means nothing any more; hyphen, whether it begins
// with one.
func (g *gap) dull(hyphen bool) bool {
	return len(g.sample) > maxNotice && (g.found != "" || g.tries > maxTries || !hyphen && g.last == "")
}

// endGap ends what is outside of the parts of f before its next one, or its end.
// A delimiter in it may be that of a multipart around it.
func (w *walker) endGap(f *frame, end int64) {
	g, n := f.gap, f.node
	f.gap = gap{start: -1}
	if g.start < 0 {
		return
	}
	owner := n
	if places := w.open[g.found]; len(places) > 0 {
		owner = w.stack[places[len(places)-1]].node
	}
	if owner.meant == "" {
		owner.meant = g.found
	}
	if end <= g.start || !g.text || len(n.children) == 0 && isNotice(g.sample) {
		return
	}
	n.outside = append(n.outside, stretch{g.start, end})
	if g.found != "" {
		n.faults = append(n.faults, "parts of it have other delimiters")
	}
}

// isNotice recognizes what programs write before the first part for readers
// without MIME. It says nothing to anybody else.
func isNotice(sample []byte) bool {
	text := strings.Join(strings.Fields(strings.ToLower(string(sample))), " ")
	for _, sentence := range strings.FieldsFunc(text, func(r rune) bool { return r == '.' || r == '!' }) {
		if sentence = strings.Trim(sentence, " -:"); sentence != "" && !slices.Contains(notices, sentence) {
			return false
		}
	}
	return len(sample) <= maxNotice
}

// notices are their sentences.
var notices = []string{
	"this is a multi-part message in mime format", "this is a multipart message in mime format",
	"this is a multi part message in mime format", "this is a message with multiple parts in mime format",
	"this message is in mime format", "this is a message in mime format", "this is a multi-part mime message",
	"this is a mime-encapsulated message", "this is a mime encoded message", "this is a mime message", "mime message",
	"this is a mime-formatted message", "this is a mime formatted message", "this is a multi-part message",
	"this is a multipart mime message",
	"since your mail reader does not understand this format, some or all of this message may not be legible",
	"since your mail reader does not understand this format, some or all of the message may not be legible",
	"your mail reader does not understand mime message format",
	"portions of this message may be unreadable without a mime-capable mail program",
	"the first part should be readable text, while the remaining parts are likely unreadable without mime-aware tools",
	"if you see this text it means that your e-mail software does not support mime-formatted messages",
	"if you see this text it means that your email software does not support mime formatted messages",
	"if you see this, your mail reader does not support this format",
}
