package envelope

import (
	"strings"
	"testing"
	"time"
)

// A long label costs nothing but reading it: the check comes before the conversion,
// which would complain about the control character.
func TestLengthsAreCheckedBeforeConversion(t *testing.T) {
	wide := strings.Repeat("ü", 40)
	for _, c := range []struct{ domain, want string }{
		{strings.Repeat("ü", 64) + "\x01.example", "label longer than 63"},
		{"xn--" + strings.Repeat("a", 60) + "\x01.example", "label longer than 63"},
		{strings.Repeat(wide+".", 7) + "\x01", "longer than 255"},
		{wide + "。" + wide + ".example", ""},
		{strings.Repeat("中", 63) + ".example", "label longer than 63"}, // only as an A-label
	} {
		_, err := ParseAddress("a@" + c.domain)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: %v, want %q", c.domain, err, c.want)
		}
	}
}

func TestParseAddress(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"user@example.org", "user@example.org"},
		{"User.Name+tag@EXAMPLE.Org", "User.Name+tag@example.org"},
		{`"plain"@example.org`, "plain@example.org"},
		{`"x@y"@example.org`, `"x@y"@example.org`},
		{`"a\"b\\c d"@example.org`, `"a\"b\\c d"@example.org`},
		{"o'brien@example.org", "o'brien@example.org"},
		{"scan@web_01.local", "scan@web_01.local"},
		{"scan@[192.0.2.7]", "scan@[192.0.2.7]"},
		{"scan@[ipv6:2001:DB8::1]", "scan@[IPv6:2001:db8::1]"},
		{"jürgen@bücher.example", "jürgen@xn--bcher-kva.example"},
		{"a@XN--BCHER-KVA.example", "a@xn--bcher-kva.example"},
		{"root@localhost", "root@localhost"},
	} {
		a, err := ParseAddress(c.in)
		if err != nil {
			t.Errorf("ParseAddress(%q): %v", c.in, err)
			continue
		}
		if a.String() != c.want {
			t.Errorf("ParseAddress(%q) = %q, want %q", c.in, a, c.want)
		}
		if again, err := ParseAddress(a.String()); err != nil || again != a {
			t.Errorf("%q does not read back: %q, %v", a, again, err)
		}
	}
}

func TestParseAddressRefuses(t *testing.T) {
	for _, in := range []string{
		"", "root", "@example.org", "a@", "a@b@c", "a b@example.org", ".a@example.org", "a.@example.org",
		"a..b@example.org",
		"a\r\nRCPT TO:<x@y>@example.org", "a\x00@example.org", "\"a\x01\"@example.org", "\"a\nb\"@example.org",
		"a@exa mple.org", "a@example..org", "a@.example.org", "a@-x.org", "a@exam\x01ple.org", "a@example.org>",
		"<a@example.org>",
		"a@[1.2.3]", "a@[2001:db8::1]", "a@[ipv6:1.2.3.4]", "a@[192.0.2.1", `"open@example.org`, `"a"b@example.org`,
		`"a\`,
		"a\u202eb@example.org", "a\u200bb@example.org", "\xff@example.org", "a@\xff.org", "a@b\u202e.org",
		strings.Repeat("a", 65) + "@example.org", "a@" + strings.Repeat("a", 64) + ".org",
		"a@" + strings.Repeat("abcdefgh.", 30) + "org",
	} {
		if a, err := ParseAddress(in); err == nil {
			t.Errorf("ParseAddress(%q) = %q, want an error", in, a)
		}
	}
}

func TestKeyFoldsOnlyASCII(t *testing.T) {
	same := [][2]string{{"CEO@Example.Org", "ceo@example.org"}, {`"ceo"@example.org`, "CEO@example.org"},
		{"x@Bücher.example", "x@xn--bcher-kva.example"}}
	for _, p := range same {
		if a, b := must(t, p[0]), must(t, p[1]); !a.Equal(b) {
			t.Errorf("%q and %q must be equal", a, b)
		}
	}
	// The second of each looks like the first (Cyrillic, Kelvin sign, sub-address, trailing label).
	differ := [][2]string{{"ceo@example.org", "сeo@example.org"}, {"k@example.org", "\u212a@example.org"},
		{"ceo@example.org", "ceo+x@example.org"}, {"ceo@example.org", "ceo@example.org.evil.example"},
		{"ceo@example.org", "ceo@exаmple.org"}}
	for _, p := range differ {
		if a, b := must(t, p[0]), must(t, p[1]); a.Equal(b) {
			t.Errorf("%q and %q must differ", a, b)
		}
	}
}

func TestParseRecipientTakesABareLocalPart(t *testing.T) {
	a, err := ParseRecipient("postmaster")
	if err != nil || a.Domain() != "" || a.String() != "postmaster" {
		t.Fatalf("ParseRecipient = %q, %v", a, err)
	}
	for _, in := range []string{"", "a b", "a\r", "<root>"} {
		if a, err := ParseRecipient(in); err == nil {
			t.Errorf("ParseRecipient(%q) = %q, want an error", in, a)
		}
	}
}

func TestQueueIDsSortByTimeAndParse(t *testing.T) {
	early, late := NewQueueID(time.UnixMilli(1_800_000_000_000)), NewQueueID(time.UnixMilli(1_800_000_000_001))
	if !(early < late) || len(early) != 16 {
		t.Errorf("%q must be 16 long and sort before %q", early, late)
	}
	if _, err := ParseQueueID(string(early)); err != nil {
		t.Error(err)
	}
	if first := FirstQueueID(time.UnixMilli(1_800_000_000_001)); first <= early || first > late || len(first) != 16 {
		t.Errorf("FirstQueueID is %q, want it between %q and %q", first, early, late)
	}
	for _, in := range []string{"", "../etc/passwd", "0123456789abcdeI", string(early) + "0"} {
		if _, err := ParseQueueID(in); err == nil {
			t.Errorf("ParseQueueID(%q) must fail", in)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"a@b", `"x@y"@z`, "a@[1.2.3.4]", "é@é.example", "a\x00@b", `"\"@b`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			return
		}
		out := a.String()
		for _, r := range out {
			if isHostile(r) {
				t.Fatalf("%q let %U through", s, r)
			}
		}
		again, err := ParseAddress(out)
		if err != nil || again != a {
			t.Fatalf("%q -> %q -> %q, %v", s, out, again, err)
		}
	})
}

func must(t *testing.T, s string) Address {
	t.Helper()
	a, err := ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
