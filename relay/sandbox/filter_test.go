package sandbox

import (
	"strings"
	"testing"
)

func TestParseFilter(t *testing.T) {
	it := mailItem{messageID: "<a'b@c>", draft: true}
	for filter, want := range map[string]bool{
		"":                                true,
		"internetMessageId eq '<a''b@c>'": true,
		"internetMessageId eq '<A''B@C>'": true,
		"internetMessageId eq '<b@c>'":    false,
		"isDraft eq false":                false,
		"isDraft eq true and internetMessageId eq '<a''b@c>'": true,
		"isDraft eq true and internetMessageId eq 'x'":        false,
	} {
		matches, err := parseFilter(filter)
		if err != nil || matches(it) != want {
			t.Errorf("%s: %v, want %v", filter, err, want)
		}
	}
	for _, filter := range []string{"subject eq 'x'", "isDraft eq true or isDraft eq false",
		"internetMessageId eq '<a'b@c>'", "internetMessageId eq 'x", "isDraft eq true and "} {
		if _, err := parseFilter(filter); err == nil {
			t.Errorf("%s passes", filter)
		}
	}
}

// A filter that is taken says only what is supported, and never panics.
func FuzzParseFilter(f *testing.F) {
	for _, s := range []string{"", "isDraft eq true", "internetMessageId eq '<a''b@c>' and isDraft eq false",
		"singleValueExtendedProperties/Any(ep: ep/id eq 'x' and ep/value eq 'y')"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if matches, err := parseFilter(s); err == nil {
			matches(mailItem{})
			if strings.Contains(s, " or ") && !strings.Contains(s, "'") {
				t.Errorf("%q passes", s)
			}
		}
	})
}
