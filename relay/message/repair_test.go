package message

import (
	"bytes"
	"fmt"
	netmail "net/mail"
	"os"
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/envelope"
)

func TestQuoteNames(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"printer@d.example <printer@d.example>", `"printer@d.example" <printer@d.example>`},
		{"Printer 3@floor2 <p@d.example>", `Printer "3@floor2" <p@d.example>`},
		{"@home <p@d.example>", `"@home" <p@d.example>`},
		{"a@b.example<p@d.example>", `"a@b.example"<p@d.example>`},
		{"ceo@d.example (x) \"y\" z@\r\n <p@d.example> (p@d.example)", "\"ceo@d.example\" (x) \"y\" \"z@\"\r\n" +
			" <p@d.example> (p@d.example)"},
		{"J\xfcrgen@d.example <p@d.example>", "\"J\xfcrgen@d.example\" <p@d.example>"},
		{"a@b@c <p@d.example>", `"a@b@c" <p@d.example>`},
		{"root@x <root>", `"root@x" <root>`},

		// no bare @, or no single reading afterwards
		{"p@d.example", ""},
		{`"a@b.example" <p@d.example>`, ""},
		{"A B <p@d.example>", ""},
		{"a@b.example, c@d.example <p@d.example>", ""},
		{"a@b.example <p@d.example>, c@d.example", ""},
		{"a@b.example <p@d.example> q", ""},
		{"a@b.example <p@d.example> <q@d.example>", ""},
		{"x: a@b.example <p@d.example>;", ""},
		{"a@b.example; c@d.example <p@d.example>", ""},
		{"a@b.example <>", ""},
		{"a@b.example <not an address>", ""},
		{"a@b.example <p@d.example", ""},
		{`"x"@b.example <p@d.example>`, ""},
		{`a@"b" <p@d.example>`, ""},
		{`a\@b.example <p@d.example>`, ""},
		{"a@[1.2.3.4] <p@d.example>", ""},
		{"=?utf-8?q?a=40b?=@c <p@d.example>", ""},
		{"a@b.example (evil@x.example) <p@d.example>", ""},
		{"a@b.example \x01 <p@d.example>", ""},
		{"", ""},
	} {
		h := mustRead(t, []byte("From: "+c.in+"\r\nSubject: a@b <c@d>\r\n\r\n"))
		got, names := h.QuoteNames()
		if c.want == "" {
			if got != h || names != nil {
				t.Errorf("%q became %q", c.in, got.raw)
			}
			continue
		}
		if want := "From: " + c.want + "\r\nSubject: a@b <c@d>\r\n"; string(got.raw) != want ||
			fmt.Sprint(names) != "[From]" {
			t.Errorf("%q became %q %v, want %q", c.in, got.raw, names, want)
		}
		if a, err := got.Authors(); err != nil || len(a.From) != 1 {
			t.Errorf("%q: %v, %v", got.raw, a, err)
		}
	}
}

func TestQuoteNamesOfEveryAuthor(t *testing.T) {
	h := mustRead(t, []byte("SENDER: a@x <a@x.example>\r\nResent-From: b@x <b@x.example>\r\n"+
		"Resent-Sender:c@x <c@x.example>\r\nTo: d@x <d@x.example>\r\n\r\n"))
	got, names := h.QuoteNames()
	if want := "SENDER: \"a@x\" <a@x.example>\r\nResent-From: \"b@x\" <b@x.example>\r\n" +
		"Resent-Sender:\"c@x\" <c@x.example>\r\nTo: d@x <d@x.example>\r\n"; string(got.raw) != want {
		t.Errorf("got %q %v", got.raw, names)
	}
}

func TestASignatureCoversFrom(t *testing.T) {
	h := mustRead(t, []byte("From: a@x <a@x.example>\r\nDKIM-Signature: v=1\r\nTo: a@x.example; b@x.example\r\n\r\n"))
	if got, names := h.QuoteNames(); got != h || names != nil {
		t.Errorf("changed %v", names)
	}
	if got, _ := h.MendLists(); got.Get("To") != "a@x.example, b@x.example" {
		t.Errorf("To is %q", got.Get("To"))
	}
}

