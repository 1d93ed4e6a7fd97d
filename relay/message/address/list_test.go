package address

import (
	"strings"
	"testing"
)

func show(l List) string {
	var s []string
	for _, b := range l.boxes {
		text := b.addr.String()
		if b.addr.IsZero() {
			text = "!" + string(l.text(b))
		}
		if b.route {
			text = "route:" + text
		}
		if b.name > 0 {
			text = "twice:" + text
		}
		s = append(s, text)
	}
	return strings.Join(s, " ")
}

func TestParseList(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{" , ,", ""},
		{" a@b.example", "a@b.example"},
		{"a@b.example,c@d.example", "a@b.example c@d.example"},
		{"a@b.example, ,c@d.example,", "a@b.example c@d.example"},
		{" <a@b.example>", "a@b.example"},
		{" < a@b.example\r\n >", "a@b.example"},
		{` "Last, First" <a@b.example>, x@y.example`, "a@b.example x@y.example"},
		{` "a@b.example, \"evil@x.example" <c@d.example>`, "c@d.example"},
		{" John Q. Public <a@b.example>", "a@b.example"},
		{" =?utf-8?q?evil=40x.example=2C?= <a@b.example>", "a@b.example"},
		{" M\xfcller <a@b.example>", "a@b.example"},
		{" Müller <jürgen@bücher.example>", "jürgen@xn--bcher-kva.example"},
		{" (comment) a@b.example (one (two \\) three)) , c@d.example", "a@b.example c@d.example"},
		{" a@b.example (a@b.example)", "a@b.example"},
		{" Team: a@b.example, C <c@d.example>;, e@f.example", "a@b.example c@d.example e@f.example"},
		{" undisclosed-recipients:;", ""},
		{` "Undisclosed recipients": ; (none)`, ""},
		{" <@x.example,@y.example:a@b.example>", "route:a@b.example"},
		{" printer@d.example <printer@d.example>", "twice:printer@d.example"},
		{" printer@d.example <Printer@D.example>", "twice:Printer@d.example"},
		{` "x y"@b.example`, `"x y"@b.example`},
		{` "x@y"@b.example`, `"x@y"@b.example`},
		{" a@[192.0.2.1]", "a@[192.0.2.1]"},
		{" root", "root"},
		{" Root <root>", "root"},
		{" John Smith, a@b.example", "!John Smith a@b.example"},
		{` "a@b.example"`, `!"a@b.example"`},
		{" <>", "!"},
		{" a..b@c.example, x.@d.example", `"a..b"@c.example "x."@d.example`},
		{" a@b..example", "!a@b..example"},
		{" =?utf-8?q?a=40b?=", "!=?utf-8?q?a=40b?="},
		{" \r\n a@b.example,\r\n\tc@d.example", "a@b.example c@d.example"},
		{" \"Last,\r\n First\" <a@b.example>", "a@b.example"},
		{" \"Caf\xc3\xa9 \\\"x@y.example\\\"\" <a@b.example>", "a@b.example"},
		{" \"=?utf-8?q?x@y.example\" <a@b.example>", "a@b.example"},
		{" =?utf-8?q?Last?= \"x@y.example\" <a@b.example>", "a@b.example"},
		{" =?utf-8?q?Last \"First\"?= <a@b.example>, =?utf-8?q?Last (x)?= <c@d.example>", "a@b.example c@d.example"},
		{" \"=?utf-8?q?Last?=\" <a@b.example>, \"=?utf-8?q?x=22?=\" <c@d.example>", "a@b.example c@d.example"},
		{" \"\xc3\xa9\\\"\" <a@b.example>", "a@b.example"},
		{" =?utf-8?q?Last =2C First?= \"x@y.example\" <a@b.example>", "a@b.example"},
	} {
		l, err := Parse([]byte(c.in))
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
		} else if got := show(l); got != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
}

