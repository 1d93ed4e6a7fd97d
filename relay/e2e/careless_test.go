package e2e_test

import (
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
)

// Fields of devices that quote nothing, and what is sent. "" means that the
// message is refused with 550 5.6.0: who wrote it has more than one reading.
func TestFieldsWrittenWithoutCareAreRepaired(t *testing.T) {
	const to, from = "To: a@example.org, b@example.org", "From: notify@contoso.com"
	r, d := start(t, harness.Senders("notify@contoso.com"))
	sent := 0
	for _, c := range []struct{ in, want string }{
		{"From: Smith, John <notify@contoso.com>", `From: "Smith, John" <notify@contoso.com>`},
		{"From: [ALARM] UPS <notify@contoso.com>", `From: "[ALARM] UPS" <notify@contoso.com>`},
		{"From: UPS: rack 3 <notify@contoso.com>", `From: "UPS: rack 3" <notify@contoso.com>`},
		{`From: DOMAIN\svc <notify@contoso.com>`, `From: "DOMAIN\\svc" <notify@contoso.com>`},
		{`From: "UPS <notify@contoso.com>`, "From: UPS <notify@contoso.com>"},
		{"From: Alarm notify@contoso.com", "From: Alarm <notify@contoso.com>"},
		{"From: Alarm <notify@contoso.com", "From: Alarm <notify@contoso.com>"},
		{"From: =?utf-8?Q?x=40y=2Eexample=2C?= <notify@contoso.com>", `From: "x@y.example," <notify@contoso.com>`},
		{"From: UPS; rack 3 <notify@contoso.com>", `From: "UPS; rack 3" <notify@contoso.com>`},
		{"From: <<notify@contoso.com>>", from},
		{"From: mailto:notify@contoso.com", from},
		{"From: <notify@contoso.com> UPS", "From: UPS <notify@contoso.com>"},
		{"From: UPS\rrack <notify@contoso.com>", "From: UPS rack <notify@contoso.com>"},
		{"From: notify@contoso.com, Notify <notify@contoso.com>",
			"From: notify@contoso.com, Notify <notify@contoso.com>\nSender: notify@contoso.com"},
		{"To: a@example.org; b@example.org", to},
		{"To: 'a@example.org' <a@example.org>, b@example.org", `To: "'a@example.org'" <a@example.org>, b@example.org`},
		{"To: [Ops] Team <a@example.org>, b@example.org", `To: "[Ops] Team" <a@example.org>, b@example.org`},
		{"To: =?utf-8?q?x=40y.example=2C?= <a@example.org>, b@example.org",
			`To: "x@y.example," <a@example.org>, b@example.org`},
		{"To: a@example.org / b@example.org", to},
		{"To: a@example.org|b@example.org", "To: a@example.org,b@example.org"},
		{"To: =?utf-8?Q?=C3=84rger=2C_J=C3=BCrgen?= <a@example.org>, b@example.org",
			`To: =?utf-8?q?=C3=84rger?= "," =?utf-8?q?J=C3=BCrgen?= <a@example.org>, b@example.org`},
		{"To: =?utf-8?Q?=C3=84rger=2C_J=C3=BCrgen?= <a@example.org>, b@example.org\r\nDKIM-Signature: v=1",
			"To: =?utf-8?Q?=C3=84rger=2C_J=C3=BCrgen?= <a@example.org>, b@example.org"},
		{"From: =?utf-8?Q?=C3=84rger=2C_J=C3=BCrgen?= <notify@contoso.com>\r\nDKIM-Signature: v=1",
			"From: =?utf-8?Q?=C3=84rger=2C_J=C3=BCrgen?= <notify@contoso.com>"},
		{"To: undisclosed-recipients;;", "Bcc: a@example.org, b@example.org\nTo: undisclosed-recipients:;"},

		{"From: x@y.example, John <notify@contoso.com>", ""},
		{"From: notify@contoso.com x@y.example", ""},
		{"From: x\rFrom: notify@contoso.com", ""},
		{"From: x@y.example\r<notify@contoso.com>", ""},
		{"From: <notify@contoso.com> x@y.example", ""},
		{"From: =?utf-8?q?x=40y.example=2C?= <notify@contoso.com>\r\nDKIM-Signature: v=1", ""},
	} {
		header := c.in
		if strings.HasPrefix(c.in, "From") {
			header += "\r\n" + to
		} else {
			header += "\r\n" + from
		}
		conn := harness.Hello(t, r.Addr)
		conn.Envelope("notify@contoso.com", "a@example.org", "b@example.org")
		_ = conn.Raw(harness.DotStuff(header + "\r\nSubject: x\r\n\r\ntext\r\n"))
		if c.want == "" {
			conn.Want(conn.Read(), 550)
			continue
		}
		conn.Want(conn.Read(), 250)
		fields, _ := harness.Split(string(d.WaitFor(t, sent+1, patience)[sent].Raw))
		sent++
		for want := range strings.SplitSeq(c.want, "\n") {
			if !slices.Contains(fields, want) {
				t.Errorf("%q gives %q, want %q", c.in, fields, want)
			}
		}
	}
}
