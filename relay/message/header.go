package message

import (
	"bytes"
	"iter"

	"graphrelay/relay/message/charset"
	"graphrelay/relay/reply"
)

// Header is the top header block of a message. Read makes it; it does not
// change afterwards, and Apply works on a copy.
type Header struct {
	raw    []byte // whole fields, each ending in CRLF, without the empty line
	fields []field
	notes  Notes
}

// field is one field of Header.raw: the name is raw[start:colon], the value
// raw[colon+1:end], which includes the last CRLF.
type field struct {
	start, colon, end int32
	kind              kind
}

// kind is what a field means to this package.
type kind uint8

const (
	kindOther kind = iota
	kindFrom
	kindSender
	kindResentFrom
	kindResentSender
	kindTo
	kindCc
	kindBcc
	kindResentTo
	kindResentCc
	kindResentBcc
	kindApparentlyTo
	kindDate
	kindMessageID
	kindExchange // fields that speak for Exchange
	kindOurs     // X-Graphrelay-*
)

var kinds = map[string]kind{
	"from": kindFrom, "sender": kindSender, "resent-from": kindResentFrom, "resent-sender": kindResentSender,
	"to": kindTo, "cc": kindCc, "bcc": kindBcc,
	"resent-to": kindResentTo, "resent-cc": kindResentCc, "resent-bcc": kindResentBcc,
	"apparently-to": kindApparentlyTo, "date": kindDate, "message-id": kindMessageID,
}

const ourPrefix = "X-Graphrelay-"

func kindOf(name []byte) kind {
	if hasPrefixFold(name, ourPrefix) {
		return kindOurs
	}
	if speaksForExchange(name) {
		return kindExchange
	}
	var low [len(ourPrefix)]byte // no name of kinds is longer
	if len(name) > len(low) {
		return kindOther
	}
	for i, c := range name {
		low[i] = lower(c)
	}
	return kinds[string(low[:len(name)])]
}

// equalFold folds ASCII only: bytes.EqualFold takes the Kelvin sign for a k.
func equalFold(b []byte, s string) bool {
	return len(b) == len(s) && hasPrefixFold(b, s)
}

func hasPrefixFold(b []byte, s string) bool {
	if len(b) < len(s) {
		return false
	}
	for i := range len(s) {
		if lower(b[i]) != lower(s[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func (h *Header) name(f field) []byte { return h.raw[f.start:f.colon] }

// value is what follows the colon, without the last CRLF.
func (h *Header) value(f field) []byte { return h.raw[f.colon+1 : f.end-2] }

// Get returns the value of the first field of that name, unfolded and without
// blanks around it, otherwise as it was sent; empty if there is none.
func (h *Header) Get(name string) string {
	for _, f := range h.fields {
		if equalFold(h.name(f), name) {
			return Unfold(h.value(f))
		}
	}
	return ""
}

// MessageID returns the first Message-ID that is not empty, with its angle
// brackets. If it returns "", Apply adds one.
func (h *Header) MessageID() string {
	for _, f := range h.fields {
		if f.kind == kindMessageID {
			if id := Unfold(h.value(f)); id != "" {
				return id
			}
		}
	}
	return ""
}

// maxSubject is how many bytes of a subject are decoded.
const maxSubject = 4 << 10

// Subject returns the subject for people to read: encoded words decoded,
// control characters replaced, and cut if it is endless.
func (h *Header) Subject() string {
	s := h.Get("Subject")
	return charset.Clean(charset.DecodeWords(s[:min(len(s), maxSubject)]), '\ufffd')
}

// Empty reports whether there is no field.
func (h *Header) Empty() bool { return len(h.fields) == 0 }

// Notes say what was odd about the header alone.
func (h *Header) Notes() Notes { return h.notes }

// All yields the fields in order: the name as sent, and the value with its
// folds, which Unfold takes out.
func (h *Header) All() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, f := range h.fields {
			if !yield(string(h.name(f)), h.value(f)) {
				return
			}
		}
	}
}

// Unfold returns a value on one line and without blanks around it.
func Unfold(v []byte) string {
	v = trimBlank(v)
	if bytes.IndexByte(v, '\n') < 0 {
		return string(v)
	}
	return string(bytes.ReplaceAll(v, []byte("\r\n"), nil))
}

func trimBlank(v []byte) []byte { return bytes.Trim(v, " \t\r\n") }

func refuse(text string) *reply.Error {
	return reply.New(550, reply.Enhanced{5, 6, 0}, text)
}
