package e2e_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
)

const (
	patience = 30 * time.Second
	// longPatience covers the first backoff after a failed attempt.
	longPatience = 2 * time.Minute

	anyone = "admin@example.org"
)

// plain is a small message that says what it is.
func plain(subject string) string {
	return "From: " + harness.Sender + "\r\nTo: " + anyone + "\r\nSubject: " + subject +
		"\r\nMessage-ID: <" + subject +
		"@client.example.org>\r\nDate: Sun, 22 Nov 2026 08:00:00 +0000\r\n\r\nText of " + subject + "\r\n"
}

func start(t *testing.T, settings ...harness.Setting) (*harness.Relay, *harness.Double) {
	t.Helper()
	d := harness.StartDouble(t)
	return harness.StartRelay(t, d, settings...), d
}

// The best-known relay accepts 1,500 messages on a connection and delivers one.
func TestTwentyMessagesOnOneConnectionArriveAsTwenty(t *testing.T) {
	r, d := start(t)
	c := harness.Hello(t, r.Addr)
	var want []string
	for i := range 20 {
		want = append(want, plain(fmt.Sprintf("number-%02d", i)))
		c.Send(harness.Sender, []string{anyone}, want[i])
	}
	c.Want(c.Say("QUIT"), 221)
	got := d.WaitFor(t, 20, patience)
	r.WaitEmpty(patience)
	for _, message := range want {
		found := 0
		fields, _ := harness.Split(message)
		for _, m := range got {
			arrived, _ := harness.Split(string(m.Raw))
			if harness.Field(arrived, "Message-ID") == harness.Field(fields, "Message-ID") {
				found++
				harness.CompareMessage(t,
					harness.Sent{From: harness.Sender, To: []string{anyone}, Data: message}, m.Raw)
			}
		}
		if found != 1 {
			t.Errorf("%s arrived %d times", harness.Field(fields, "Subject"), found)
		}
	}
	if extra := len(d.Received()); extra != 20 {
		t.Errorf("%d messages arrived, want 20", extra)
	}
}

// Exactly the envelope's three get it: a is in To, b and c are only in the
// envelope, and d, who is in To as well, is not in the envelope.
func TestExactlyTheEnvelopeGetsIt(t *testing.T) {
	r, d := start(t)
	message := "From: " + harness.Sender +
		"\r\nTo: A <a@example.org>,\r\n\td@example.net\r\nSubject: three\r\n\r\nBody\r\n"
	to := []string{"a@example.org", "b@example.org", "c@example.com"}
	harness.Hello(t, r.Addr).Send(harness.Sender, to, message)
	got := d.WaitFor(t, 1, patience)[0]
	harness.CompareMessage(t, harness.Sent{From: harness.Sender, To: to, Data: message}, got.Raw)
	if !slices.Equal(harness.Folded(got.Recipients), harness.Folded(to)) {
		t.Errorf("the double sends to %q, want %q", got.Recipients, to)
	}
	fields, _ := harness.Split(string(got.Raw))
	if v := harness.Field(fields, "X-Graphrelay-To"); v != "A <a@example.org>, d@example.net" {
		t.Errorf("X-Graphrelay-To is %q; To as it was must stay readable", v)
	}
}

func TestExtraRecipientsAreRefusedWhereConfigured(t *testing.T) {
	r, d := start(t, harness.With("smtp", "extra_recipients: reject"))
	c := harness.Hello(t, r.Addr)
	c.Envelope(harness.Sender, "b@example.org")
	_ = c.Raw(harness.DotStuff(plain("to-somebody-else")))
	c.Want(c.Read(), 550)
	c.Send(harness.Sender, []string{anyone}, plain("to-the-same"))
	d.WaitFor(t, 1, patience)
	r.WaitEmpty(patience)
}

