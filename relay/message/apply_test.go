package message

import (
	"strings"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
)

func addrs(t testing.TB, list string) []envelope.Address {
	t.Helper()
	var out []envelope.Address
	for _, s := range strings.Fields(list) {
		a, err := envelope.ParseAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, a)
	}
	return out
}

// apply reads and edits a header given without its empty line.
func apply(t testing.TB, header string, e Edits) (string, Report, error) {
	t.Helper()
	h, _, err := Read(strings.NewReader(header+"\r\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	out, rep, err := h.Apply(e)
	return strings.TrimSuffix(string(out), "\r\n"), rep, err
}

func TestApplyMakesTheHeaderNameTheEnvelope(t *testing.T) {
	for _, c := range []struct{ name, in, rcpts, want string }{
		{"nothing to do", "To: a@x.example\r\nSubject: s\r\n", "a@x.example", "To: a@x.example\r\nSubject: s\r\n"},
		{"case and display name stay", "TO:  \"A, B\" <A@X.Example> (c)\r\n", "a@x.example",
			"TO:  \"A, B\" <A@X.Example> (c)\r\n"},
		{"no blank after the colon", "To:a@x.example\r\nFrom:\"x\"<s@x.example>\r\n", "a@x.example b@x.example",
			"Bcc: b@x.example\r\nTo:a@x.example\r\nFrom:\"x\"<s@x.example>\r\n"},
		{"the issue's example", "To: a@x.example, d@x.example\r\nSubject: s\r\n", "a@x.example b@x.example c@x.example",
			"Bcc: b@x.example, c@x.example\r\nTo: a@x.example\r\nX-Graphrelay-To: a@x.example, d@x.example\r\n" +
				"Subject: s\r\n"},
		{"no recipient fields", "Subject: s\r\n", "a@x.example", "Bcc: a@x.example\r\nSubject: s\r\n"},
		{"no header", "", "a@x.example", "Bcc: a@x.example\r\n"},
		{"repeated RCPT", "Subject: s\r\n", "a@x.example A@X.example", "Bcc: a@x.example\r\nSubject: s\r\n"},

		{"trim the first", "To: A <a@x.example>,\r\n B <b@x.example>,\r\n\tC <c@x.example>\r\n",
			"b@x.example c@x.example",
			"To: B <b@x.example>,\r\n\tC <c@x.example>\r\nX-Graphrelay-To: A <a@x.example>,\r\n B <b@x.example>,\r\n" +
				"\tC <c@x.example>\r\n"},
		{"trim the middle", "To: A <a@x.example>,\r\n B <b@x.example>,\r\n C <c@x.example>\r\n",
			"a@x.example c@x.example",
			"To: A <a@x.example>,\r\n C <c@x.example>\r\nX-Graphrelay-To: A <a@x.example>,\r\n B <b@x.example>,\r\n" +
				" C <c@x.example>\r\n"},
		{"trim the last", "Cc: a@x.example\r\n ,\r\n b@x.example\r\n", "a@x.example",
			"Cc: a@x.example\r\nX-Graphrelay-Cc: a@x.example\r\n ,\r\n b@x.example\r\n"},
		{"trim all", "To: a@x.example\r\nCc:\r\n b@x.example\r\nSubject: s\r\n", "c@x.example",
			"Bcc: c@x.example\r\nX-Graphrelay-To: a@x.example\r\nX-Graphrelay-Cc:\r\n b@x.example\r\nSubject: s\r\n"},
		{"folded at once", "To:\r\n a@x.example,\r\n b@x.example\r\n", "b@x.example",
			"To:\r\n b@x.example\r\nX-Graphrelay-To:\r\n a@x.example,\r\n b@x.example\r\n"},
		{"8-bit name stays", "To: M\xfcller <a@x.example>, b@x.example\r\n", "a@x.example",
			"To: M\xfcller <a@x.example>\r\nX-Graphrelay-To: M\xfcller <a@x.example>, b@x.example\r\n"},
		{"encoded name stays", "To: =?utf-8?q?J=C3=B6rg=2E?=\r\n <a@x.example>\r\n", "a@x.example b@x.example",
			"Bcc: b@x.example\r\nTo: =?utf-8?q?J=C3=B6rg=2E?=\r\n <a@x.example>\r\n"},
		{"encoded name that hides an address", "To: =?utf-8?q?b=40x.example=2C?=\r\n <a@x.example>\r\n",
			"a@x.example b@x.example", "Bcc: b@x.example\r\nTo: \"b@x.example,\" <a@x.example>\r\n"},
		{"no domain", "To: root\r\n", "admin@x.example", "Bcc: admin@x.example\r\nX-Graphrelay-To: root\r\n"},
		{"words that are no address", "To: Customers, a@x.example\r\n", "a@x.example",
			"To: a@x.example\r\nX-Graphrelay-To: Customers, a@x.example\r\n"},

		{"To and Cc both", "To: a@x.example\r\nCc: a@x.example, b@x.example\r\n", "a@x.example b@x.example",
			"To: a@x.example\r\nCc: a@x.example, b@x.example\r\n"},
		{"empty fields stay", "To: a@x.example\r\nCc:\r\nSubject:\r\n", "a@x.example", "To: a@x.example\r\nCc:\r\n" +
			"Subject:\r\n"},
		{"empty To", "To:\r\nSubject: s\r\n", "a@x.example", "Bcc: a@x.example\r\nTo:\r\nSubject: s\r\n"},

		{"undisclosed", "To: undisclosed-recipients:;\r\n", "a@x.example", "Bcc: a@x.example\r\n" +
			"To: undisclosed-recipients:;\r\n"},
		{"undisclosed, blanks", "To: \"Undisclosed recipients\": ;\r\n", "a@x.example", "Bcc: a@x.example\r\n" +
			"To: \"Undisclosed recipients\": ;\r\n"},
		{"undisclosed, unended", "To: undisclosed-recipients:\r\n", "a@x.example", "Bcc: a@x.example\r\n" +
			"X-Graphrelay-To: undisclosed-recipients:\r\n"},
		{"group within", "To: Team: a@x.example, B <b@x.example>;\r\n", "a@x.example b@x.example",
			"To: Team: a@x.example, B <b@x.example>;\r\n"},
		{"group partly", "To: Team: a@x.example,\r\n B <b@x.example>; (c), d@x.example\r\n", "b@x.example d@x.example",
			"To: Team:\r\n B <b@x.example>; (c), d@x.example\r\nX-Graphrelay-To: Team: a@x.example,\r\n" +
				" B <b@x.example>; (c), d@x.example\r\n"},
		{"group outside", "To: Team: a@x.example;, none:;, b@x.example\r\n", "b@x.example",
			"To: none:;, b@x.example\r\nX-Graphrelay-To: Team: a@x.example;, none:;, b@x.example\r\n"},

		{"repeated To", "To: a@x.example\r\nSubject: s\r\nTO: b@x.example (B)\r\nto:\r\n", "a@x.example b@x.example",
			"To: a@x.example,\r\n b@x.example (B)\r\nSubject: s\r\n"},
		{"repeated To, trimmed", "To: a@x.example\r\nTo:c@x.example,b@x.example\r\n", "a@x.example b@x.example",
			"To: a@x.example,\r\n b@x.example\r\nX-Graphrelay-To:c@x.example,b@x.example\r\n"},
		{"repeated Cc, the first goes", "Cc: c@x.example\r\nCc: a@x.example\r\n", "a@x.example",
			"Cc: a@x.example\r\nX-Graphrelay-Cc: c@x.example\r\n"},
		{"repeated empty To", "To:\r\nTo:\r\nSubject: s\r\n", "a@x.example", "Bcc: a@x.example\r\nSubject: s\r\n"},

		{"semicolons", "To: a@x.example; b@x.example\r\n", "a@x.example b@x.example",
			"Bcc: a@x.example, b@x.example\r\nX-Graphrelay-To: a@x.example; b@x.example\r\n"},
		{"unreadable beside readable", "To: a@x.example\r\nTo: <b@x.example\r\n", "a@x.example b@x.example",
			"Bcc: b@x.example\r\nTo: a@x.example\r\nX-Graphrelay-To: <b@x.example\r\n"},
		{"an address in a comment", "To: a@x.example (b@x.example)\r\n", "a@x.example",
			"Bcc: a@x.example\r\nX-Graphrelay-To: a@x.example (b@x.example)\r\n"},
		{"an encoded word in an address", "To: =?utf-8?q?b=40y.example=3e=00?=a@x.example\r\n", "a@x.example",
			"Bcc: a@x.example\r\nX-Graphrelay-To: =?utf-8?q?b=40y.example=3e=00?=a@x.example\r\n"},
		{"folded quotes without an @", "To: \"Last,\r\n First\" <a@x.example>\r\n", "a@x.example",
			"To: \"Last,\r\n First\" <a@x.example>\r\n"},
		{"folded quotes beside an @ in quotes", "To: \"Last,\r\n First\" <a@x.example>,\r\n" +
			" \"x@y.example\" <b@x.example>\r\n", "a@x.example b@x.example",
			"To: \"Last, First\" <a@x.example>,\r\n \"x@y.example\" <b@x.example>\r\n"},
		{"a folded name of a group beside an @ in quotes",
			"To: \"Last,\r\n First\": \"x@y.example\" <a@x.example>;\r\n", "a@x.example",
			"To: \"x@y.example\" <a@x.example>\r\n" +
				"X-Graphrelay-To: \"Last,\r\n First\": \"x@y.example\" <a@x.example>;\r\n"},
		{"a quoted string that begins in an encoded word", "To: =?utf-8?q?\"?= <y@x.example>, =?utf-8?q?\"?= " +
			"<a@x.example>\r\n", "a@x.example",
			"Bcc: a@x.example\r\nX-Graphrelay-To: =?utf-8?q?\"?= <y@x.example>, =?utf-8?q?\"?= <a@x.example>\r\n"},
		{"a source route", "To: <@y.example,@z.example:a@x.example>\r\n", "a@x.example",
			"Bcc: a@x.example\r\nX-Graphrelay-To: <@y.example,@z.example:a@x.example>\r\n"},
		{"a domain in other letters", "To: B <b@x.example>,\r\n Jürgen (J.) <jürgen@Bücher.example> " +
			"(he),c@x.example\r\n", "b@x.example jürgen@bücher.example c@x.example",
			"To: B <b@x.example>,\r\n Jürgen (J.) <jürgen@xn--bcher-kva.example> (he),c@x.example\r\n"},
		{"a domain that readers map differently", "To: a@faß.example\r\n", "a@faß.example",
			"To: a@xn--fa-hia.example\r\n"},
		{"the other reading of it", "To: a@faß.example\r\n", "a@fass.example", "Bcc: a@fass.example\r\n" +
			"X-Graphrelay-To: a@faß.example\r\n"},
		{"a domain of wide letters", "Cc: a@ｘ.example\r\n", "a@x.example", "Cc: a@x.example\r\n"},
		{"such an address as its own name", "To: a@bücher.example <a@bücher.example>\r\n", "a@bücher.example",
			"To: \"a@bücher.example\" <a@xn--bcher-kva.example>\r\n"},
		{"such a domain outside the envelope", "To: a@bücher.example, b@x.example\r\n", "b@x.example",
			"To: b@x.example\r\nX-Graphrelay-To: a@bücher.example, b@x.example\r\n"},
		{"address twice", "To: a@x.example <a@x.example>,\r\n B <b@x.example>\r\n", "a@x.example b@x.example",
			"To: \"a@x.example\" <a@x.example>,\r\n B <b@x.example>\r\n"},

		{"Bcc is replaced", "To: a@x.example\r\nBcc: \"Secret\" <b@x.example>,\r\n c@x.example\r\nSubject: s\r\n",
			"a@x.example b@x.example d@x.example",
			"To: a@x.example\r\nBcc: b@x.example, d@x.example\r\nSubject: s\r\n"},
		{"Bcc goes", "To: a@x.example\r\nBcc: b@x.example\r\nSubject: s\r\n", "a@x.example", "To: a@x.example\r\n" +
			"Subject: s\r\n"},
		{"Bcc that To names too", "To: a@x.example\r\nBcc: a@x.example\r\n", "a@x.example", "To: a@x.example\r\n"},
		{"empty Bcc", "Bcc:\r\nTo: a@x.example\r\n", "a@x.example", "To: a@x.example\r\n"},
		{"repeated Bcc", "Bcc: a@x.example\r\nTo: t@x.example\r\nBCC : b@x.example\r\n",
			"t@x.example a@x.example b@x.example",
			"Bcc: a@x.example, b@x.example\r\nTo: t@x.example\r\n"},
		{"unreadable Bcc", "Bcc: <a@x.example\r\nTo: t@x.example\r\n", "t@x.example", "To: t@x.example\r\n"},

		{"resent fields", "Resent-To: a@x.example\r\nresent-cc:b@x.example\r\nResent-Bcc: c@x.example\r\n" +
			"Resent-From: s@x.example\r\nTo: t@x.example\r\n", "a@x.example",
			"Bcc: a@x.example\r\nX-Graphrelay-Resent-To: a@x.example\r\nX-Graphrelay-Resent-Cc:b@x.example\r\n" +
				"Resent-From: s@x.example\r\nX-Graphrelay-To: t@x.example\r\n"},
		{"Apparently-To and forged fields", "Apparently-To: a@x.example\r\nX-GRAPHRELAY-To: b@x.example\r\n" +
			"X-Graphrelay-New: y\r\nX-Graph: z\r\n", "c@x.example",
			"Bcc: c@x.example\r\nX-Graph: z\r\n"},
		{"blank before the colon", "To : a@x.example\r\nBcc\t: b@x.example\r\n", "a@x.example", "To: a@x.example\r\n"},
		{"fields that only look like it", "Reply-To: r@x.example\r\nX-To: b@x.example\r\nTos: c@x.example\r\n" +
			"Return-Path: <d@x.example>\r\nTo: a@x.example\r\n", "a@x.example",
			"Reply-To: r@x.example\r\nX-To: b@x.example\r\nTos: c@x.example\r\nReturn-Path: <d@x.example>\r\n" +
				"To: a@x.example\r\n"},
		{"authors with a domain in other letters", "To: a@x.example\r\nFrom: =?utf-8?q?J=C3=BCrgen?=\r\n" +
			" <jürgen@Bücher.example> (he)\r\nSENDER : s@bücher.example\r\nResent-From: a@bücher.example,\r\n" +
			" b@x.example\r\nReply-To: r@bücher.example\r\n", "a@x.example",
			"To: a@x.example\r\nFrom: =?utf-8?q?J=C3=BCrgen?=\r\n <jürgen@xn--bcher-kva.example> (he)\r\n" +
				"SENDER: s@xn--bcher-kva.example\r\nResent-From: a@xn--bcher-kva.example,\r\n b@x.example\r\n" +
				"Reply-To: r@bücher.example\r\n"},
		{"such an author as its own name", "From: a@bücher.example <a@bücher.example>\r\nTo: a@x.example\r\n",
			"a@x.example",
			"From: \"a@bücher.example\" <a@xn--bcher-kva.example>\r\nTo: a@x.example\r\n"},
		{"authors in ASCII", "From: Müller <Müller@X.example>\r\nSender: S@X.EXAMPLE\r\nTo: a@x.example\r\n",
			"a@x.example",
			"From: Müller <Müller@X.example>\r\nSender: S@X.EXAMPLE\r\nTo: a@x.example\r\n"},
		{"UTF-8 local part", "Subject: s\r\n", "jürgen@x.example", "Bcc: jürgen@x.example\r\nSubject: s\r\n"},
		{"long lines", "Subject: s\r\n", "aaaaaaaaaaaaaaaaaaaaaaaaa@x.example bbbbbbbbbbbbbbbbbbbbbbbb@x.example " +
			"c@x.example d@x.example",
			"Bcc: aaaaaaaaaaaaaaaaaaaaaaaaa@x.example, bbbbbbbbbbbbbbbbbbbbbbbb@x.example,\r\n" +
				" c@x.example, d@x.example\r\nSubject: s\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, rep, err := apply(t, c.in, Edits{Recipients: addrs(t, c.rcpts)})
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("got  %q\nwant %q\n%+v", got, c.want, rep)
			}
		})
	}
}

