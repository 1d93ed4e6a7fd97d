package text_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"graphrelay/relay/text"
)

func TestInvisibleCharactersAreShown(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                      "plain",
		"Grüße 漢字 ✉":                 "Grüße 漢字 ✉",
		"a\x00\x1b[31mb\x7f":         `a\u0000\u001b[31mb\u007f`,
		"line\r\nnext\tcolumn":       `line\u000d\nnext\tcolumn`,
		"bad \xff\xc3 bytes":         `bad \xff\xc3 bytes`,
		"replaced \uFFFD":            "replaced \uFFFD",
		"bidi \u202e\u2066":          `bidi \u202e\u2066`,
		"no width \u200b\u2060":      `no width \u200b\u2060`,
		"separators \u2028\u2029":    `separators \u2028\u2029`,
		"fillers \u3164\u115f\uffa0": `fillers \u3164\u115f\uffa0`,
		"joiner \u034f":              `joiner \u034f`,
		"braille \u2800":             `braille \u2800`,
		"blank \u00a0":               `blank \u00a0`,
		"tag \U000e0041":             `tag \U000e0041`,
	} {
		if got := text.Line(in); got != want {
			t.Errorf("Line(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestLinesKeepTheirEnds(t *testing.T) {
	if got, want := text.Lines("a\r\nb\n\tc\rd"), "a\nb\n\tc\\u000dd"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"short", 5, "short"}, {"longer", 5, "longe..."}, {"\x01\x02", 6, `\u0001...`},
		{"äö", 2, "ä..."}, {"", 0, ""},
	} {
		if got := text.Cut(c.in, c.limit); got != c.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", c.in, c.limit, got, c.want)
		}
	}
}

func TestWithoutTokens(t *testing.T) {
	jwt := "eyJ0eXAi.eyJhdWQi.c2ln-_="
	if got, want := text.WithoutTokens("a "+jwt+", b "+jwt), "a [token], b [token]"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := text.WithoutTokens(strings.Repeat("no token ", 3)); !strings.HasPrefix(got, "no token") {
		t.Error(got)
	}
}

func TestForeign(t *testing.T) {
	for in, want := range map[string]string{
		"plain text":                        "plain text",
		"a\r\nb\tc\x00":                     `a b\tc\u0000`,
		"Grüße":                             "Grüße",
		"\xff\xfeé":                         `\xff\xfeé`,
		"\ufffd":                            "\ufffd",
		"x\u202ey\u2028z\u00a0":             `x\u202ey\u2028z\u00a0`,
		"it's \"q\"":                        `it's "q"`,
		"Bearer eyJhbGci.eyJ-_.x= done eyJ": "Bearer [token] done [token]",
		strings.Repeat("x", 200):            strings.Repeat("x", 100) + "...",
	} {
		if got := text.Foreign(in, 100); got != want {
			t.Errorf("Foreign(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzForeign(f *testing.F) {
	f.Add("a\nb")
	f.Add("eyJ.eyJ eeyJyJ \xffeyJ")
	f.Fuzz(func(t *testing.T, s string) {
		got := text.Foreign(s, 500)
		// An escape may end in the e of eyJ.
		got = regexp.MustCompile(`\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\U[0-9a-f]{8}`).ReplaceAllString(got, "?")
		control := func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x202e || r == 0x2028 }
		if !utf8.ValidString(got) || strings.ContainsFunc(got, control) || len(got) > 2000 ||
			strings.Contains(got, "eyJ") {
			t.Fatalf("not fit to be shown: %q", got)
		}
	})
}
