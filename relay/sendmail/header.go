package sendmail

import (
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"graphrelay/relay/envelope"
	"graphrelay/relay/message"
	"graphrelay/relay/reply"
)

// ErrHeaderTooLarge is a header that the relay would not accept, larger than 1 MiB
// or of more than 10,000 fields: -t needs all of it at once.
var ErrHeaderTooLarge = errors.New("the header of the message is larger than 1 MiB, or has too many fields")

// Header is the header of a message as the relay reads it.
type Header struct{ *message.Header }

// Header reads the header, and checks the rest of the message. A message may have
// no header: then all of it is body. What the relay would refuse is refused here, with
// the same *reply.Error.
func (m *Message) Header() (*Header, error) {
	h, body, err := message.Read(m.from(0), message.Options{})
	if err == nil {
		_, err = io.Copy(io.Discard, body)
	}
	var refused *reply.Error
	if errors.As(err, &refused) && refused.Enhanced == (reply.Enhanced{5, 3, 4}) {
		return nil, ErrHeaderTooLarge
	}
	if err != nil {
		return nil, err
	}
	return &Header{h}, nil
}

// Has reports whether there is a field of one of these names, and it may be empty.
func (h *Header) Has(names ...string) bool {
	for name := range h.All() {
		if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) {
			return true
		}
	}
	return false
}

// AddRecipients adds the recipients in the header: To, Cc, Bcc and Apparently-To,
// or only Resent-To, Resent-Cc and Resent-Bcc if there is one of these, because
// then the others got the message when it was first sent.
func (h *Header) AddRecipients(l *List) {
	names := []string{"to", "cc", "bcc", "apparently-to"}
	if resent := []string{"resent-to", "resent-cc", "resent-bcc"}; h.Has(resent...) {
		names = resent
	}
	for _, wanted := range names {
		for name, value := range h.All() {
			if strings.EqualFold(name, wanted) {
				l.AddHeader(string(value))
			}
		}
	}
}

// utf8 reports whether the header needs SMTPUTF8.
func (h *Header) utf8() bool {
	ascii := true
	for name, value := range h.All() {
		if !utf8.Valid(value) {
			return false // in another character set, which nothing announces
		}
		ascii = ascii && envelope.IsASCII(name) && envelope.IsASCII(value)
	}
	return !ascii
}

// block is the header as it is sent, with the empty line: without the blind
// recipients, and with a From field if there was none.
func (h *Header) block(name string, from envelope.Address) []byte {
	var b []byte
	if !h.Has("from") {
		b = append(b, "From: "+author(name, from)+"\r\n"...)
	}
	for name, value := range h.All() {
		if !strings.EqualFold(name, "bcc") && !strings.EqualFold(name, "resent-bcc") {
			b = append(append(append(append(b, name...), ':'), value...), "\r\n"...)
		}
	}
	return append(b, "\r\n"...)
}
