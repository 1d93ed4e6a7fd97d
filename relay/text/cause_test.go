package text

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestACauseSurvivesItsLine(t *testing.T) {
	for line, want := range map[string]Cause{
		"Client secret expired; make a new one; no restart is needed [Entra answered 401: AADSTS7000222 [x]; y]": {
			"Client secret expired", "make a new one; no restart is needed",
			"Entra answered 401: AADSTS7000222 [x]; y"},
		"Mailbox full":      {Headline: "Mailbox full"},
		"Mailbox full [507": {Headline: "Mailbox full", Detail: "507"}, // cut by a store
	} {
		if got := ReadCause(line); got != want {
			t.Errorf("%q: %+v, want %+v", line, got, want)
		}
		if back := want.String(); strings.TrimSuffix(back, "]") != strings.TrimSuffix(line, "]") {
			t.Errorf("%+v is %q, want %q", want, back, line)
		}
	}
}

func TestACauseOfForeignText(t *testing.T) {
	long := strings.Repeat("é long ", 40)
	for line, want := range map[string]string{
		"the disk is full; free space": "The disk is full", "smtp.tls is wrong": "smtp.tls is wrong",
		"a@b.example is full": "a@b.example is full", "two\nlines": `two\nlines`, "": "",
		long: string([]rune(long)[:MaxHeadline-3]) + "...",
	} {
		c := ReadCause(line)
		if c.Headline != want || utf8.RuneCountInString(c.Headline) > MaxHeadline {
			t.Errorf("%q: headline %q, want %q", line, c.Headline, want)
		}
		if line == long && !strings.Contains(c.Detail, strings.TrimSpace(long)) {
			t.Errorf("the rest of a long text is lost: %+v", c)
		}
	}
}
