package wire

import (
	"strings"
	"testing"
)

func TestMarkBarePath(t *testing.T) {
	for in, want := range map[string]string{
		"TO:<root>":             "TO:<root@\x01>",
		"TO: <root> X=1":        "TO: <root@\x01> X=1",
		"TO:root X=a@b":         "TO:root@\x01 X=a@b",
		`TO:<"a b">`:            "TO:<\"a b\"@\x01>",
		`TO:<"a@b\"">`:          "TO:<\"a@b\\\"\"@\x01>",
		"TO:<a@b>":              "TO:<a@b>",
		`TO:<"x>y"@b> SIZE=1`:   `TO:<"x>y"@b> SIZE=1`,
		"TO:<>":                 "TO:<>",
		"TO:":                   "TO:",
		"TO":                    "TO",
		"TO:<root":              "TO:<root",
		`TO:"open`:              `TO:"open`,
		"TO:<@relay.example:a>": "TO:<@relay.example:a>",
	} {
		if got := markBarePath(in); got != want {
			t.Errorf("markBarePath(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestClampSize(t *testing.T) {
	for in, want := range map[string]string{
		"FROM:<a@b> SIZE=4294967296":                  "FROM:<a@b> SIZE=4294967295",
		"FROM:<a@b> size=99999999999999999999 BODY=x": "FROM:<a@b> SIZE=4294967295 BODY=x",
		"FROM:<a@b> SIZE=4294967295":                  "FROM:<a@b> SIZE=4294967295",
		"FROM:<a@b>  SIZE=12":                         "FROM:<a@b>  SIZE=12",
		"FROM:<a@b> SIZE=9999999999x":                 "FROM:<a@b> SIZE=9999999999x",
		"SIZE=9999999999999":                          "SIZE=9999999999999",
	} {
		if got := clampSize(in); got != want {
			t.Errorf("clampSize(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestVerbOf(t *testing.T) {
	for in, want := range map[string]string{
		"mAiL": "MAIL", "sTARTTLS": "STARTTLS", "auth": "AUTH", "HELP": NotImplemented, "STARTTLSxyz": Unknown, "STARTTLX": Unknown, "": Unknown,
		"post": NotSMTP, "QUI": Unknown, "BDAT": "BDAT", strings.Repeat("x", 99): Unknown,
	} {
		if got := verbOf([]byte(in)); got != want {
			t.Errorf("verbOf(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestParseChunk(t *testing.T) {
	for in, want := range map[string]Chunk{"0": {0, false}, "5 LAST": {5, true}, "5  last": {5, true}, "9223372036854775807": {1<<63 - 1, false}} {
		if got, ok := ParseChunk(in); !ok || got != want {
			t.Errorf("ParseChunk(%q) = %v, %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "-1", "+1", "x", "1 FIRST", "1 LAST x", "9223372036854775808", "0x5", "1LAST"} {
		if got, ok := ParseChunk(in); ok {
			t.Errorf("ParseChunk(%q) = %v", in, got)
		}
	}
}

func TestOneLine(t *testing.T) {
	if got := OneLine("a\r\n250 é\x00"); got != "a??250 ???" {
		t.Errorf("%q", got)
	}
	if got := OneLine(strings.Repeat("x", 9999)); len(got) > 400 {
		t.Error(len(got))
	}
}
