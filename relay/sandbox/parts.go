package sandbox

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"strings"
)

// The walk through the parts ends there: it is for people to look at.
const (
	maxParts = 50
	maxDepth = 8
)

// parts lists what a message is made of, one line for each part, such as
// "  text/plain 120" or "  application/pdf 4711 report.pdf". It stops without
// complaint at what it cannot read.
func parts(raw []byte) (lines []string) {
	walk(raw, func(p part) {
		line := p.kind
		if p.body != nil {
			size, _ := io.Copy(io.Discard, p.body) // a part cut short is shown as far as it goes
			line = strings.TrimSpace(fmt.Sprintf("%s %d %s", p.kind, size, printable(decodeWords(p.name()))))
		}
		lines = append(lines, strings.Repeat("  ", p.depth)+line)
	})
	return lines
}

// part is one part of a message, as seen on a walk.
type part struct {
	header textproto.MIMEHeader
	kind   string // media type
	params map[string]string
	depth  int
	body   io.Reader // still encoded; nil for one that consists of parts
}

func (p part) name() string {
	name := p.params["name"]
	if _, disposition, err := mime.ParseMediaType(p.header.Get("Content-Disposition")); err == nil {
		name = or(disposition["filename"], name)
	}
	return name
}

// walk shows the parts of a message in their order.
func walk(raw []byte, see func(part)) {
	message, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return
	}
	w := &partWalk{see: see}
	w.walk(textproto.MIMEHeader(message.Header), message.Body, 0)
}

type partWalk struct {
	see  func(part)
	seen int
}

func (w *partWalk) walk(header textproto.MIMEHeader, body io.Reader, depth int) {
	if w.seen >= maxParts || depth > maxDepth {
		return
	}
	w.seen++
	kind, params, err := mime.ParseMediaType(or(header.Get("Content-Type"), "text/plain"))
	if err != nil {
		kind = "unreadable Content-Type"
	}
	if !strings.HasPrefix(kind, "multipart/") || params["boundary"] == "" {
		w.see(part{header, kind, params, depth, body})
		return
	}
	w.see(part{header, kind, params, depth, nil})
	reader := multipart.NewReader(body, params["boundary"])
	for w.seen < maxParts {
		p, err := reader.NextRawPart()
		if err != nil {
			return
		}
		w.walk(p.Header, p, depth+1)
	}
}
