package sandbox

import (
	"bytes"
	"mime"
	"net/mail"
	"slices"
	"strings"
)

// recognise reads the top header block twice: strictly with net/mail, and
// generously with a reader that finds everything some server might find.
// Recipients are those of either reading, so that a header which two readers
// could cut differently shows as mail to more people, never to fewer.
//
// Graph takes recipients only from To, Cc and Bcc [D user-post-messages]; what
// Resent-* and Apparently-To say is noted and not counted.
//
// With fast set only the generous reading is made, for load tests.
func recognise(m *Message, header, raw []byte, fast bool) {
	header = headerBlock(header)
	fields := generousFields(header)
	m.Subject = decodeWords(first(fields, "subject"))
	m.MessageID = first(fields, "message-id")
	m.From = decodeWords(first(fields, "from"))
	m.Sender = first(fields, "sender")
	m.To, m.Cc, m.Bcc = generousAddresses(fields, "to"), generousAddresses(fields,
		"cc"), generousAddresses(fields, "bcc")
	m.FromAddresses = generousAddresses(fields, "from")
	m.badFrom = slices.ContainsFunc(values(fields, "from"), bareAddressAsName)
	m.Lenient = unite(m.To, m.Cc, m.Bcc)
	m.Recipients = m.Lenient
	if fast {
		return
	}
	m.readStrictly(header)
	m.note(fields, header)
	m.Parts = parts(raw)
}

// readStrictly adds the reading of net/mail and notes where it differs.
func (m *Message) readStrictly(header []byte) {
	parsed, err := mail.ReadMessage(bytes.NewReader(header))
	if err != nil {
		m.Notes = append(m.Notes, "strict reader: "+printable(err.Error()))
		return
	}
	var lists [4][]string
	for i, name := range []string{"From", "To", "Cc", "Bcc"} {
		list, err := strictAddresses(parsed.Header[name])
		if err != nil {
			m.Notes = append(m.Notes, "strict reader: "+name+": "+printable(err.Error()))
		}
		lists[i] = list
	}
	m.FromAddresses = unite(m.FromAddresses, lists[0])
	m.Strict = unite(lists[1], lists[2], lists[3])
	m.Recipients = unite(m.Lenient, m.Strict)
	if len(m.Strict) != len(m.Recipients) || len(m.Lenient) != len(m.Recipients) {
		m.Notes = append(m.Notes, "two readings of the recipients differ")
	}
}

// strictAddresses reads every field of one name; an empty list is no error.
func strictAddresses(fields []string) ([]string, error) {
	var list []string
	for _, value := range fields {
		if strings.TrimSpace(value) == "" {
			continue
		}
		parsed, err := mail.ParseAddressList(value)
		if err != nil && !strings.Contains(err.Error(), "empty group") {
			return list, err
		}
		for _, a := range parsed {
			quoted := (&mail.Address{Address: a.Address}).String() // the quotes of a local part are back
			list = append(list, quoted[1:len(quoted)-1])
		}
	}
	return list, nil
}

// note records what is worth seeing in a test or on the page.
func (m *Message) note(fields []field, header []byte) {
	count := map[string]int{}
	for _, f := range fields {
		count[f.name]++
	}
	for _, name := range []string{"from", "sender", "to", "cc", "bcc", "subject", "date", "message-id"} {
		if count[name] > 1 {
			m.Notes = append(m.Notes, "more than one "+name+" field")
		}
	}
	for _, name := range []string{"resent-to", "resent-cc", "resent-bcc", "apparently-to"} {
		if count[name] > 0 {
			m.Notes = append(m.Notes, "has "+name)
		}
	}
	if bytes.Count(header, []byte("\n")) != bytes.Count(header, []byte("\r\n")) {
		m.Notes = append(m.Notes, "bare LF in the header")
	}
	if m.badFrom {
		m.Notes = append(m.Notes, "an unquoted address as display name in From")
	}
}

// headerBlock cuts the header off at the first empty line.
func headerBlock(b []byte) []byte {
	if bytes.HasPrefix(b, []byte("\n")) || bytes.HasPrefix(b, []byte("\r\n")) {
		return nil
	}
	if end := headerEnd(b); end >= 0 {
		return b[:end]
	}
	return b
}

// headerEnd is the offset behind the first empty line, or -1.
func headerEnd(b []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return -1
		}
		at += i + 1
		if bytes.HasPrefix(b[at:], []byte("\n")) {
			return at + 1
		}
		if bytes.HasPrefix(b[at:], []byte("\r\n")) {
			return at + 2
		}
	}
}

