package sendmail

import (
	"strings"
	"testing"

	"graphrelay/relay/envelope"
)

func join(all []envelope.Address) string {
	var s []string
	for _, a := range all {
		s = append(s, a.String())
	}
	return strings.Join(s, " ")
}

func TestList(t *testing.T) {
	for _, c := range []struct{ in, good, bad string }{
		{"root", "root", ""},
		{"a@example.org, b@example.org", "a@example.org b@example.org", ""},
		{"a@example.org;b@example.org,,", "a@example.org b@example.org", ""},
		{"a@example.org b@example.org", "a@example.org b@example.org", ""},
		{"A@Example.org, a@example.org", "A@example.org", ""},
		{"Jo Doe <jo@example.org>", "jo@example.org", ""},
		{`"Doe, Jo" <jo@example.org>, x@example.org`, "jo@example.org x@example.org", ""},
		{"jo@example.org (Jo (the) Doe, \\) x)", "jo@example.org", ""},
		{"printer@d.com <printer@d.com>", "printer@d.com", ""},
		{"=?utf-8?Q?J=C3=B6?= <jo@example.org>", "jo@example.org", ""},
		{`"a b"@example.org`, `"a b"@example.org`, ""},
		{`"<x@evil.example>" <jo@example.org>`, "jo@example.org", ""},
		{"jo @ example.org", "jo@example.org", ""},
		{"jo@[192.0.2.1], jo@[IPv6:2001:db8::1]", "jo@[192.0.2.1] jo@[IPv6:2001:db8::1]", ""},
		{"staff: a@example.org, b@example.org;", "a@example.org b@example.org", ""},
		{"undisclosed-recipients:;", "", ""},
		{"<@relay.example,@x.example:jo@example.org>", "jo@example.org", ""},
		{"< jo@example.org >", "jo@example.org", ""},
		{"jürgen@bücher.example", "jürgen@xn--bcher-kva.example", ""},
		{"\r\n\ta@example.org,\r\n b@example.org", "a@example.org b@example.org", ""},
		{"John Smith", "", "John Smith"},
		{"Smith, John <jo@example.org>", "Smith jo@example.org", ""},
		{"a@@example.org, ok@example.org", "ok@example.org", "a@@example.org"},
		{"Jo <>", "", ""},
		{"<jo@example.org", "jo@example.org", ""},
		{`"open@example.org`, "", `"open@example.org`},
		{"a\x01@example.org", "", "a\x01@example.org"},
		{"=?utf-8?Q?x?=", "", "=?utf-8?Q?x?="},
		{`x\`, "", `x\`},
		{"", "", ""},
	} {
		var l List
		l.AddHeader(c.in)
		if got := join(l.Good); got != c.good || strings.TrimSpace(strings.Join(l.Bad, " ")) != c.bad {
			t.Errorf("%q: %q, bad %q; want %q, %q", c.in, got, l.Bad, c.good, c.bad)
		}
	}
}

// On a command line blanks separate names as well, but not within a mailbox.
func TestListOfArguments(t *testing.T) {
	var l List
	for _, s := range []string{"root admin", "x@example.org,y@example.org z@example.org", "Jo Doe <jo@example.org>"} {
		l.AddArgument(s)
	}
	if got := join(l.Good); got != "root admin x@example.org y@example.org z@example.org jo@example.org" ||
		len(l.Bad) > 0 {
		t.Errorf("%q, bad %q", got, l.Bad)
	}
}

func FuzzList(f *testing.F) {
	for _, s := range []string{`"a,b" <c@d>, e: f@g;`, "(((", `"`, `a\`, "<a", "@", "a@[b", "a b@c <d> e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var l List
		l.AddHeader(s)
		l.AddArgument(s)
		for _, a := range l.Good {
			if again, err := envelope.ParseRecipient(a.String()); err != nil || !again.Equal(a) {
				t.Fatalf("%q gave %q, which does not read back", s, a)
			}
			if strings.ContainsAny(a.String(), "\r\n\x00") {
				t.Fatalf("%q gave %q", s, a)
			}
		}
	})
}
