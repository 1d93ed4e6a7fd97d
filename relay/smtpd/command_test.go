package smtpd

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
		"mAiL": "MAIL", "sTARTTLS": "STARTTLS", "auth": "AUTH", "HELP": notImplemented, "STARTTLSxyz": unknown, "STARTTLX": unknown, "": unknown,
		"post": notSMTP, "QUI": unknown, "BDAT": "BDAT", strings.Repeat("x", 99): unknown,
	} {
		if got := verbOf([]byte(in)); got != want {
			t.Errorf("verbOf(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestParseChunk(t *testing.T) {
	for in, want := range map[string]chunk{"0": {0, false}, "5 LAST": {5, true}, "5  last": {5, true}, "9223372036854775807": {1<<63 - 1, false}} {
		if got, ok := parseChunk(in); !ok || got != want {
			t.Errorf("parseChunk(%q) = %v, %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "-1", "+1", "x", "1 FIRST", "1 LAST x", "9223372036854775808", "0x5", "1LAST"} {
		if got, ok := parseChunk(in); ok {
			t.Errorf("parseChunk(%q) = %v", in, got)
		}
	}
}

func TestOneLine(t *testing.T) {
	if got := oneLine("a\r\n250 é\x00"); got != "a??250 ???" {
		t.Errorf("%q", got)
	}
	if got := oneLine(strings.Repeat("x", 9999)); len(got) > 400 {
		t.Error(len(got))
	}
}

func TestPolishedRepliesEchoNothing(t *testing.T) {
	for _, c := range [][3]string{
		{"MAIL", "250 2.0.0 Roger, accepting mail from <x>\r\n", "250 2.1.0 Sender ok\r\n"},
		{"RCPT", "250 2.0.0 I'll make sure <x> gets this\r\n", "250 2.1.5 Recipient ok\r\n"},
		{"EHLO", "250-Hello x\r\n250-SIZE 5\r\n250 Y\r\n", "250-h\r\n250-SIZE 5\r\n250 Y\r\n"},
		{"HELO", "250 2.0.0 Hello x\r\n", "250 h\r\n"},
		{"DATA", "502 5.5.1 Missing RCPT TO command.\r\n", "503 5.5.1 Bad sequence of commands\r\n"},
		{"MAIL", "504 5.5.4 SMTPUTF8 is not implemented\r\n", "555 5.5.4 Parameter not recognized or not implemented\r\n"},
		{"RCPT", "550 5.7.1 no\r\n", "550 5.7.1 no\r\n"},
		{"", "502 5.5.1 Command not implemented\r\n", "502 5.5.1 Command not implemented\r\n"},
		{"", "220 h ESMTP Service Ready\r\n", "220 h ESMTP Service Ready\r\n"},
	} {
		if got := string(appendPolished(nil, c[0], "h", []byte(c[1]))); got != c[2] {
			t.Errorf("%s %q became %q, want %q", c[0], c[1], got, c[2])
		}
	}
}