// RSET and a second EHLO drop a transaction and nothing else.
func TestResetAndEHLOAgain(t *testing.T) {
	r, d := start(t)
	c := harness.Hello(t, r.Addr)
	c.Want(c.Say("MAIL FROM:<"+harness.Sender+">"), 250)
	c.Want(c.Say("RCPT TO:<dropped-by-rset@example.org>"), 250)
	c.Want(c.Say("RSET"), 250)
	c.Want(c.Say("DATA"), 502, 503, 554)
	c.Send(harness.Sender, []string{anyone}, plain("after-rset"))

	c.Want(c.Say("MAIL FROM:<"+harness.Sender+">"), 250)
	c.Want(c.Say("RCPT TO:<dropped-by-ehlo@example.org>"), 250)
	c.Want(c.Say("EHLO again.example.org"), 250)
	c.Send(harness.Sender, []string{anyone}, plain("after-ehlo"))
	c.Want(c.Say("RSET"), 250)
	c.Want(c.Say("QUIT"), 221)

	r.WaitEmpty(patience)
	for _, m := range d.WaitFor(t, 2, patience) {
		if !slices.Equal(m.Recipients, []string{anyone}) {
			t.Errorf("recipients %q, want only %s", m.Recipients, anyone)
		}
	}
}

// A pipelined dialog in one segment is what many programs send.
func TestPipelining(t *testing.T) {
	r, d := start(t)
	c := harness.Hello(t, r.Addr)
	_ = c.Raw("MAIL FROM:<" + harness.Sender + ">\r\nRCPT TO:<" + anyone + ">\r\nDATA\r\n")
	for _, code := range []int{250, 250, 354} {
		c.Want(c.Read(), code)
	}
	_ = c.Raw(harness.DotStuff(plain("piped-1")) + "MAIL FROM:<" + harness.Sender + ">\r\nRCPT TO:<" + anyone +
		">\r\nDATA\r\n")
	for _, code := range []int{250, 250, 250, 354} {
		c.Want(c.Read(), code)
	}
	_ = c.Raw(harness.DotStuff(plain("piped-2")) + "QUIT\r\n")
	c.Want(c.Read(), 250)
	c.Want(c.Read(), 221)
	d.WaitFor(t, 2, patience)
}

// A sender that is not configured is refused, in the envelope and in the header.
func TestNobodyElsesName(t *testing.T) {
	r, d := start(t)
	c := harness.Hello(t, r.Addr)
	if reply := c.Say("MAIL FROM:<ceo@contoso.com>"); reply.Code != 550 {
		c.Want(c.Say("RCPT TO:<"+anyone+">"), 550)
	}
	c.Want(c.Say("RSET"), 250)
	for _, header := range []string{
		"From: ceo@contoso.com\r\n",
		"From: " + harness.Sender + ", ceo@contoso.com\r\n",
		"From: " + harness.Sender + "\r\nSender: ceo@contoso.com\r\n",
		"From: " + harness.Sender + "\r\nFrom: ceo@contoso.com\r\n",
		"From : ceo@contoso.com\r\nFrom: " + harness.Sender + "\r\n",
		"From:\r\n ceo@contoso.com\r\n",
	} {
		c.Envelope(harness.Sender, anyone)
		_ = c.Raw(harness.DotStuff(header + "To: " + anyone + "\r\nSubject: x\r\n\r\nBody\r\n"))
		c.Want(c.Read(), 550)
	}
	c.Send(harness.Sender, []string{anyone}, plain("honest"))
	r.WaitEmpty(patience)
	if got := d.WaitFor(t, 1, patience); len(got) != 1 {
		t.Errorf("%d messages arrived, want only the honest one", len(got))
	}
}

// What a stopped relay had accepted goes out after it starts again.
func TestQueueSurvivesARestart(t *testing.T) {
	t.Parallel()              // it waits for a backoff
	d := harness.NewDouble(t) // not listening yet
	r := harness.StartRelay(t, d)
	c := harness.Hello(t, r.Addr)
	for i := range 3 {
		c.Send(harness.Sender, []string{anyone}, plain(fmt.Sprintf("kept-%d", i)))
	}
	if err := r.Stop(patience); err != nil {
		t.Errorf("SIGTERM ends with %v, want 0\n%s", err, r.Tail())
	}
	if list := r.Queue(); len(list) != 3 {
		t.Errorf("the stopped service's queue lists %d, want 3", len(list))
	}
	d.Listen(t)
	r.Start()
	d.WaitFor(t, 3, patience)
	r.WaitEmpty(patience)
}
