package e2e_test

import (
	"bytes"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

// odd is a message that some device or script sends, the text that must arrive,
// and the repair that the log and the metric name.
type odd struct{ name, message, header, body, repair string }

func oddMessages() []odd {
	const head = "From: " + harness.Sender + "\r\nTo: " + anyone + "\r\nSubject: odd\r\n"
	cr := func(s string) string { return strings.ReplaceAll(s, "\r\n", "\r\r\n") }
	return []odd{
		{"CR CR LF", cr(head + "X-A: b\r\n\r\nlow\r\n..\r\nlast"), "X-A: b", "low\r\n.\r\nlast\r\n", "stray_cr"},
		{"progress bar", head + "\r\n10%\r20%\r\ndone", "Subject: odd", "10%\r\n20%\r\ndone\r\n", "stray_cr"},
		{"CR in the header", head + "X-A: b\rBcc: evil@example.org\r\n\r\nx", "X-A: b Bcc: evil@example.org", "x\r\n",
			"stray_cr"},
		{"NUL at the end", head + "\r\nlow\x00", "Subject: odd", "low\r\n", "final_nul"},
		{"NUL as the last line", head + "\r\nlow\r\n\x00\x00", "Subject: odd", "low\r\n\r\n", "final_nul"},
		{"no empty line", head + "UPS on battery since 10 oclock\r\nUPS low at 10:30\r\n\r\nStatus: x", "Subject: odd",
			"UPS on battery since 10 oclock\r\nUPS low at 10:30\r\n\r\nStatus: x\r\n", "no_empty_line"},
		{"no fold", head + "Content-Type: text/plain;\r\ncharset=utf-8\r\n\r\nx",
			"Content-Type: text/plain;\r\n charset=utf-8", "x\r\n", "missing_fold"},
		{"mbox line", "From notify@contoso.com\r\n" + head + "\r\nx", "Subject: odd", "x\r\n", "mbox_from"},
		{"mbox line of a program", "From - 29 Nov 2026\r\n" + head + "\r\nx", "Subject: odd", "x\r\n", "mbox_from"},
		{"byte order mark", "\xef\xbb\xbf" + head + "\r\nx", "Subject: odd", "x\r\n", "byte_order_mark"},
	}
}

// What devices and scripts send arrives, with the repair in the log and in the
// metric, and nothing else below the header changed.
func TestOddMessagesOfDevices(t *testing.T) {
	r, d := start(t, harness.Watched())
	repairs := map[string]bool{}
	for i, o := range oddMessages() {
		c := harness.Hello(t, r.Addr)
		c.Envelope(harness.Sender, anyone)
		if err := c.Raw(o.message + "\r\n.\r\n"); err != nil {
			t.Fatal(err)
		}
		c.Want(c.Read(), 250)
		c.Want(c.Say("NOOP"), 250)
		c.Close()
		got := d.WaitFor(t, i+1, patience)[i]
		header, body, _ := strings.Cut(string(got.Raw), "\r\n\r\n")
		if !strings.Contains(header+"\r\n", "\r\n"+o.header+"\r\n") || body != o.body ||
			strings.Join(got.Recipients, " ") != anyone {
			t.Errorf("%s: to %v\n%q\n%q", o.name, got.Recipients, header, body)
		}
		repairs[o.repair] = true
	}
	log, metrics := r.Output(), r.Page("/metrics")
	for name := range repairs {
		if !strings.Contains(log, "notes="+name) || !strings.Contains(metrics, `repairs_total{repair="`+name+`"}`) {
			t.Errorf("the log or the metrics lack %s", name)
		}
	}
}

// The end of DATA is CRLF.CRLF and nothing else, however its lines end: no
// command within a message is run.
func TestOddLineEndsEndNoMessage(t *testing.T) {
	r, d := start(t)
	for i, end := range []string{"\r.\r", "\n.\n", "\r\r\n.\r\r\n", "\r\n.\r\r\n", "\r\r.\r\r", "\r.\r\n", "\n.\r\n",
		"\r\r\n.\n"} {
		c := harness.Hello(t, r.Addr)
		c.Envelope(harness.Sender, anyone)
		_ = c.Raw("From: " + harness.Sender + "\r\n\r\nfirst" + end + "MAIL FROM:<" + harness.Sender +
			">\r\nRCPT TO:<victim@example.org>\r\nDATA\r\n\r\nsmuggled\r\n.\r\n")
		c.Want(c.Read(), 250)
		c.Want(c.Say("NOOP"), 250)
		c.Close()
		got := d.WaitFor(t, i+1, patience)[i]
		text := strings.ReplaceAll(string(got.Raw), "\r\n", "")
		if strings.Join(got.Recipients, " ") != anyone || strings.ContainsAny(text, "\r\n") ||
			!bytes.HasSuffix(got.Raw, []byte("DATA\r\n\r\nsmuggled\r\n")) {
			t.Errorf("%q: to %v\n%q", end, got.Recipients, got.Raw)
		}
	}
}

// Clients that know no name, that ask for delivery notifications unasked, and
// that send reports.
func TestOddDialogsOfDevices(t *testing.T) {
	d := harness.StartDouble(t)
	r := harness.StartRelay(t, d, harness.With("top", "reports: {postmaster: admin@contoso.com}"))
	for _, hello := range []string{"HELO ", "EHLO"} {
		c := harness.Dial(t, r.Addr)
		c.Want(c.Say(hello), 250)
		c.Send(harness.Sender, []string{anyone}, plain("no name"))
	}
	for _, m := range d.WaitFor(t, 2, patience) {
		if !bytes.Contains(m.Raw, []byte("from [127.0.0.1] ([127.0.0.1])")) {
			t.Errorf("Received of a client without a name:\n%s", m.Raw)
		}
	}
	if err := d.Inject(sandbox.Fault{MessageID: "<never@test>", Status: 400, Code: "ErrorInvalidRecipients",
		Message: "At least one recipient is not valid."}); err != nil {
		t.Fatal(err)
	}
	c := harness.Hello(t, r.Addr)
	for _, line := range []string{"MAIL FROM:<" + harness.Sender + "> RET=HDRS ENVID=abc",
		"RCPT TO:<" + anyone + "> NOTIFY=NEVER ORCPT=rfc822;" + anyone} {
		c.Want(c.Say(line), 250)
	}
	c.Want(c.Say("RCPT TO:<x@example.org> NOTIFY=ALWAYS"), 501)
	c.Want(c.Say("DATA"), 354)
	_ = c.Raw("From: " + harness.Sender + "\r\nMessage-ID: <never@test>\r\n\r\nx\r\n.\r\n")
	c.Want(c.Read(), 250)
	if !strings.Contains(r.Output(), `"DSN parameters ignored"`) {
		t.Error("the log has no word of the parameters of DSN")
	}
	report := d.WaitFor(t, 3, patience)[2]
	if got := strings.Join(report.Recipients, " "); got != "admin@contoso.com" {
		t.Errorf("the report goes to %s", got)
	}
	c = harness.Hello(t, r.Addr)
	c.Send("", []string{"admin@contoso.com"}, plain("null reverse-path"))
	d.WaitFor(t, 4, patience)
}
