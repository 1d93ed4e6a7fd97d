package bounce

import (
	"mime"
	"strings"
)

// Field is a field of a header, unfolded.
type Field struct{ Name, Value string }

// Kind is what a header says of its message.
type Kind int

// The kinds.
const (
	Other  Kind = iota // no report of delivery
	Notice             // a delivery status notification: of a failure, a delay or a success
	NDR                // one by which Exchange reports a failure
)

// Judge says by its structure what a message is. A receipt of reading, the reply of
// somebody who is away, or a forwarded NDR is Other.
func Judge(header []Field) Kind {
	ndr, report, automatic, path := false, false, false, "none"
	for _, f := range header {
		switch strings.ToLower(f.Name) {
		case "x-ms-exchange-message-is-ndr":
			ndr = true
		case "content-type":
			kind, params, _ := mime.ParseMediaType(f.Value)
			of := strings.ToLower(params["report-type"])
			report = kind == "multipart/report" && (of == "" || of == "delivery-status")
		case "auto-submitted":
			word, _, _ := strings.Cut(f.Value, ";")
			automatic = !strings.EqualFold(strings.TrimSpace(word), "no")
		case "return-path":
			path = strings.Trim(f.Value, " \t<>")
		}
	}
	switch {
	case path != "" && path != "none": // somebody sent it
		return Other
	case ndr:
		return NDR
	case report && (automatic || path == ""):
		return Notice
	}
	return Other
}

// maxKeys bounds the Message-IDs that are looked for.
const maxKeys = 8

// messageIDs are the Message-IDs in a field, with their brackets.
func messageIDs(value string) (ids []string) {
	for len(ids) < maxKeys {
		_, rest, found := strings.Cut(value, "<")
		id, after, closed := strings.Cut(rest, ">")
		if !found || !closed {
			break
		}
		if value = after; id != "" && len(id) < 998 && !strings.ContainsAny(id, "< \t\r\n") {
			ids = append(ids, "<"+id+">")
		}
	}
	return ids
}
