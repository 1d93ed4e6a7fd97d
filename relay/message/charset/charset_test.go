package charset

import (
	"io"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"
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
		{"A+ImIDkQ-. 1 +- 1, x+AOk", "UTF-7", "A≢Α. 1 + 1, xé"},
		{"+2D3eAA!", "unicode-1-1-utf-7", "\U0001f600!"}, // a pair of surrogates
		{"a\xe4b", "utf-7", "a\ufffdb"},
		{"+A +AB-x +", "utf-7", "+A +AB-x +"}, // nothing that decodes
		{"caf\x82", "CP-850", "café"},
		{"caf\x82", "cp_850", "café"},
		{"caf\x82", "x-cp850", "café"},
		{"\xa5", "cp852", "ą"},
		{"\xc4\xe3", "cp936", "你"},
		{"\xb0\xa1", "ms949", "가"},
		{"\xb0\xa1", "ks_c_5601-1987", "가"},
		{"\xfa", "CP-1250", "ú"},
		{"\xa4", "latin-9", "€"},
		{"\xff\xfeh\x00\xe9\x00", "utf-16", "hé"},
		{"\xfe\xff\x00h\x00\xe9", "UTF-16", "hé"},
		{"h\x00\xe9\x00", "utf-16", "hé"},
		{"\xff\xfe\x00\x00h\x00\x00\x00", "utf-32", "h"},
		{"caf\xe9", "iso_8859_1", "café"},
		{"caf\xe9", "iso-8859-1*en", "café"},
	} {
		if got := ToUTF8(c.in, c.label); got != c.want {
			t.Errorf("%q as %q: %q, want %q", c.in, c.label, got, c.want)
		}
		open := func() io.Reader { return strings.NewReader(c.in) }
		r := NewReader(open(), Guess(c.label, []byte(c.in)))
		got, err := io.ReadAll(r)
		if r.Alien() {
			got, err = io.ReadAll(NewReader(open(), Fallback))
		}
		if err != nil || string(got) != c.want {
			t.Errorf("%q as %q: read %q, %v, want %q", c.in, c.label, got, err, c.want)
		}
	}
}

func TestReadersHoldNoNUL(t *testing.T) {
	got, err := io.ReadAll(NewReader(strings.NewReader("a\x00\xff"), nil))
	if err != nil || string(got) != "a\ufffd\ufffd" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestDecodeWords(t *testing.T) {
	for in, want := range map[string]string{
		"=?utf-8?q?Gr=C3=BC=C3=9Fe?= =?iso-8859-1?q?_=E4?=":              "Grüße ä",
		"=?shift_jis?b?k/qWew==?= caf\xe9":                               "日本 café",
		"=?utf-8?q?a":                                                    "=?utf-8?q?a",
		"=?utf-8?b?!!?=":                                                 "=?utf-8?b?!!?=",
		"=?x-none?q?a=41?=":                                              "aA",
		"=?utf-8?B?QWxhcm0gMQ?= <n@x>":                                   "Alarm 1 <n@x>", // no padding
		"=?utf-8?B?TGEgUG9zdGUgTW9iaWxl==?=":                             "La Poste Mobile",
		"=?utf-8?B?4oK_4oK-?=":                                           "\u20bf\u20be", // the alphabet for URLs
		"=?utf-8?B?w6Q?= =?UTF-8?B?w7w?=":                                "äü",
		"=?utf-8?B?w?= =?utf-8?B?6Q=?=":                                  "ä", // cut within a group
		"=?utf-8?Q?=C3?= =?utf-8?Q?=A4?=":                                "ä", // and within a character
		"=?iso-8859-1?B?5A?= =?iso-8859-1?B?5A?=":                        "ää",
		"=?iso-2022-jp?B?GyRCRnwbKEI=?=\t=?iso-2022-jp?B?GyRCS1wbKEI=?=": "日本",
		"=?iso-8859-1?Q?M\xfcller?=":                                     "Müller", // raw 8-bit as the label says
		"=?iso-8859-1?Q?Müller?=":                                        "Müller", // and as it does not
		"=?utf-8?Q?two words?=":                                          "two words",
		"a=?utf-8?Q?b?=c":                                                "abc",
		"=?utf-8*en?Q?b?=":                                               "b",
		"=?utf-8?Q?what??=":                                              "what?",
		"=?utf-8?Q?open =?utf-8?Q?b?=":                                   "=?utf-8?Q?open b",
		"=? x =?utf-8?Q?=ZZ=4?=":                                         "=? x =ZZ=4",
	} {
		if got := DecodeWords(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestRaw(t *testing.T) {
	for _, c := range []struct{ in, label, want string }{
		{"\xc4\xe3", "gbk", "你"}, {"\xc4\xe3", "utf-16", "Äã"}, {"\xc4\xe3", "utf-7", "Äã"},
		{"\xc4\xe3", "cp037", "Äã"}, {"\xc4\xe3", "", "Äã"}, {"ä", "gbk", "ä"}, {"\xe4", "gbk", "ä"},
	} {
		if got := Raw(c.in, c.label); got != c.want {
			t.Errorf("%q beside %s: %q, want %q", c.in, c.label, got, c.want)
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
		"=?utf-8?q?a?= ", "=?a?b?", "=?a?q?", "=?utf-8?b?Q?= "} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_ = DecodeWords(strings.Repeat(word, 20_000))
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 20_000*2048 {
			t.Errorf("20,000 words %s took %d bytes of memory", word, got)
		}
	}
}

// Decoding any header ends with valid UTF-8, and leaves text without words as it is.
func FuzzDecodeWords(f *testing.F) {
	for _, s := range []string{"=?utf-8?q?a=C3?= =?utf-8?b?w6Q?=", "=?utf-7?q?+AAo-?= +", "=?a?b?QQ=?", "=?big5?b?/" +
		"////w?=\xff",
		"=?utf-16?b?2D0?=", "=?iso-2022-jp?q?=1B$B?= =?iso-2022-jp?q?F|?=",
		"=?utf-7?q?0=80?=0", "=?utf7?q?\xff?="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := DecodeWords(s)
		if !utf8.ValidString(got) {
			t.Errorf("%q", got)
		}
		if !strings.Contains(s, "=?") && utf8.ValidString(s) && got != s {
			t.Errorf("%q became %q", s, got)
		}
	})
}
