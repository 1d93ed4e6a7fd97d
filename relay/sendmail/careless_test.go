package sendmail

import (
	"strings"
	"testing"

	"graphrelay/relay/message"
)

// -t finds the recipients that the relay then keeps visible in To, however
// carelessly it was written.
func TestRecipientsOfCarelessFields(t *testing.T) {
	for _, to := range []string{
		"a@example.org; b@example.org", "'a@example.org' <a@example.org>, b@example.org",
		"[Ops] Team <a@example.org>, b@example.org", "a@example.org ('a@example.org'), Mikel@Work <b@example.org>",
		"Team: a@example.org, b@example.org;", "=?utf-8?q?x=40y.example=2C?= <a@example.org>, b@example.org",
		`"Smith; John" <a@example.org>; b@example.org;`,
	} {
		var l List
		l.AddHeader(to)
		h, _, err := message.Read(strings.NewReader("From: x@example.org\r\nTo: "+to+"\r\n\r\n"), message.Options{})
		if err != nil {
			t.Fatal(err)
		}
		h, _ = h.MendLists()
		out, report, err := h.Apply(message.Edits{Recipients: l.Good})
		if err != nil || len(l.Good) != 2 || report.Blind != 0 {
			t.Errorf("%q: -t finds %v, %v:\n%s", to, l.Good, err, out)
		}
	}
}
