package outcome

import (
	"bytes"
	"strconv"

	"graphrelay/relay/text"
)

const (
	// MaxText is how many bytes of a foreign message a text keeps.
	MaxText = 500
	// MaxWord is the same for a code, a name or an ID.
	MaxWord = 100
	// MaxBody is how many bytes of an answer are read.
	MaxBody = 64 << 10
)

// Quote quotes a service: status, code and message, or the beginning of a body
// that is not an error of the service.
func Quote(httpStatus int, code, message string, body []byte) string {
	s := strconv.Itoa(httpStatus)
	if code != "" {
		s += " " + text.Foreign(code, MaxText)
	}
	switch {
	case message != "":
		return s + ": " + text.Foreign(message, MaxText)
	case code != "":
		return s
	case len(bytes.TrimSpace(body)) == 0:
		return s + " without a body"
	}
	return s + ": " + text.Foreign(string(body[:min(len(body), 4*MaxText)]), MaxText/2)
}
