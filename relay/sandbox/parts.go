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
func parts(raw []byte) []string {
	message, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return nil
	}
	w := &partWalk{}
	w.walk(textproto.MIMEHeader(message.Header), message.Body, 0)
	return w.lines
}

type partWalk struct{ lines []string }

func (w *partWalk) walk(header textproto.MIMEHeader, body io.Reader, depth int) {
	if len(w.lines) >= maxParts || depth > maxDepth {
		return
	}
	contentType, params, err := mime.ParseMediaType(or(header.Get("Content-Type"), "text/plain"))
	if err != nil {
		contentType = "unreadable Content-Type"
	}
	if !strings.HasPrefix(contentType, "multipart/") || params["boundary"] == "" {
		w.leaf(header, contentType, params, body, depth)
		return
	}
	w.line(depth, contentType)
	reader := multipart.NewReader(body, params["boundary"])
	for len(w.lines) < maxParts {
		part, err := reader.NextRawPart()
		if err != nil {
			return
		}
		w.walk(part.Header, part, depth+1)
	}
}

func (w *partWalk) leaf(header textproto.MIMEHeader, contentType string, params map[string]string,
	body io.Reader, depth int) {
	size, _ := io.Copy(io.Discard, body) // a part cut short is shown as far as it goes
	name := params["name"]
	if _, disposition, err := mime.ParseMediaType(header.Get("Content-Disposition")); err == nil {
		name = or(disposition["filename"], name)
	}
	w.line(depth, strings.TrimSpace(fmt.Sprintf("%s %d %s", contentType, size, printable(decodeWords(name)))))
}

func (w *partWalk) line(depth int, text string) {
	w.lines = append(w.lines, strings.Repeat("  ", depth)+text)
}
