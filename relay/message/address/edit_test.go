package address

import (
	"errors"
	"fmt"
	"testing"

	"graphrelay/relay/envelope"
)

func address(t *testing.T, s string) envelope.Address {
	t.Helper()
	a, err := envelope.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAuthors(t *testing.T) {
	for _, c := range []struct {
		in, want string
		err      error
	}{
		{" A <a@b.example>, c@d.example", "[a@b.example c@d.example]", nil},
		{" root (Cron Daemon)", "[root]", nil},
		{"", "[]", nil},
		{" Team: a@b.example;", "[]", errGroup},
		{" Smith, Ann <a@b.example>", "[]", errNoAddress},
		{" root, a@b.example", "[]", errNoAddress},
		{" <@x.example:a@b.example>", "[]", errRoute},
		{" a@faß.example", "[]", errDomain},
		{" \"Last,\r\n First\" <a@b.example>, \"x@y\" <c@d.example>", "[]", errFold},
		{" a@b.example c", "[]", errSyntax},
	} {
		got, err := Authors([]byte(c.in))
		if fmt.Sprint(got) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q: %v, %v; want %s, %v", c.in, got, err, c.want, c.err)
		}
	}
}

// Each edit changes one thing; "" means that it leaves the value alone.
func TestEdits(t *testing.T) {
	n := address(t, "n@c.example")
	replace := func(v []byte) ([]byte, bool) {
		return Replace(v, func(a envelope.Address) (envelope.Address, bool) { return n, a.Local() == "root" })
	}
	named := func(v []byte) ([]byte, bool) { return Named(n, v), true }
	for _, c := range []struct {
		name     string
		edit     func([]byte) ([]byte, bool)
		in, want string
	}{
		{"QuoteNames", quoteNames, " p@d.example <p@d.example>", ` "p@d.example" <p@d.example>`},
		{"QuoteNames", quoteNames, " P <p@d.example>", ""},
		{"QuoteNames", quoteNames, " p@d.example <p@d.example>, q@d.example", ""},
		{"Replace", replace, " Boss <ROOT>, x@y.example", ""},
		{"Replace", replace, " Boss <root> (x), y@z.example", " Boss <n@c.example> (x), y@z.example"},
		{"Replace", replace, " root; a@b.example", ""},
		{"ASCIIDomains", ASCIIDomains, " J <j@b\u00fccher.example>", " J <j@xn--bcher-kva.example>"},
		{"ASCIIDomains", ASCIIDomains, " J\u00fc <j@b.example>", ""},
		{"Named", named, " The Boss <b@x.example>", " The Boss <n@c.example>"},
		{"Named", named, " root (A B.)", ` "A B." <n@c.example>`},
		{"Named", named, " b@x.example <b@x.example>", ` "b@x.example" <n@c.example>`},
		{"Named", named, " (b@x.example) X <b@x.example>", " n@c.example"},
		{"Named", named, " a@b.example, c@d.example", " n@c.example"},
	} {
		got, ok := c.edit([]byte(c.in))
		if ok != (c.want != "") || ok && string(got) != c.want {
			t.Errorf("%s of %q: %q, %v, want %q", c.name, c.in, got, ok, c.want)
		}
	}
}

func TestKeep(t *testing.T) {
	index := map[string]int{"a@x.example": 0, "b@x.example": 1}
	for _, c := range []struct {
		in, want string
		exact    bool
		outside  int
	}{
		{" A <a@x.example>,\r\n b@x.example", " A <a@x.example>,\r\n b@x.example", true, 0},
		{" c@x.example,\r\n\tB <b@x.example>", " B <b@x.example>", false, 1},
		{" Team: a@x.example, c@x.example;, none:;", " Team: a@x.example;, none:;", false, 1},
		{" Team: c@x.example;", "", false, 1},
		{" <@r.example:a@x.example>", "", false, 1},
		{" a@x.example <a@x.example>", ` "a@x.example" <a@x.example>`, false, 0},
	} {
		l, err := Parse([]byte(c.in))
		if err != nil {
			t.Fatal(err)
		}
		l.Match(index)
		if got := string(l.Keep()); got != c.want || l.Exact(false) != c.exact || len(l.Outsiders()) != c.outside {
			t.Errorf("%q: %q, exact %v, %d outside; want %q, %v, %d",
				c.in, got, l.Exact(false), len(l.Outsiders()), c.want, c.exact, c.outside)
		}
	}
	if got := string(Join([]byte(" a@x.example"), []byte(" b@x.example"))); got != " a@x.example,\r\n b@x.example" {
		t.Errorf("joined: %q", got)
	}
}

func TestMailboxes(t *testing.T) {
	in := ` "Doe, \"J\"" <j@x.example>, k@x.example (Kay \) (L)), =?iso-8859-1?q?J=F6rg?= <r@x.example>, root`
	got := fmt.Sprintf("%+v", Mailboxes([]byte(in), ""))
	want := `[{Name:Doe, "J" Address:j@x.example} {Name:Kay ) (L) Address:k@x.example} {Name:Jörg Address:r@x.example}]`
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	in = " Smith, John <a@x.example>, Ann, b@x.example, <>, \xc4\xe3 <c@x.example>, \"\xc4\xe3\", U <d@x.example>"
	got = fmt.Sprint(Mailboxes([]byte(in), "gb2312"))
	want = "[{Smith, John a@x.example} { b@x.example} {你 c@x.example} {你, U d@x.example}]"
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if bad := Mailboxes([]byte(" a@x.example b"), ""); bad != nil {
		t.Errorf("read %v where readers differ", bad)
	}
}
