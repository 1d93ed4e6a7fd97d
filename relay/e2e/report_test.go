package e2e_test

import (
	"bytes"
	"net/mail"
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

// What Graph refuses for good is reported to its sender and the postmaster,
// once, also across a kill; what a program sent by itself is not.
func TestAReportArrives(t *testing.T) {
	d := harness.StartDouble(t)
	r := harness.StartRelay(t, d, harness.With("top", "reports: {postmaster: admin@contoso.com}"))
	for _, id := range []string{"<poison@test>", "<robot@test>"} {
		if err := d.Inject(sandbox.Fault{MessageID: id, Status: 400, Code: "ErrorInvalidRecipients",
			Message: "At least one recipient is not valid."}); err != nil {
			t.Fatal(err)
		}
	}
	const head = "From: " + harness.Sender + "\r\nTo: " + anyone + "\r\nSubject: poison\r\n"
	c := harness.Hello(t, r.Addr)
	c.Send(harness.Sender, []string{anyone}, head+"Message-ID: <poison@test>\r\n\r\nx\r\n")
	c.Send(harness.Sender, []string{anyone}, head+
		"Message-ID: <robot@test>\r\nAuto-Submitted: auto-generated\r\n\r\nx\r\n")
	report := d.WaitFor(t, 1, patience)[0]
	r.WaitEmpty(patience)

	slices.Sort(report.Recipients)
	if got := strings.Join(report.Recipients, " "); got != "admin@contoso.com "+harness.Sender ||
		report.Mailbox != harness.Sender {
		t.Errorf("the report goes to %s through %s", got, report.Mailbox)
	}
	m, err := mail.ReadMessage(bytes.NewReader(report.Raw))
	if err != nil {
		t.Fatal(err)
	}
	if m.Header.Get("Auto-Submitted") != "auto-replied" || m.Header.Get("Subject") != "Not sent: poison" ||
		m.Header.Get("In-Reply-To") != "<poison@test>" {
		t.Errorf("header of the report: %v", m.Header)
	}
	for _, s := range []string{"Status: 5.1.3", "Action: failed", "Final-Recipient: rfc822; " + anyone,
		"correct the recipients"} {
		if !strings.Contains(strings.Join(strings.Fields(string(report.Raw)), " "), s) {
			t.Errorf("the report says nothing of %q:\n%s", s, report.Raw)
		}
	}
	r.Kill()
	r.Start()
	harness.Hello(t, r.Addr).Send(harness.Sender, []string{anyone}, plain("after"))
	if all := d.WaitFor(t, 2, patience); len(all) != 2 || bytes.Contains(all[1].Raw, []byte("multipart/report")) {
		t.Errorf("%d messages arrived", len(all))
	}
}
