package harness

import (
	"net/mail"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"golang.org/x/net/idna"
)

// Sent is a message as a client handed it over.
type Sent struct {
	From string
	To   []string // the envelope's recipients
	Data string   // after dot-unstuffing, before any other change
}

// The fields that the relay may add above the ones it got, or take away.
var (
	addable = []string{"received", "bcc", "date", "message-id", "x-graphrelay-id",
		"x-graphrelay-to", "x-graphrelay-cc"}
	removable = []string{"bcc", "resent-to", "resent-cc", "resent-bcc", "apparently-to", "return-path"}
	trimmable = []string{"to", "cc"}
)

// CompareMessage fails the test unless what arrived is what was sent: the body
// byte for byte after making line ends CRLF, every field of the header byte for
// byte and in order but for those that name recipients, no unexpected field,
// and as recipients exactly the envelope's.
func CompareMessage(t testing.TB, sent Sent, got []byte) {
	t.Helper()
	sentFields, sentBody := Split(CRLF(sent.Data))
	gotFields, gotBody := Split(string(got))
	if gotBody != sentBody {
		at := firstDifference(gotBody, sentBody)
		t.Errorf("the body differs at octet %d of %d (%d sent):\n got %q\nwant %q",
			at, len(gotBody), len(sentBody), around(gotBody, at), around(sentBody, at))
	}
	compareFields(t, sentFields, gotFields)
	if got, want := HeaderRecipients(t, gotFields), Folded(sent.To); !slices.Equal(got, want) {
		t.Errorf("Graph would send to %q, the envelope says %q", got, want)
	}
}

// compareFields takes from both lists what may differ; the rest must be equal.
func compareFields(t testing.TB, sent, got []string) {
	t.Helper()
	had := map[string]bool{}
	for _, f := range sent {
		had[fieldName(f)] = true
	}
	keepSent := slices.DeleteFunc(slices.Clone(sent), func(f string) bool {
		return slices.Contains(removable, fieldName(f)) || trimmed(f, got)
	})
	for i, f := range keepSent {
		if slices.Contains(authors, fieldName(f)) {
			keepSent[i] = aLabels(f)
		}
	}
	sentSet := map[string]bool{}
	for _, f := range keepSent {
		sentSet[f] = true
	}
	keepGot := slices.DeleteFunc(slices.Clone(got), func(f string) bool {
		name := fieldName(f)
		mayAdd := slices.Contains(addable, name) && (!had[name] || name == "received" || name == "bcc")
		return !sentSet[f] && (mayAdd || slices.Contains(trimmable, name))
	})
	if !slices.Equal(keepGot, keepSent) {
		t.Errorf("the header differs:\n got %q\nwant %q", keepGot, keepSent)
	}
}

// trimmed reports whether a To or Cc field was rewritten: then the original must
// be in the X-Graphrelay field, or only the domains are written as A-labels, or
// only names are encoded in another way.
func trimmed(f string, got []string) bool {
	name := fieldName(f)
	if !slices.Contains(trimmable, name) || slices.Contains(got, f) {
		return false
	}
	if slices.Contains(got, aLabels(f)) || slices.ContainsFunc(got, func(g string) bool { return saysTheSame(f, g) }) {
		return true
	}
	want := unfold(f[strings.IndexByte(f, ':')+1:])
	return slices.ContainsFunc(got, func(g string) bool {
		return fieldName(g) == "x-graphrelay-"+name && unfold(g[strings.IndexByte(g, ':')+1:]) == want
	})
}

var domains = regexp.MustCompile(`@[^\s<>,;"()]+`)

// authors have their domains written in A-labels.
var authors = []string{"from", "sender", "resent-from", "resent-sender"}

// aLabels writes the domains of a field in ASCII.
func aLabels(f string) string {
	return domains.ReplaceAllStringFunc(f, func(domain string) string {
		ascii, err := idna.Lookup.ToASCII(domain[1:])
		if err != nil {
			return domain
		}
		return "@" + ascii
	})
}

func unfold(s string) string { return strings.Join(strings.Fields(s), " ") }

// CRLF makes every line end CRLF, as the relay promises to.
func CRLF(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

// Split cuts a message into its fields, folded lines included, and its body.
func Split(message string) (fields []string, body string) {
	for message != "" {
		line, rest, _ := strings.Cut(message, "\r\n")
		switch {
		case line == "":
			return fields, rest
		case (line[0] == ' ' || line[0] == '\t') && len(fields) > 0:
			fields[len(fields)-1] += "\r\n" + line
		case !strings.Contains(line, ":"):
			return fields, message
		default:
			fields = append(fields, line)
		}
		message = rest
	}
	return fields, ""
}

// Field returns the unfolded value of the first field of this name.
func Field(fields []string, name string) string {
	for _, f := range fields {
		if fieldName(f) == strings.ToLower(name) {
			return unfold(f[strings.IndexByte(f, ':')+1:])
		}
	}
	return ""
}

// HeaderRecipients reads To, Cc and Bcc by net/mail: the addresses to which
// Graph would send, in lower case and sorted.
func HeaderRecipients(t testing.TB, fields []string) []string {
	t.Helper()
	var all []string
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ":")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "to", "cc", "bcc":
			if unfold(value) == "" {
				continue
			}
			list, err := mail.ParseAddressList(unfold(value))
			if err != nil {
				t.Errorf("%s: %v", f, err)
			}
			for _, a := range list {
				all = append(all, a.Address)
			}
		}
	}
	return Folded(all)
}

// Folded sorts addresses in lower case, domains as A-labels, and drops
// repetitions.
func Folded(list []string) []string {
	out := make([]string, 0, len(list))
	for _, a := range list {
		local, domain, _ := strings.Cut(strings.ToLower(a), "@")
		if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
			domain = ascii
		}
		out = append(out, local+"@"+domain)
	}
	sort.Strings(out)
	return slices.Compact(out)
}

func fieldName(f string) string {
	name, _, _ := strings.Cut(f, ":")
	return strings.ToLower(strings.TrimSpace(name))
}

func firstDifference(a, b string) int {
	for i := 0; i < min(len(a), len(b)); i++ {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

func around(s string, at int) string { return s[max(0, at-40):min(len(s), at+40)] }

// saysTheSame reports whether two fields have the same name and the same people in
// the same order. Blanks in people's names do not count: encoded words add some.
func saysTheSame(f, g string) bool {
	if fieldName(f) != fieldName(g) {
		return false
	}
	people := func(field string) (list []string) {
		all, err := mail.ParseAddressList(unfold(field[strings.IndexByte(field, ':')+1:]))
		if err != nil {
			return []string{field}
		}
		for _, a := range all {
			list = append(list, strings.ReplaceAll(a.Name, " ", "")+"<"+a.Address+">")
		}
		return list
	}
	return slices.Equal(people(f), people(g))
}
