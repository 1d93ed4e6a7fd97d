package message

import (
	"fmt"
	"strings"
	"testing"

	"graphrelay/relay/reply"
)

func TestAuthors(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"none", "To: a@b.example\r\n", "[]  [] []"},
		{"one", "From: a@b.example\r\n", "[a@b.example]  [] []"},
		{"all kinds", "From: a@b.example\r\nSender: s@b.example\r\nResent-From: r@b.example\r\n" +
			"Resent-Sender: q@b.example\r\nresent-from: p@b.example, o@b.example\r\nResent-Sender: n@b.example\r\n",
			"[a@b.example] s@b.example [r@b.example p@b.example o@b.example] [q@b.example n@b.example]"},
		{"folded, commented, encoded", "From: =?utf-8?b?TcO8bGxlcg==?=\r\n =?utf-8?q?_x.example?= (the " +
			"(big) boss)\r\n <a@b.example>,\r\n \"x, y\" <c@d.example>\r\n",
			"[a@b.example c@d.example]  [] []"},
		{"no blank", "From:\"x\"<a@b.example>\r\n", "[a@b.example]  [] []"},
		{"unquoted @ in the display name", "From: printer@d.example <printer@d.example>\r\n",
			"[printer@d.example]  [] []"},
		{"no domain", "From: root (Cron Daemon)\r\n", "[root]  [] []"},
		{"empty fields", "From:\r\nSender: \r\nResent-Sender:\r\n", "[]  [] []"},
		{"a domain in other letters", "From: Jürgen <jürgen@bücher.example>\r\n",
			"[jürgen@xn--bcher-kva.example]  [] []"},
		{"a folded name", "From: \"Last,\r\n First\" <a@b.example>\r\n", "[a@b.example]  [] []"},
		{"an encoded word with a blank in it", "From: =?utf-8?q?Last \"First\" ?= <a@b.example>\r\n",
			"[a@b.example]  [] []"},
		{"a domain of capitals", "From: a@BÜCHER.example\r\n", "[a@xn--bcher-kva.example]  [] []"},
		{"names that look like it", "X-From: a@b.example\r\nFrom-: x\r\n", "[]  [] []"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, _, _, err := readAll(t, c.in+"\r\n", Options{})
			if err != nil {
				t.Fatal(err)
			}
			a, err := h.Authors()
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(a.From, a.Sender, a.ResentFrom, a.ResentSender); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestAuthorsRefuses(t *testing.T) {
	for _, field := range []string{
		"From: ceo@x.example <a@b.example>",
		"From: a@b.example <c@d.example>, e@f.example",
		"From: a@b.example, John",
		"From: =?utf-8?b?TcO8bGxlcg==?=\r\n =?utf-8?q?=2C_ceo=40x.example?= (the (big) boss)\r\n <a@b.example>",
		"From: =?utf-7?q?ceo+AEA-x.example?= <a@b.example>",
		"From: =?utf-8?b?Zm9v?x <a@b.example>, =?utf-8?b?LA=?= <c@b.example>",
		"From: \"ceo@x.example\" \"\" <a@b.example>",
		"From: .. <a@b.example>",
		"From: a..b@b.example",
		"From: John Smith",
		"From: Smith, John <a@b.example>",
		"From: <>",
		"From: a@b.example (c@d.example)",
		"From: Team: a@b.example;",
		"From: undisclosed:;",
		"From: =?utf-8?q?a=40x.example?=@b.example",
		"From: =?utf-8?q?a=40x.example?=",
		"From: \"a@b.example",
		"From: a@b.example\x0b",
		"From: a@faß.example",
		"From: a@b.\uff45xample",  // fullwidth
		"From: a@b\u3002example",  // an ideographic full stop
		"From: a@b.example\u212a", // the Kelvin sign
		"From: <@x.example:a@b.example>",
		"Sender: <@x.example,@y.example:a@b.example>",
		"From: \"Last,\r\n ceo@x.example \" <a@b.example>",
		"From: (x\r\n \" y) <a@b.example>, \"ceo@x.example\" <c@b.example>",
		"From: =?utf-8?q?\"?= <ceo@x.example>, =?utf-8?q?\"?= <a@b.example>",
		"Sender: a@b\u200d.example",
		"Sender: a@b.example, c@d.example",
		"Sender: a@b.example c@d.example",
		"Resent-From: a@b.example; c@d.example",
		"Resent-Sender: <a@b.example> <c@d.example>",
	} {
		h, _, _, err := readAll(t, field+"\r\n\r\n", Options{})
		if err != nil {
			t.Fatal(err)
		}
		a, err := h.Authors()
		if err == nil {
			t.Errorf("%q gave %v", field, a)
			continue
		}
		e := reply.Of(err)
		if name, _, _ := strings.Cut(field, ":"); e.Code != 550 || e.Enhanced.String() != "5.6.0" ||
			!strings.Contains(e.Text, name) || strings.Contains(e.Text, "@b") {
			t.Errorf("%q refused with %v: the text must name the field and show nothing of it", field, e)
		}
	}
}
