package charset

import (
	"io"
	"runtime"
	"strings"
	"testing"
)

// A label that lies or is unknown does not make text unreadable.
func TestTextBecomesUTF8(t *testing.T) {
	for _, c := range []struct{ in, label, want string }{
		{"café", "", "café"},
		{"café", "us-ascii", "café"},
		{"caf\xe9", "", "café"},
		{"caf\xe9 \x80", "x-klingon", "café €"},
		{"caf\xe9", "'ISO-8859-1'", "café"},
		{"caf\x82", "ibm850", "café"},
		{"caf\x82", "CP437", "café"},
		{"\x93\xfa\x96\x7b", "cp932", "日本"},
		{"+AAo-", "utf-7", "+AAo-"}, // a way to hide characters: not decoded
	} {
		if got := ToUTF8(c.in, c.label); got != c.want {
			t.Errorf("%q as %q: %q, want %q", c.in, c.label, got, c.want)
		}
		open := func() io.Reader { return strings.NewReader(c.in) }
		e, err := Of(c.label, open)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(Reader(open(), e)); err != nil || string(got) != c.want {
			t.Errorf("%q as %q: read %q, %v, want %q", c.in, c.label, got, err, c.want)
		}
	}
}

func TestReadersHoldNoNUL(t *testing.T) {
	got, err := io.ReadAll(Reader(strings.NewReader("a\x00\xff"), nil))
	if err != nil || string(got) != "a\ufffd\ufffd" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestDecodeWords(t *testing.T) {
	for in, want := range map[string]string{
		"=?utf-8?q?Gr=C3=BC=C3=9Fe?= =?iso-8859-1?q?_=E4?=": "Grüße ä",
		"=?shift_jis?b?k/qWew==?= caf\xe9":                  "日本 café",
		"=?utf-8?q?a":                                       "=?utf-8?q?a",
		"=?utf-8?b?!!?=":                                    "=?utf-8?b?!!?=",
		"=?x-none?q?a=41?=":                                 "aA",
	} {
		if got := DecodeWords(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	if got := Clean("a\r\n\x1b\x9b\u0085\xffü", '?'); got != "a???\ufffd?\ufffdü" {
		t.Errorf("%q", got)
	}
}

// The decoder of each word was made of three readers with buffers: a header of
// words cost ten seconds.
func TestManyEncodedWordsCostLittle(t *testing.T) {
	for _, word := range []string{"=?big5?q?a?= ", "=?iso-2022-jp?q?a?= ", "=?x?q?a?= ", "=?gb18030?b?YQ==?=",
		"=?utf-8?q?a?= "} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_ = DecodeWords(strings.Repeat(word, 20_000))
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 20_000*2048 {
			t.Errorf("20,000 words %s took %d bytes of memory", word, got)
		}
	}
}