func TestExpandAliases(t *testing.T) {
	known := func(a envelope.Address) (envelope.Address, bool) {
		switch a.Key() {
		case "root", "root@localhost":
			return addr1(t, "admin@c.example"), true
		case "x@y.example": // no business of aliases
			return addr1(t, "admin@c.example"), true
		case "odd":
			return addr1(t, `"a,b"@c.example`), true
		}
		return envelope.Address{}, false
	}
	for _, c := range []struct{ in, want string }{
		{"To: root\r\n", "To: admin@c.example\r\n"},
		{"To: Boss <root@LOCALHOST>\r\n", "To: Boss <admin@c.example>\r\n"},
		{"To: Root <ROOT>, x@y.example,\r\n root (the boss)\r\n", "To: Root <admin@c.example>, x@y.example,\r\n" +
			" admin@c.example (the boss)\r\n"},
		{"Cc: all: root, daemon;\r\nBcc:root\r\n", "Cc: all: admin@c.example, daemon;\r\nBcc:admin@c.example\r\n"},
		{"To: root@localhost.example, x@y.example, odd, daemon\r\nFrom: root\r\nSubject: root\r\n", ""},
		{"To: root, \"\r\n", ""},
		{"Resent-To: root\r\n", ""},
	} {
		h := mustRead(t, []byte(c.in+"\r\n"))
		got, names := h.ExpandAliases(known)
		if c.want == "" && (got != h || names != nil) || c.want != "" && string(got.raw) != c.want {
			t.Errorf("%q became %q %v", c.in, got.raw, names)
		}
	}
}

// With aliases known, cron's mail to root keeps a To.
func TestExpandedAliasesAreTheEnvelopes(t *testing.T) {
	admin := addr1(t, "admin@contoso.example")
	h := mustRead(t, corpusFile(t, "cron-bare-root"))
	h, _ = h.ExpandAliases(func(envelope.Address) (envelope.Address, bool) { return admin, true })
	e := edits([]envelope.Address{admin})
	e.Extra = RejectExtra
	out, _, err := h.Apply(e)
	if err != nil || !bytes.Contains(out, []byte("\r\nTo: admin@contoso.example\r\n")) {
		t.Errorf("%v\n%s", err, out)
	}
	checkApply(t, h, e)
}

func TestRewriteFrom(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"ceo@x.example", " n@c.example"},
		{"<ceo@x.example>", " n@c.example"},
		{"The Boss <ceo@x.example>", " The Boss <n@c.example>"},
		{`"Boss, The" <ceo@x.example> (x)`, ` "Boss, The" <n@c.example>`},
		{"=?utf-8?q?M=C3=BCller?=\r\n =?utf-8?q?_x?= <ceo@x.example>", " =?utf-8?q?M=C3=BCller?=\r\n" +
			" =?utf-8?q?_x?= <n@c.example>"},
		{"M\xfcller <ceo@x.example>", " M\xfcller <n@c.example>"},
		{"ceo@x.example <ceo@x.example>", ` "ceo@x.example" <n@c.example>`},
		{"(hi) X <ceo@x.example>", " (hi) X <n@c.example>"},
		{"X <@a.example,@b.example:ceo@x.example>", " X <n@c.example>"},
		{"root (Cron Daemon)", " Cron Daemon <n@c.example>"},
		{"root@web01 (=?utf-8?q?M=C3=BCller?=)", " =?utf-8?q?M=C3=BCller?= <n@c.example>"},
		{`root (A "B" \) C.)`, ` "A \"B\" ) C." <n@c.example>`},
		{"root (A (B)\r\n C)", ` "A (B) C" <n@c.example>`},
		{"<root> (Cron)", " Cron <n@c.example>"},
		{"root ()", " n@c.example"},
		{"ceo@x.example (ceo@x.example)", ` "ceo@x.example" <n@c.example>`},
		{"(ceo@x.example) X <ceo@x.example>", " n@c.example"}, // a comment that now names somebody else
		{"root (=?utf-8?q?x=40y.example=2C?=)", ` "x@y.example," <n@c.example>`},
		{`"x@y.example" "" <ceo@x.example>`, ` "x@y.example" <n@c.example>`},
		{"=?utf-8?q?J=C3=B6rg=2C?= <ceo@x.example>", ` =?utf-8?q?J=C3=B6rg?= "," <n@c.example>`},
		{"", " n@c.example"},
	} {
		h := mustRead(t, []byte("X: 1\r\nFROM: "+c.in+"\r\nY: 2\r\n\r\n"))
		got, names := h.Rewrite(AuthorEdits{From: addr1(t, "n@c.example")})
		if want := "X: 1\r\nFROM:" + c.want + "\r\nY: 2\r\n"; string(got.raw) != want || fmt.Sprint(names) != "[From]" {
			t.Errorf("%q became %q %v\nwant %q", c.in, got.raw, names, want)
		}
	}
}

