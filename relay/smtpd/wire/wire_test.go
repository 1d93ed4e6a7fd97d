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
		"mAiL": "MAIL", "sTARTTLS": "STARTTLS", "auth": "AUTH", "HELP": NotImplemented,
		"STARTTLSxyz": Unknown, "STARTTLX": Unknown, "": Unknown,
		"post": NotSMTP, "QUI": Unknown, "BDAT": "BDAT", strings.Repeat("x", 99): Unknown,
	} {
		if got := verbOf([]byte(in)); got != want {
			t.Errorf("verbOf(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestParseChunk(t *testing.T) {
	for in, want := range map[string]Chunk{
		"0": {0, false}, "5 LAST": {5, true}, "5  last": {5, true}, "9223372036854775807": {1<<63 - 1, false},
	} {
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

// decode feeds in to a DataDecoder in pieces of step bytes, into room for room
// bytes, and returns the message, and what follows its end if it has one.
func decode(in string, step, room int) (body, rest string, ended bool) {
	var d DataDecoder
	var src, message []byte
	dst := make([]byte, room)
	for {
		written, used, end := d.Decode(dst, src)
		message = append(message, dst[:written]...)
		src = src[used:]
		switch {
		case end:
			return string(message), string(src) + in, true
		case used > 0:
		case in == "":
			return string(message), string(src), false
		default:
			n := min(step, len(in))
			src, in = append(src, in[:n]...), in[n:]
		}
	}
}

func TestDataDecoder(t *testing.T) {
	for _, c := range []struct {
		in, body, rest string
		ended          bool
	}{
		{".\r\n", "", "", true},
		{".\r\nQUIT\r\n", "", "QUIT\r\n", true},
		{"a\r\n.\r\n.\r\n", "a\r\n", ".\r\n", true},
		{"..\r\n...\r\n.\r\n", ".\r\n..\r\n", "", true},
		{"a\n.\n..\n\r\n.\r\n", "a\n.\n..\n\r\n", "", true},
		{"a\r.\r\r\n.\r\n", "a\r.\r\r\n", "", true},
		{"a\r\n.", "a\r\n", ".", false},
		{"a\r\n.\r", "a\r\n", ".\r", false},
		{"a\r\n.\rb", "a\r\n\rb", "", false},
		{"a", "a", "", false},
	} {
		for _, step := range []int{1, 2, 3, 1000} {
			for _, room := range []int{1, 2, 1000} {
				if body, rest, ended := decode(c.in, step, room); body != c.body || rest != c.rest || ended != c.ended {
					t.Errorf("%q by %d into %d: %q, then %q, ended %t", c.in, step, room, body, rest, ended)
				}
			}
		}
	}
}

// However a message is cut into pieces, it decodes to the same, and only
// CRLF.CRLF ends it.
func FuzzDataDecoder(f *testing.F) {
	f.Add("a\r\n..b\r\n.\r\nNOOP\r\n", byte(1), byte(1))
	f.Add("\r\n\r.\n.\r\r\n.\r\n", byte(2), byte(3))
	f.Fuzz(func(t *testing.T, in string, step, room byte) {
		body, rest, ended := decode(in, 1+int(step), 1+int(room))
		whole, wholeRest, wholeEnded := decode(in, len(in)+1, len(in)+1)
		if body != whole || rest != wholeRest || ended != wholeEnded {
			t.Fatalf("%q by %d into %d: %q, then %q; at once %q, then %q", in, step, room, body, rest, whole, wholeRest)
		}
		if end := strings.Index("\r\n"+in, "\r\n.\r\n"); ended != (end >= 0) || ended && rest != in[end+3:] {
			t.Fatalf("%q: end at %d, found %t, rest %q", in, end, ended, rest)
		}
	})
}

// What go-smtp reads is one line without control characters, whatever came.
func FuzzParseCommand(f *testing.F) {
	for _, seed := range []string{
		"mail from:<a@b> size=99999999999", "RCPT TO:<root>", "BDAT 5 LAST", "STARTTLSx", `RCPT TO:<"\`,
		`rcpt to:<"a b"@c> notify=NEVER ORCPT=rfc822;a+20b`, "MAIL FROM:a RET=FULL ENVID=x SIZE=1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		c, ok := ParseCommand([]byte(in))
		if !ok {
			return
		}
		arg := c.Arg
		n, ok := c.CutNotify()
		if !ok || !n.Given && c.Arg != arg {
			if ok {
				t.Fatalf("%q became %q", arg, c.Arg)
			}
			return
		}
		if again, ok := c.CutNotify(); !ok || again.Given {
			t.Fatalf("%q became %q, which has more of these parameters", arg, c.Arg)
		}
		line := string(c.ForLibrary(nil))
		body, found := strings.CutSuffix(line, "\r\n")
		if !found || strings.ContainsAny(strings.ReplaceAll(body, "@"+noDomain, ""), "\r\n\x00\x01\x7f") {
			t.Fatalf("%q became %q", in, line)
		}
	})
}
