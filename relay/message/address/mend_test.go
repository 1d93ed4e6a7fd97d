package address

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// "" means that the field has more than one reading, or nothing to mend.
func TestMendAuthor(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{" Smith, John <n@c.example>", ` "Smith, John" <n@c.example>`},
		{" Smith; John\r\n <n@c.example>", ` "Smith; John" <n@c.example>`},
		{" UPS; rack <n@c.example>;", ` "UPS; rack" <n@c.example>`},
		{" <<n@c.example>>", " n@c.example"},
		{" UPS <<n@c.example>>", " UPS <n@c.example>"},
		{" mailto:n@c.example", " n@c.example"},
		{" UPS <MAILTO:n@c.example>", " UPS <n@c.example>"},
		{" <n@c.example> UPS", " UPS <n@c.example>"},
		{" <n@c.example> UPS (rack 3): \"cold\"", ` "UPS (rack 3): cold" <n@c.example>`},
		{" [ALARM] UPS <n@c.example>", ` "[ALARM] UPS" <n@c.example>`},
		{" UPS: rack 3 <n@c.example>", ` "UPS: rack 3" <n@c.example>`},
		{` DOMAIN\svc <n@c.example>`, ` "DOMAIN\\svc" <n@c.example>`},
		{` "UPS <n@c.example>`, ` UPS <n@c.example>`},
		{` "UPS 3" 4" <n@c.example>`, " UPS 3 4 <n@c.example>"},
		{" Alarm n@c.example", " Alarm <n@c.example>"},
		{" Alarm <n@c.example", " Alarm <n@c.example>"},
		{" Alarm <n@c.example>;", " Alarm <n@c.example>"},
		{" Alarm <n@c.example>>", " Alarm <n@c.example>"},
		{" 'Alarm' 'n@c.example'", " 'Alarm' <n@c.example>"},
		{` "Alarm <n@c.example>"`, " Alarm <n@c.example>"},
		{" Alarm > n@c.example", ` "Alarm >" <n@c.example>`},
		{" n@c.example ('n@c.example')", ` "'n@c.example'" <n@c.example>`},
		{" stephan(the author)@c.example", " the author <stephan@c.example>"},
		{" <n(his account)@c.example>", " his account <n@c.example>"},
		{" Pete(A \\) chap) <pete(his account)@c.example(his host)>",
			` "Pete(A ) chap) (his account)(his host)" <pete@c.example>`},
		{" Gro\xc3\x9fe, Firma <n@c.example>", " =?utf-8?q?Gro=C3=9Fe?= \",\" Firma <n@c.example>"},
		{" printer@d.example <n@c.example>", ` "printer@d.example" <n@c.example>`},
		{" =?utf-8?Q?x=40y=2Eexample=2C?= <n@c.example>", ` "x@y.example," <n@c.example>`},
		{" =?utf-8?q?J=C3=B6rg=2C?= <n@c.example>, A <m@c.example>",
			` =?utf-8?q?J=C3=B6rg?= "," <n@c.example>, A <m@c.example>`},
		{` "x@y.example" "" <n@c.example>`, ` "x@y.example" <n@c.example>`},
		{" .. <n@c.example>", ` ".." <n@c.example>`},

		{" x@y.example, John <n@c.example>", ""},
		{" John, x@y.example <n@c.example>", ""},
		{` "x@y.example", John <n@c.example>`, ""},
		{" x@y.example n@c.example", ""},
		{" Alarm n@c.example, m@c.example", ""},
		{" n@c.example Alarm", ""},
		{" n@c.example <m@c.example", ""},
		{" Alarm (x@y.example) n@c.example", ""},
		{" n(x@y.example)@c.example", ""},
		{" A <n@c.example>, B <m@c.example>; C", ""},
		{" Alarm <n@c.example> x", ""},
		{" Alarm <<n@c.example>", ""},
		{" <<n@c.example> <m@c.example>>", ""},
		{" <n@c.example> UPS <m@c.example>", ""},
		{" <n@c.example> m@c.example", ""},
		{" <n@c.example>, UPS", ""},
		{" mailto:n@c.example?cc=m@c.example", ""},
		{" mailto:mailto:n@c.example", ""},
		{" (n@c.example)", ""},
		{" =?utf-8?q?n?=@c.example x@y.example", ""},
		{" John Smith", ""},
		{" Alarm <>", ""},
		{" A B <@c.example:n@c.example>", ""},
		{" \"Last,\r\n x@y.example \" <n@c.example>", ""},
		{" A <n@c.example>", ""},
		{"", ""},
	} {
		got, ok := MendAuthor([]byte(c.in))
		if string(got) != c.want && ok || ok != (c.want != "") {
			t.Errorf("%q: %q, %v; want %q", c.in, got, ok, c.want)
		}
		if ok {
			if again, ok := MendAuthor(got); ok {
				t.Errorf("%q is mended again: %q", got, again)
			}
		}
	}
}

