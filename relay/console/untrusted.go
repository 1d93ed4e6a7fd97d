package console

import (
	"fmt"
	"mime"
	"strings"

	"graphrelay/relay/text"
)

// untrusted is text that came with a mail or from a client. A template shows it
// by String, so that none can forget to make invisible characters visible;
// html/template escapes it besides.
type untrusted string

func (u untrusted) String() string { return text.Lines(string(u)) }

// subject decodes the encoded words of a Subject if it can.
func subject(raw string) untrusted {
	d := mime.WordDecoder{}
	if s, err := d.DecodeHeader(raw); err == nil {
		return untrusted(s)
	}
	return untrusted(raw)
}

func addresses[T fmt.Stringer](list []T) untrusted {
	var all []string
	for _, a := range list {
		all = append(all, a.String())
	}
	return untrusted(strings.Join(all, ", "))
}