func TestRewrite(t *testing.T) {
	n, o := addr1(t, "n@c.example"), addr1(t, "Ceo@x.example")
	for _, c := range []struct {
		in   string
		e    AuthorEdits
		want string
	}{
		{"Subject: x\r\n", AuthorEdits{From: n}, "Subject: x\r\nFrom: n@c.example\r\n"},
		{"", AuthorEdits{From: n}, "From: n@c.example\r\n"},
		{"From: a@b\r\nTo: c@d\r\n", AuthorEdits{From: n, ReplyTo: o}, "From: n@c.example\r\nTo: c@d\r\n" +
			"Reply-To: Ceo@x.example\r\n"},
		{"From: a@b\r\nreply-to: c@d\r\n", AuthorEdits{From: n, ReplyTo: o}, "From: n@c.example\r\nreply-to: c@d\r\n"},
		{"From: a@b\r\nReply-To: \r\nreply-to:\r\nX: 1\r\n", AuthorEdits{From: n, ReplyTo: o}, "From: n@c.example\r\n" +
			"X: 1\r\nReply-To: Ceo@x.example\r\n"},
		{"From: a@b\r\n", AuthorEdits{From: n, ReplyTo: addr1(t, `"x,y"@z.example`)}, "From: n@c.example\r\n"},
		{"From: a@b\r\nSender: c@d\r\n", AuthorEdits{DropSender: true}, "From: a@b\r\n"},
		{"From: a@b\r\nX-Sender: c@d\r\n", AuthorEdits{DropSender: true}, ""},
		{"From: a@b\r\nSender: c@d\r\n", AuthorEdits{}, ""},
		{"From: a@b, c@d\r\nSender:\r\n", AuthorEdits{Sender: n}, "From: a@b, c@d\r\nSender: n@c.example\r\n"},
	} {
		h := mustRead(t, []byte(c.in+"\r\n"))
		got, names := h.Rewrite(c.e)
		if c.want == "" && (got != h || names != nil) || c.want != "" && string(got.raw) != c.want {
			t.Errorf("%q became %q %v", c.in, got.raw, names)
		}
	}
}