func TestMendList(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{" a@x.example; b@x.example", " a@x.example, b@x.example"},
		{" 'a@x.example' <a@x.example>, b@x.example", ` "'a@x.example'" <a@x.example>, b@x.example`},
		{" [Ops] Team <a@x.example>, b@x.example", ` "[Ops] Team" <a@x.example>, b@x.example`},
		{" a@x.example ('a@x.example')", ` "'a@x.example'" <a@x.example>`},
		{" Mikel@Work <a@x.example>, b@x.example", ` "Mikel@Work" <a@x.example>, b@x.example`},
		{" Team a@x.example,\r\n \"Smith; John\" <b@x.example>;",
			" Team <a@x.example>,\r\n \"Smith; John\" <b@x.example>"},
		{" undisclosed-recipients;;", " undisclosed-recipients:;"},
		{" undisclosed-recipients:", " undisclosed-recipients:;"},
		{" root; a@x.example", " root, a@x.example"},
		{" a(one)@x.example; (two) b@x.example", " one <a@x.example>, (two) b@x.example"},
		{" a@x.example / b@x.example|c@x.example", " a@x.example, b@x.example,c@x.example"},
		{" A <a@x.example> | mailto:b@x.example", " A <a@x.example>, b@x.example"},
		{" /G=J/S=S/@x.example; IT/Ops b@x.example", " /G=J/S=S/@x.example, IT/Ops <b@x.example>"},

		{" a@x.example b@x.example", ""},
		{" a@x.example; c@y.example <b@x.example> d", ""},
		{" a@x.example, b@x.example", ""},
		{" a@x.example\x01;", ""},
		{" ;", ""},
	} {
		got, ok := MendList([]byte(c.in))
		if string(got) != c.want && ok || ok != (c.want != "") {
			t.Errorf("%q: %q, %v; want %q", c.in, got, ok, c.want)
		}
	}
}

func TestDaemonAuthor(t *testing.T) {
	for in, want := range map[string]string{
		" MAILER-DAEMON <>": " MAILER-DAEMON <MAILER-DAEMON>", " <>": " <MAILER-DAEMON>",
		" Mail < > (x)": " Mail < MAILER-DAEMON> (x)", " a@x.example": "", " <a@x.example>": "", " <>, <>": "",
		" <@x:>": "", " x: <>;": "", " x": "", "": "",
	} {
		if got, ok := DaemonAuthor([]byte(in)); ok != (want != "") || string(got) != want && ok {
			t.Errorf("%q: %q, %v; want %q", in, got, ok, want)
		}
	}
}

// Work is proportional to the length: these would take minutes otherwise.
func TestMendingIsLinear(t *testing.T) {
	for _, part := range []string{"=?", "=?a?q?", "=?utf-8?q?=40", "=?utf-8?q?x?= ", "a@b.example;", "(",
		"\"", "\"a\";", "<", "x ", "(a@b.example) ", "a (b@c.example);", "'", "[a] <b@c.example>,", "a@b c@d;",
		"(x)", "\\", ";", "é, "} {
		in := []byte(strings.Repeat(part, 1<<20/len(part)) + "a@b.example")
		MendAuthor(in)
		MendList(in)
		phraseOf(string(in))
	}
}

func TestMasks(t *testing.T) {
	for in, want := range map[string]bool{
		"=?utf-8?q?J=C3=B6rg_A=2E?=": false, "=?utf-8?q?a=2Cb?=": true, "=?UTF-8?B?LA?= ": true,
		"=?utf-8?b?LA==?=":         true,
		"=?utf-8*de?q?J=C3=B6rg?=": false, "=?utf-7?q?a?=": true, "=?x-none?q?a?=": true,
		"=?utf-16?b?AEA=?=":    true,
		"=?iso-8859-1?q?=40?=": true, "=?iso-2022-jp?b?GyRCQEA=?=": false, "=?big5?b?h0A=?=": true,
		"=?utf-8?q?a=0Ab?=":           true,
		"=?utf-8?q?Last \"First\" ?=": false, "=?utf-8?x?=40?=": false, "=?utf-8?q?=40": false,
		"=?utf-8?q?=?utf-8?q?x?=": true,
	} {
		if got := masks([]byte(in), specials); got != want {
			t.Errorf("%q: %v", in, got)
		}
	}
}

// What is written for a name has one mailbox, whatever the name.
func FuzzMend(f *testing.F) {
	for _, s := range []string{"Smith, John <a@b.example>", "=?utf-8?q?=22?= \"x@y\" <a@b.example>;", "\xe9=?,\"\\@(<",
		"a (b) c@d.example",
		"'a@b.example'; (a@b.example) c@d", "\"a <b@c.example>\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		to := address(t, "n@c.example")
		written := mailboxOf(plainText(value), to)
		if a, ok := oneMailbox(written); !ok || !a.Equal(to) {
			t.Errorf("%q is not one mailbox", written)
		}
		if bytes.Contains(bytes.ReplaceAll(value, []byte("\r\n "), nil), []byte("\n")) {
			return // not the value of a field
		}
		if mended, ok := MendAuthor(value); ok {
			if all, err := Authors(mended); err != nil || len(all) == 0 {
				t.Errorf("%q became %q: %v, %v", value, mended, all, err)
			} else if before, err := Authors(value); err == nil && fmt.Sprint(before) != fmt.Sprint(all) {
				t.Errorf("%q: authors %v became %v", value, before, all)
			}
		}
		if mended, ok := MendList(value); ok {
			if _, err := Parse(mended); err != nil {
				t.Errorf("%q became %q: %v", value, mended, err)
			}
		}
	})
}