func TestParseListRefusesWhatReadersCutDifferently(t *testing.T) {
	for in, want := range map[string]error{
		"a@b.example c@d.example":                    errSyntax,
		"a@b.example; c@d.example":                   errSyntax,
		"ceo@x.example <a@b.example>":                errAt,
		"Printer printer@d.example <a@b.example>":    errAt,
		`"P" printer@d.example <printer@d.example>`:  errAt,
		`"a b"@d.example <"a b"@d.example>`:          errAt,
		"a@b.example (c@d.example)":                  errAt,
		"(c@d.example), a@b.example":                 errAt,
		"Team (a@b.example): a@b.example;":           errAt,
		"a@b@c.example":                              errSyntax,
		"John a@b.example":                           errAt,
		"a @b.example":                               errAt,
		"a@ b.example":                               errSyntax,
		"@b.example":                                 errAt,
		"<a@b.example":                               errSyntax,
		"<a@b.example> c":                            errSyntax,
		"<<a@b.example>>":                            errSyntax,
		"a@b.example>":                               errSyntax,
		`"a@b.example`:                               errQuote,
		"a@b.example (":                              errQuote,
		"a@b.example (\\":                            errQuote,
		"undisclosed-recipients:":                    errSyntax,
		"mailto:a@b.example":                         errSyntax,
		"Team: Inner: a@b.example;;":                 errSyntax,
		": a@b.example;":                             errSyntax,
		"a@b.example;":                               errSyntax,
		" ;":                                         errSyntax,
		"=?utf-8?q?evil=40x.example=3e?=a@b.example": errWord,
		"<=?utf-8?q?evil=40x?=a@b.example>":          errWord,
		"a\x01@b.example":                            errControl,
		"\x01":                                       errControl,
		"\"a\x1b\" <a@b.example>":                    errControl,
		"a@[192.0.2.1":                               errSyntax,
		"a@[192.0.2.1 ]":                             errSyntax,
		"<@x.example a@b.example>":                   errSyntax,
		"<@x.example,a@b.example>":                   errSyntax,
		"\\a@b.example":                              errSyntax,
		"[a]@b.example":                              errSyntax,
		// A reader that looks for encoded words first sees other quoted strings,
		// and one of Shift-JIS does not take the second byte of a letter for a backslash.
		"=?utf-8?q?\"?= <c@d.example>, =?utf-8?q?\"?= <a@b.example>":             errWord,
		"=?utf-8?q? \"?= <c@d.example>, =?utf-8?q? \"?= <a@b.example>":           errWord,
		"=?utf-8?q?=41\"?= <c@d.example>, =?utf-8?q?=41\"?= <a@b.example>":       errWord,
		"=?utf-8?q?\"?= x\" <a@b.example>, \"c@d.example\" <a@b.example>":        errWord,
		"=?utf-8?q?(?= \"x) <a@b.example>, \"c@d.example\" <a@b.example>":        errWord,
		"\"a =?utf-8?q?\" <a@b.example>, x?= \"c@d.example\" <a@b.example>":      errWord,
		"=?utf-8?q?(\")\"?= <c@d.example>, =?utf-8?q?\"\"?= \"x\" <a@b.example>": errWord,
		"=?utf-8?q?\"\\\"?= <c@d.example>, \" <a@b.example>":                     errWord,
		"\"\x95\\\" <c@d.example>, \" <a@b.example>":                             errQuote,
		"(\x95\\) \" <c@d.example>) x\" <a@b.example>":                           errQuote,
	} {
		if l, err := Parse([]byte(in)); err != want {
			t.Errorf("%q: error %v (%s), want %v", in, err, show(l), want)
		}
	}
}

func TestParseListTakesTimeInProportion(t *testing.T) {
	for _, part := range []string{"(", "\"", "a@b.example,", "a:;,", "<", ",", "@a,", "\\", "a,", "a:a,",
		"(a@b.example)", "a@b.example (a@b.example),", "=?", "=?a?b?", "=?a?b?c?=", "\"\xc3\xa9\\\" "} {
		in := []byte(strings.Repeat(part, 1<<20/len(part)))
		l, err := Parse(in)
		if len(l.boxes) > maxList || len(l.entries) > maxList {
			t.Errorf("%q: %d mailboxes, %v", part, len(l.boxes), err)
		}
	}
}

func TestParseListBoundsAGroup(t *testing.T) {
	in := "Team: " + strings.Repeat("a@b.example,", maxList-1) + "a@b.example"
	if _, err := Parse([]byte(in + ";")); err != nil {
		t.Errorf("%d members: %v", maxList, err)
	}
	if l, err := Parse([]byte(in + ",a@b.example;")); err == nil || len(l.boxes) > maxList {
		t.Errorf("one member more: %d mailboxes, %v", len(l.boxes), err)
	}
}
