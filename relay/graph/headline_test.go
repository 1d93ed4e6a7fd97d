package graph

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"graphrelay/relay/outcome"
	"graphrelay/relay/text"
)

// TestEveryRowSaysTheCauseFirst: what an administrator reads of each answer that is
// known is one short line in plain words, and then what to do.
func TestEveryRowSaysTheCauseFirst(t *testing.T) {
	jargon := []string{"aadsts", "azidentity", "oauth", "x509", "tls:", "eof", "context ", "json", "http", "raop",
		"nil", "sdk", "payload", "exception", "transient", "catalogue", `\n`, " [", "; "}
	for _, f := range Catalogue() {
		c := f.Answer().Cause()
		name := string(f.Of) + " " + f.HTTP + " " + f.Code + " " + f.When + ": " + c.Headline
		first, _ := utf8.DecodeRuneInString(c.Headline)
		if n := utf8.RuneCountInString(c.Headline); n == 0 || n > text.MaxHeadline || !unicode.IsUpper(first) ||
			strings.HasSuffix(c.Headline, ".") || strings.ContainsAny(strings.Fields(c.Headline + " -")[0], ":@_.") {
			t.Errorf("%s: a headline of %d characters", name, n)
		}
		for _, word := range jargon {
			if strings.Contains(strings.ToLower(c.Headline), word) {
				t.Errorf("%s: %q is nothing that an administrator says", name, word)
			}
		}
		if f.Outcome != outcome.Delivered && (c.Remedy == "" || strings.Contains(c.Remedy, " [")) {
			t.Errorf("%s: remedy %q", name, c.Remedy)
		}
		ends := func(r rune) bool { return strings.ContainsRune(";:,", r) }
		for _, half := range strings.FieldsFunc(c.Remedy, ends) {
			if strings.Count(strings.ToLower(c.String()), strings.ToLower(strings.TrimSpace(half))) > 1 {
				t.Errorf("%s: says %q twice", name, half)
			}
		}
		if got := text.ReadCause(c.String()); got != c {
			t.Errorf("%s: read back as %+v", name, got)
		}
	}
}
