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
	encoding    string            // base64, quotedPrintable or uuencode; "" for none
	disposition string            // "inline", "attachment", or something else in lower case; "" for none
	name        string            // file name of either field, decoded
	contentID   string            // without angle brackets
	location    string            // Content-Location
	strange     string            // a transfer encoding in other words than those of RFC 2045
}

// readPartHead reads the fields that matter; the first of several with the same
// name counts that is not empty. fallback is the type of a part that names none.
func readPartHead(header []byte, fallback string) partHead {
	values := map[string]string{}
	for _, f := range partFields(header) {
		if values[f[0]] == "" {
			values[f[0]] = f[1]
		}
	}
	var h partHead
	h.encoding, h.strange = transferEncoding(values["content-transfer-encoding"])
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
	h.location = strings.Trim(strings.ReplaceAll(values["content-location"], " ", ""), `"<>`)
	return h
}

// transferEncoding recognizes an encoding by what its misspelt and commented
// names have in common; strange is the value unless it is the name itself.
func transferEncoding(value string) (encoding, strange string) {
	value = strings.ToLower(strings.TrimSpace(value))
	name := strings.Trim(withoutComments(value), " \t\"';,.")
	switch {
	case strings.Contains(name, "64") && !strings.Contains(name, "zip"):
		encoding = base64
	case strings.Contains(name, "quoted"), strings.Contains(name, "printable"), name == "qp":
		encoding = quotedPrintable
	case strings.Contains(name, "uu"):
		encoding = uuencode
	case name == "", name == "7bit", name == "8bit", name == "binary":
		return "", ""
	}
	if value == encoding || value == "x-uuencode" {
		return encoding, ""
	}
	return encoding, value
}

// withoutComments leaves out what is in parentheses. One that does not end is a
// comment up to the end.
func withoutComments(s string) string {
	var b strings.Builder
	depth := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth == 0:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// boundary is what the delimiters of a multipart begin with after two hyphens.
func (h partHead) boundary() string { return strings.TrimRight(h.params["boundary"], " \t") }

// meant lists what delimiters may look like, blanks and quotes aside, where none
// is as the boundary says: one with a comment, in single quotes, in two lines, or
// the second of two.
func (h partHead) meant() (all []string) {
	for _, b := range []string{h.params["boundary"], h.params["boundary*"]} {
		if b != "" && len(b) <= 2*maxBoundary {
			all = append(all, plainBoundary(b), plainBoundary(withoutComments(b)))
		}
	}
	return all
}

var plain = strings.NewReplacer(" ", "", "\t", "", "'", "", `"`, "")

func plainBoundary(s string) string { return plain.Replace(s) }

// partFields cuts a header into pairs of name, in lower case, and unfolded value.
func partFields(header []byte) [][2]string {
	var fields [][2]string
	var name string
	var value []byte
	end := func() {
		if name != "" {
			fields = append(fields, [2]string{name, strings.TrimSpace(string(value))})
		}
	}
	for line := range bytes.Lines(header) {
		text := bytes.TrimRight(line, "\r\n")
		if line[0] == ' ' || line[0] == '\t' {
			value = append(value, text...)
			continue
		}
		end()
		before, after, _ := strings.Cut(string(text), ":")
		name, value = strings.ToLower(strings.TrimSpace(before)), append(value[:0], strings.TrimSpace(after)...)
	}
	end()
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
