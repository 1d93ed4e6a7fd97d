package dsn

import (
	"bytes"
	"iter"
	"strings"
)

// MaxHeader is how much of a message's header a report returns, in bytes.
const MaxHeader = 64 << 10

// Unwanted returns why a message with this header block must not be reported:
// it came from a program that nobody reads reports for, or is a report itself
// (RFC 3834 section 2). Empty means that it may be.
//
// Mail of lists and other bulk mail counts as such; header is the block as the
// queue has it, with CRLF, and may be cut.
func Unwanted(header []byte) string {
	for field := range eachField(header) {
		name, value, ok := bytes.Cut(field, []byte(":"))
		if !ok {
			continue // it is not a field
		}
		word, _, _ := strings.Cut(strings.ToLower(unfold(string(value))), ";")
		word, _, _ = strings.Cut(strings.TrimSpace(word), " ")
		switch strings.ToLower(string(bytes.TrimSpace(name))) {
		case "auto-submitted":
			if word != "no" {
				return "it is auto-submitted"
			}
		case "precedence":
			if word == "bulk" || word == "list" || word == "junk" {
				return "its precedence is " + word
			}
		case "content-type":
			if word == "multipart/report" {
				return "it is a report itself"
			}
		}
	}
	return ""
}

// eachField walks over the unchanged fields, each with its line ends.
func eachField(header []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		start := 0
		for end := 0; end < len(header); {
			if i := bytes.IndexByte(header[end:], '\n'); i >= 0 {
				end += i + 1
			} else {
				end = len(header)
			}
			if end < len(header) && (header[end] == ' ' || header[end] == '\t') {
				continue
			}
			if field := header[start:end]; len(bytes.TrimSpace(field)) > 0 && !yield(field) {
				return
			}
			start = end
		}
	}
}

func unfold(value string) string { return strings.Join(strings.Fields(value), " ") }

// returned is what a report gives back: the header without its Bcc fields,
// which the relay may have added and which nobody else has seen, up to
// MaxHeader bytes in whole fields.
func (o Original) returned() []byte {
	var b bytes.Buffer
	for field := range eachField(o.Header) {
		name, _, _ := bytes.Cut(field, []byte(":"))
		switch strings.ToLower(string(bytes.TrimSpace(name))) {
		case "bcc", "resent-bcc":
			continue
		}
		if b.Len()+len(field) > MaxHeader {
			break
		}
		b.Write(bytes.TrimRight(field, "\r\n"))
		b.WriteString("\r\n")
	}
	return b.Bytes()
}