// field is a header field; its name is in lower case, its value unfolded.
type field struct{ name, value string }

// generousFields takes CR, LF and CRLF as line ends, any blank at the start of
// a line as a fold, blanks before the colon, and skips lines that are no field.
func generousFields(header []byte) []field {
	var fields []field
	for line := range strings.FieldsFuncSeq(string(header), func(c rune) bool { return c == '\r' || c == '\n' }) {
		if (line[0] == ' ' || line[0] == '\t') && len(fields) > 0 {
			fields[len(fields)-1].value += " " + strings.TrimSpace(line)
			continue
		}
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields = append(fields, field{strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)})
		}
	}
	return fields
}

func values(fields []field, name string) []string {
	var list []string
	for _, f := range fields {
		if f.name == name {
			list = append(list, f.value)
		}
	}
	return list
}

func first(fields []field, name string) string {
	for _, f := range fields {
		if f.name == name {
			return f.value
		}
	}
	return ""
}

func generousAddresses(fields []field, name string) []string {
	var list []string
	for _, value := range values(fields, name) {
		list = unite(list, scanAddresses(value))
	}
	return list
}

// scanAddresses finds every address in an address list: what stands in angle
// brackets, else each word with an @.
func scanAddresses(value string) []string {
	var list []string
	for _, element := range splitAddresses(value) {
		if open := strings.LastIndexByte(element, '<'); open >= 0 {
			inside, _, _ := strings.Cut(element[open+1:], ">")
			element = inside
		}
		for _, word := range words(element) {
			if at := strings.LastIndexByte(word, '@'); at >= 0 {
				before, _, _ := strings.Cut(word[:at], `"`)
				route := strings.LastIndexByte(before, ':') // or the name of a group
				list = append(list, word[route+1:])
			}
		}
	}
	return list
}

// words splits at blanks outside quotes.
func words(element string) []string {
	var list []string
	start := 0
	for i := 0; i <= len(element); i++ {
		if i == len(element) || element[i] == ' ' || element[i] == '\t' {
			list = append(list, element[start:i])
			start = i + 1
		} else if element[i] == '"' {
			i = max(i, closing(element, i, '"'))
		}
	}
	return list
}

// splitAddresses cuts at commas and semicolons outside quotes and brackets, and
// drops comments and quoted display names. A quote or bracket that is never
// closed counts as an ordinary character, so that nothing hides behind it.
func splitAddresses(value string) []string {
	var list []string
	var element strings.Builder
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case c == '"' && closing(value, i, '"') > 0:
			end := closing(value, i, '"')
			if end+1 < len(value) && value[end+1] == '@' { // a quoted local part
				element.WriteString(value[i : end+1])
			}
			i = end
		case c == '(' && closing(value, i, ')') > 0:
			i = closing(value, i, ')')
			element.WriteByte(' ')
		case c == ',' || c == ';':
			list = append(list, element.String())
			element.Reset()
		default:
			element.WriteByte(c)
		}
	}
	return append(list, element.String())
}

// closing finds the end of what opens at value[open], or 0. Comments nest.
func closing(value string, open int, end byte) int {
	depth := 0
	for i := open + 1; i < len(value); i++ {
		switch {
		case value[i] == '\\':
			i++
		case value[i] == end && depth == 0:
			return i
		case value[i] == end:
			depth--
		case value[i] == '(' && end == ')':
			depth++
		}
	}
	return 0
}

// bareAddressAsName finds `a@b <a@b>`, which Exchange answers with
// ErrorSendAsDenied [I].
func bareAddressAsName(from string) bool {
	for _, element := range splitAddresses(from) {
		name, _, bracket := strings.Cut(element, "<")
		if bracket && strings.Contains(name, "@") {
			return true
		}
	}
	return false
}

// unite joins lists without repetitions, ignoring case.
func unite(lists ...[]string) []string {
	var all []string
	seen := map[string]bool{}
	for _, address := range slices.Concat(lists...) {
		if !seen[fold(address)] {
			seen[fold(address)] = true
			all = append(all, address)
		}
	}
	return all
}

// decodeWords shows encoded words as text; what cannot be decoded stays.
func decodeWords(s string) string {
	decoded, err := new(mime.WordDecoder).DecodeHeader(s)
	if err != nil {
		return s
	}
	return decoded
}