func TestHops(t *testing.T) {
	own := "Received: from x (x [192.0.2.7])\r\n\tby Relay.Contoso.example (graphrelay) with ESMTP id 1;\r\n" +
		"\tMon, 01 Mar 2027 04:05:06 +0000\r\n"
	short := "received: by relay.contoso.example (graphrelay) with ESMTP id 1; x\r\n"
	other := "Received: from relay.contoso.example by mail.example (Postfix) with ESMTP id 1; x\r\n"
	same := "Received: by relay.contoso.example (Postfix, from userid 0); x\r\n"
	for _, c := range []struct {
		in           string
		all, own     int
		loop         bool
		name, reason string
	}{
		{"", 0, 0, false, "none", ""},
		{own + short, 2, 2, false, "twice here", ""},
		{own + short + other + own, 4, 3, true, "three times here", "4 Received fields, 3 of them of this relay"},
		{strings.Repeat(other+same, 15), 30, 0, false, "thirty", ""},
		{strings.Repeat(other, 31), 31, 0, true, "more", "31 Received fields, 0 of them"},
		{strings.Repeat("X-Received: by relay.contoso.example (graphrelay) x\r\n", 40), 0, 0, false, "another name",
			""},
	} {
		h := mustRead(t, []byte(c.in+"\r\n"))
		if all, mine := h.Hops("relay.contoso.example"); all != c.all || mine != c.own {
			t.Errorf("%s: %d, %d", c.name, all, mine)
		}
		err := h.CheckLoop("relay.contoso.example")
		if !c.loop && err != nil || c.loop && !strings.HasPrefix(fmt.Sprint(err), "554 5.4.6 Too many hops") ||
			err != nil && !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// This package and net/mail read repaired fields alike, and nothing else of the
// header is touched.
func TestCorpusIsMendedInPlace(t *testing.T) {
	for _, file := range corpus(t) {
		in, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		checkMended(t, mustRead(t, in))
	}
}

func checkMended(t testing.TB, h *Header) {
	t.Helper()
	n, admin := addr1(t, "notifications@contoso.example"), addr1(t, "admin@contoso.example")
	quoted, _ := h.QuoteNames()
	checkRevised(t, h, quoted, kindFrom, kindSender, kindResentFrom, kindResentSender)
	if again, names := quoted.QuoteNames(); again != quoted {
		t.Errorf("quoted twice: %v\n%s", names, again.raw)
	}
	if before, err := h.Authors(); err == nil { // repair changes nobody's reading
		if after, err := quoted.Authors(); err != nil || fmt.Sprint(before) != fmt.Sprint(after) {
			t.Errorf("authors %v became %v, %v", before, after, err)
		}
	}
	lists, _ := h.MendLists()
	checkRevised(t, h, lists, kindTo, kindCc, kindBcc)
	if again, names := lists.MendLists(); again != lists {
		t.Errorf("lists mended twice: %v\n%s", names, again.raw)
	}
	daemon, _ := h.NameDaemon()
	checkRevised(t, h, daemon, kindFrom)
	expanded, _ := h.ExpandAliases(func(envelope.Address) (envelope.Address, bool) { return admin, true })
	checkRevised(t, h, expanded, kindTo, kindCc, kindBcc)
	rewritten, _ := h.Rewrite(AuthorEdits{From: n, ReplyTo: admin, DropSender: true})
	checkRevised(t, h, rewritten, kindFrom, kindSender)
	checkAuthor(t, rewritten, n)
}

// checkRevised: out is what its own bytes say, and differs from h only in fields
// of those kinds and in Reply-To.
func checkRevised(t testing.TB, h, out *Header, kinds ...kind) {
	t.Helper()
	text := append(bytes.Clone(out.raw), "\r\n"...)
	checkLineEnds(t, text)
	again, _, err := Read(bytes.NewReader(text), Options{MaxHeader: len(text) + 1})
	if err != nil {
		t.Errorf("refused when read again: %v\n%q", err, text)
		return
	}
	if !bytes.Equal(again.raw, out.raw) || !slices.Equal(again.fields, out.fields) {
		t.Errorf("the fields are not those of the text %q", text)
	}
	if a, b := others(h, kinds), others(out, kinds); !slices.Equal(a, b) {
		t.Errorf("fields changed that must not:\n%q\n%q", a, b)
	}
}

func others(h *Header, kinds []kind) []string {
	var s []string
	for _, f := range h.fields {
		if !slices.Contains(kinds, f.kind) && !equalFold(h.name(f), "Reply-To") {
			s = append(s, string(h.raw[f.start:f.end]))
		}
	}
	return s
}

func checkAuthor(t testing.TB, h *Header, want envelope.Address) {
	t.Helper()
	a, err := h.Authors()
	if err == nil && (len(a.From) != 1 || !a.From[0].Equal(want) || !a.Sender.IsZero()) {
		t.Errorf("authors are %v after the rewrite", a)
	}
	for _, i := range h.numbers("From") {
		v := strings.TrimSpace(Unfold(h.value(h.fields[i])))
		if list, err := netmail.ParseAddressList(v); err == nil && (len(list) != 1 ||
			list[0].Address != want.String()) {
			t.Errorf("net/mail reads %v from %q", list, v)
		}
		for _, s := range naive(v) {
			if keyOf(s) != want.Key() {
				t.Errorf("a naive reader finds %q in %q", s, v)
			}
		}
	}
	if n := len(h.numbers("From")); n != 1 {
		t.Errorf("%d From fields", n)
	}
}

func FuzzMend(f *testing.F) {
	addCorpus(f, func(b []byte) { f.Add(b) })
	for _, s := range []string{
		"From: a@b <c@d>\r\n\r\n", "From: \"x\" y@z (a@b) <a@b>\r\nReply-To:\r\nSender: x\r\n\r\n",
		"From: root (a (b) \\) c@d)\r\n\r\n",
		"From: <@a,@b:c@d> (x)\r\nTo: root, <root>, \"a\" <b>\r\n\r\n", "From: (a<b) root (=?utf-8?q?x=40y?=)\r\n\r\n",
		"From: a@b \"c\" <d@e>\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		h, _, err := Read(bytes.NewReader(in), Options{MaxHeader: 8000})
		if err != nil || len(h.fields) > 200 {
			return
		}
		checkMended(t, h)
		if all, own := h.Hops("relay"); own > all {
			t.Errorf("%d of %d", own, all)
		}
	})
}

func corpusFile(t testing.TB, name string) []byte {
	t.Helper()
	in, err := os.ReadFile("testdata/" + name + ".eml")
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func addr1(t testing.TB, s string) envelope.Address {
	t.Helper()
	a, err := envelope.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Readers that end a line at a CR see another author there: what would be mended
// into one field of the granted sender is refused.
func TestCRHidesNoAuthor(t *testing.T) {
	for in, refused := range map[string]bool{
		"From: x\rFrom: n@c.example\r\n":                         true,
		"From: x\r\n\rFrom: n@c.example\r\n":                     true,
		"From: x\r\n y\rSubject: z <n@c.example>\r\n":            true,
		"From: x@y.example\r<n@c.example>\r\n":                   true,
		"From: \"x@y.example\"\r\n UPS\r<n@c.example>\r\n":       true,
		"Resent-Sender: x\rFrom : n@c.example\r\n":               true,
		"From: UPS\rrack <n@c.example>\r\n":                      false,
		"From: UPS\r\r\n <n@c.example>\r\r\n":                    false,
		"From: n@c.example\r\nSubject: x\rFrom: x@y.example\r\n": false,
		"From: n@c.example\r\nTo: x\rFrom: x@y.example\r\n":      false,
	} {
		h, _, err := Read(strings.NewReader(in+"\r\nx"), Options{})
		if (err != nil) != refused {
			t.Errorf("%q: %v", in, err)
		}
		if refused || err != nil {
			continue
		}
		h, _ = h.QuoteNames()
		if a, err := h.Authors(); err != nil || len(a.From) != 1 || a.From[0].String() != "n@c.example" {
			t.Errorf("%q: %v, %v", in, a, err)
		}
	}
}

// "Ärger, Jürgen" in one encoded word: readers that decode first see a list, in
// which all of them find the same addresses. What a signature covers stays as it
// is, anything else is written so that no order of reading differs.
func TestACommaInAnEncodedNameKeepsSignatures(t *testing.T) {
	const name = "=?utf-8?Q?=C3=84rger=2C_J=C3=BCrgen?= <a@x.example>"
	const clear = `=?utf-8?q?=C3=84rger?= "," =?utf-8?q?J=C3=BCrgen?= <a@x.example>`
	const signed = "DKIM-Signature: v=1\r\n"
	for _, c := range []struct{ in, want string }{
		{"From: " + name + "\r\nTo: " + name + "\r\n", "From: " + clear + "\r\nTo: " + clear + "\r\n"},
		{signed + "From: " + name + "\r\nTo: " + name + "\r\n", signed + "From: " + name + "\r\nTo: " + name + "\r\n"},
		{signed + "To: " + name + ", b@x.example\r\n",
			signed + "To: " + clear + "\r\nX-Graphrelay-To: " + name + ", b@x.example\r\n"},
		{signed + "To: \"b@x.example\" " + name + "\r\n", signed + "To: \"b@x.example\" " + clear + "\r\n"},
		{signed + "To: =?utf-8?Q?b=40x=2C?= <a@x.example>\r\n", signed + "To: \"b@x,\" <a@x.example>\r\n"},
		{signed + "To: g: " + name + ";\r\n", signed + "To: g: " + name + ";\r\n"},
	} {
		h, _, err := Read(strings.NewReader(c.in+"\r\n"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		h, _ = h.QuoteNames()
		h, _ = h.MendLists()
		if _, err := h.Authors(); err != nil {
			t.Errorf("%q: %v", c.in, err)
		}
		got, _, err := h.Apply(Edits{Recipients: addrs(t, "a@x.example")})
		if err != nil || string(got) != c.want+"\r\n" {
			t.Errorf("%q:\n%q, %v, want\n%q", c.in, got, err, c.want)
		}
	}
	for _, in := range []string{"=?utf-8?Q?b=40x=2C?= <a@x.example>", "=?utf-8?Q?=3Cb=2C?= <a@x.example>"} {
		h := mustRead(t, []byte(signed+"From: "+in+"\r\n\r\n"))
		if _, err := h.Authors(); err == nil {
			t.Errorf("%q is an author", in)
		}
	}
}