func TestTheIDIsOursAlone(t *testing.T) {
	in := "x-graphrelay-id: forged\r\nX-Graphrelay-Odd: 1\r\nTo: a@x.example\r\nX-GRAPHRELAY-ODD: 2\r\n"
	e := Edits{Received: "Received: by r\r\n", ID: "0f", Recipients: addrs(t, "a@x.example")}
	got, rep, err := apply(t, in, e)
	if want := "Received: by r\r\nX-Graphrelay-ID: 0f\r\nTo: a@x.example\r\n"; err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if got := strings.Join(rep.Ours, " "); got != "x-graphrelay-id X-Graphrelay-Odd X-GRAPHRELAY-ODD" {
		t.Errorf("the fields that pretended to be ours are %q", got)
	}
}

func TestApplyReports(t *testing.T) {
	in := "To: a@x.example, B <d@x.example>\r\nCc: a@x.example; b@x.example\r\nBcc: e@x.example\r\n" +
		"Resent-To: f@x.example\r\nApparently-To: g@x.example\r\n"
	_, rep, err := apply(t, in, Edits{Recipients: addrs(t, "a@x.example b@x.example c@x.example"),
		MessageID: "<i@x.example>"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		got  []string
		want string
	}{
		{"Trimmed", rep.Trimmed, "d@x.example e@x.example"},
		{"Unreadable", rep.Unreadable, "Cc"},
		{"Added", rep.Added, "X-Graphrelay-To X-Graphrelay-Cc Message-ID X-Graphrelay-Resent-To"},
		{"Dropped", rep.Dropped, "Resent-To Apparently-To"},
	} {
		if got := strings.Join(c.got, " "); got != c.want {
			t.Errorf("%s %q, want %q", c.what, got, c.want)
		}
	}
	if rep.Blind != 2 {
		t.Errorf("Blind %d, want 2", rep.Blind)
	}
}

func TestApplyAddsTraceFields(t *testing.T) {
	when := time.Date(2027, 3, 1, 4, 5, 6, 0, time.FixedZone("", 3600))
	e := Edits{
		Received: "Received: from x\r\n\tby y; z\r\n", Recipients: addrs(t, "a@x.example"),
		Date: when, MessageID: "<new@x.example>",
	}
	const date, id = "Date: Mon, 01 Mar 2027 04:05:06 +0100\r\n", "Message-ID: <new@x.example>\r\n"
	for _, c := range []struct{ name, in, want string }{
		{"both absent", "To: a@x.example\r\n", date + id + "To: a@x.example\r\n"},
		{"both there", "Date: yesterday\r\nmessage-id: <old@x>\r\nTo: a@x.example\r\n", "Date: yesterday\r\n" +
			"message-id: <old@x>\r\nTo: a@x.example\r\n"},
		{"both empty", "Date: \r\nTo: a@x.example\r\nMessage-Id:\r\n", date + id + "To: a@x.example\r\n"},
		{"one empty, one not", "Date:\r\nDate: today\r\nMessage-ID: x\r\nTo: a@x.example\r\n",
			"Date:\r\nDate: today\r\nMessage-ID: x\r\nTo: a@x.example\r\n"},
		{"everything added", "Subject: s\r\n", date + id + "Bcc: a@x.example\r\nSubject: s\r\n"},
	} {
		got, _, err := apply(t, c.in, e)
		if err != nil || got != e.Received+c.want {
			t.Errorf("%s: got %q, %v\nwant %q", c.name, got, err, e.Received+c.want)
		}
	}
}

func TestApplyCanRefuseExtraRecipients(t *testing.T) {
	e := Edits{Recipients: addrs(t, "a@x.example b@x.example"), Extra: RejectExtra}
	for _, in := range []string{
		"To: a@x.example, c@x.example\r\n", "Cc: c@x.example\r\n", "Bcc: c@x.example\r\n", "To: root\r\n",
		"To: <a@x.example\r\n", "Bcc: a@x.example; b@x.example\r\n", "To: G: c@x.example;\r\n",
	} {
		_, _, err := apply(t, in, e)
		if s := reply.Of(err); s == nil || s.Code != 550 || s.Enhanced.String() != "5.6.0" ||
			strings.Contains(s.Text, "c@x") {
			t.Errorf("%q: %v, want 550 5.6.0 that names no address", in, err)
		}
	}
	for _, in := range []string{"To: a@x.example\r\n", "Bcc: a@x.example\r\n", "To: none:;\r\n",
		"Resent-To: c@x.example\r\n", ""} {
		if _, _, err := apply(t, in, e); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestApplyRefusesRecipientsThatHeadersCannotCarry(t *testing.T) {
	for _, local := range []string{"x@y", "a,b", "a;b", "a:b", "a<b", "a>b", "a(b", `a"b`, `a\b`, "=?utf-8?q?a=40b?="} {
		a, err := envelope.NewAddress(local, "x.example")
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = apply(t, "Subject: s\r\n", Edits{Recipients: []envelope.Address{a}})
		if s := reply.Of(err); s == nil || s.Code != 550 || s.Enhanced.String() != "5.1.3" {
			t.Errorf("%s: %v, want 550 5.1.3", a, err)
		}
	}
	for _, local := range []string{"o'brien", "a b", "a..b", "a+b=c", "jürgen"} {
		a, err := envelope.NewAddress(local, "x.example")
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := apply(t, "", Edits{Recipients: []envelope.Address{a}}); err != nil ||
			got != "Bcc: "+a.String()+"\r\n" {
			t.Errorf("%s: %q, %v", a, got, err)
		}
	}
}

// These are faults of the caller, and must not become a permanent refusal.
// An encoded word that begins in a name and ends in the address is one to readers
// that decode first.
func TestWordsThatEndInAnAddressAreRefused(t *testing.T) {
	for _, from := range []string{"=???<?=@x.example>", "=?utf-8?q?a <b?=@x.example>", "a?=@x.example"} {
		h, _, err := Read(strings.NewReader("From: "+from+"\r\n\r\n"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if a, err := h.Authors(); err == nil {
			t.Errorf("%s is read as from %v", from, a.From)
		}
		if err := CheckRecipient(addrs(t, "a?=@x.example")[0]); err == nil {
			t.Error("such a recipient is accepted")
		}
	}
}

func TestApplyNeedsRealRecipients(t *testing.T) {
	bare, err := envelope.ParseRecipient("root")
	if err != nil {
		t.Fatal(err)
	}
	for _, rcpts := range [][]envelope.Address{nil, {bare}} {
		if _, _, err := apply(t, "", Edits{Recipients: rcpts}); err == nil || !reply.Of(err).Temporary() {
			t.Errorf("%v: %v", rcpts, err)
		}
	}
}

func TestApplyWritesLongListsInShortLines(t *testing.T) {
	var list []string
	for i := range 500 {
		list = append(list, strings.Repeat("x", i%60+1)+"@"+strings.Repeat("d", i%50+1)+".example")
	}
	got, rep, err := apply(t, "", Edits{Recipients: addrs(t, strings.Join(list, " "))})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(got, "\r\n") {
		if len(line) > 78 && strings.Count(line, "@") > 1 || len(line) > 998 {
			t.Errorf("line of %d bytes: %q", len(line), line)
		}
	}
	if n := strings.Count(got, "@"); n != rep.Blind || n < 300 {
		t.Errorf("%d addresses, %d reported", n, rep.Blind)
	}
}

// A header of nothing but recipients must cost little, and still name the right ones.
func TestApplyBoundsLongRecipientFields(t *testing.T) {
	many := strings.Repeat("a@x.example,", 3000)
	for _, c := range []struct{ name, in string }{
		{"one field", "To: " + many + many + "b@x.example\r\n"},
		{"two fields that are too long when merged", "To: " + many + "a@x.example\r\nTo: " + many + "b@x.example\r\n"},
		{"strangers", "To: " + strings.Repeat("c,", 200_000) + "c\r\nCc: " + strings.Repeat("c:;,", 50_000) + "c\r\n"},
		{"many fields", strings.Repeat("To: c@x.example, d@x.example\r\nX-Graphrelay-Z: x\r\n", 4000)},
	} {
		got, rep, err := apply(t, c.in, Edits{Recipients: addrs(t, "a@x.example b@x.example")})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(got, "Bcc: a@x.example, b@x.example\r\nX-Graphrelay-To: ") ||
			strings.Contains(got, "\nTo:") || strings.Contains(got, "\nCc:") {
			t.Errorf("%s: %.200q", c.name, got)
		}
		if len(rep.Trimmed) > maxReport || len(rep.Added) > 3 || len(rep.Dropped) > 1 {
			t.Errorf("%s: the report is long: %d %d %d", c.name, len(rep.Trimmed), len(rep.Added), len(rep.Dropped))
		}
	}
}
