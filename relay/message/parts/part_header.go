package parts

import (
	"bytes"
	"strings"
)

const (
	typeText    = "text/plain"
	typeHTML    = "text/html"
	typeMessage = "message/rfc822"
	typeBytes   = "application/octet-stream"
)

// partHead is what the header of a part says.
type partHead struct {
	mediaType   string            // in lower case, always of the form a/b
	params      map[string]string // of Content-Type, names in lower case
	encoding    string            // Content-Transfer-Encoding, in lower case
	disposition string            // "inline", "attachment", or something else in lower case; "" for none
	name        string            // file name of either field, decoded
	contentID   string            // without angle brackets
}

// readPartHead reads the fields that matter; the first of several with the same
// name counts. fallback is the type of a part that names none.
func readPartHead(header []byte, fallback string) partHead {
	values := map[string]string{}
	for _, f := range partFields(header) {
		if _, seen := values[f[0]]; !seen {
			values[f[0]] = f[1]
		}
	}
	h := partHead{encoding: strings.ToLower(firstWord(values["content-transfer-encoding"]))}
	h.mediaType, h.params = readParams(values["content-type"])
	switch {
	case h.mediaType == "" && fallback != "":
		h.mediaType = fallback
	case h.mediaType == "" || h.mediaType == "text": // RFC 2045 section 5.2; "text" comes from old programs
		h.mediaType = typeText
	case !isMediaType(h.mediaType):
		h.mediaType = typeBytes
	}
	var disposition map[string]string
	h.disposition, disposition = readParams(values["content-disposition"])
	h.name = disposition["filename"]
	if h.name == "" {
		h.name = h.params["name"]
	}
	id := strings.TrimSpace(values["content-id"])
	h.contentID = strings.TrimSuffix(strings.TrimPrefix(id, "<"), ">")
	return h
}

// partFields cuts a header into pairs of name, in lower case, and unfolded value.
func partFields(header []byte) [][2]string {
	var fields [][2]string
	for line := range bytes.Lines(header) {
		text := strings.TrimRight(string(line), "\r\n")
		if (line[0] == ' ' || line[0] == '\t') && len(fields) > 0 {
			fields[len(fields)-1][1] += text
			continue
		}
		if name, value, ok := strings.Cut(text, ":"); ok {
			fields = append(fields, [2]string{strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)})
		}
	}
	return fields
}

func firstWord(s string) string {
	s = strings.TrimLeft(s, " \t;(")
	if end := strings.IndexAny(s, " \t;("); end >= 0 {
		s = s[:end]
	}
	return strings.Trim(s, `"`)
}

func isMediaType(s string) bool {
	major, minor, ok := strings.Cut(s, "/")
	return ok && isToken(major) && isToken(minor)
}

func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?=`, c) >= 0 {
			return false
		}
	}
	return s != ""
}
