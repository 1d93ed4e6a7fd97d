package smtpd_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/smtpd"
)

// DSN is not offered, but clients send its parameters all the same: they are
// read, and only NOTIFY=NEVER has an effect.
func TestUnaskedParametersOfDSN(t *testing.T) {
	h := &recorder{}
	var log bytes.Buffer
	c := open(t, smtpd.Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, h)
	if got := c.say("EHLO client", "250-"); strings.Contains(got, "DSN") {
		t.Errorf("EHLO %q", got)
	}
	c.say("MAIL FROM:<a@example.org> NOTIFY=NEVER", "555 5.5.4")
	c.say("MAIL FROM:<a@example.org> BODY=8BITMIME ret=hdrs ENVID=a+3Db SIZE=10", "250 2.1.0")
	c.say("RCPT TO:<b@example.org> RET=FULL", "555 5.5.4")
	c.say("RCPT TO:<b@example.org> NOTIFY=DELAY,failure ORCPT=rfc822;b+40c@example.org", "250 2.1.5")
	c.say(`RCPT TO:<"NOTIFY=x > y"@example.org> NOTIFY=never`, "250 2.1.5")
	c.say("RCPT TO:d@example.org notify=NEVER", "250 2.1.5")
	c.say("RCPT TO:<root> NOTIFY=NEVER", "250 2.1.5")
	c.say("RCPT TO:<e@example.org>", "250 2.1.5")
	c.say("DATA", "354")
	c.say(".", "250")
	want := []string{"b@example.org", `"NOTIFY=x > y"@example.org without reports`, "d@example.org without reports",
		"root without reports", "e@example.org"}
	if got := h.accepted()[0].rcpts; !slices.Equal(got, want) {
		t.Errorf("recipients %q", got)
	}
	if n := strings.Count(log.String(), `msg="DSN parameters ignored"`); n != 1 {
		t.Errorf("%d lines in the log:\n%s", n, &log)
	}
}

func TestMalformedParametersOfDSN(t *testing.T) {
	const mail, rcpt = "MAIL FROM:<a@example.org> ", "RCPT TO:<b@example.org> "
	for _, line := range []string{mail + "RET=", mail + "RET", mail + "RET=LINES", mail + "RET=FULL RET=FULL",
		mail + "ENVID=", mail + "ENVID=a+b", mail + "ENVID=a=b", mail + "ENVID=a+3", rcpt + "NOTIFY=", rcpt + "NOTIFY",
		rcpt + "NOTIFY=NEVER,DELAY", rcpt + "NOTIFY=OFTEN", rcpt + "NOTIFY=DELAY,", rcpt + "ORCPT=b@example.org",
		rcpt + "ORCPT=rfc822;", rcpt + "ORCPT=;b", rcpt + "ORCPT=rfc822;b+@c", rcpt + "NOTIFY=DELAY NOTIFY=DELAY"} {
		c := open(t, smtpd.Config{}, &recorder{})
		c.say("EHLO client", "250-")
		if strings.HasPrefix(line, rcpt) {
			c.say(mail, "250 2.1.0")
		}
		c.say(line, "501 5.5.4 Malformed DSN parameter")
	}
}

// Some devices know no name of their own.
func TestHelloWithoutAName(t *testing.T) {
	h := &recorder{}
	c := open(t, smtpd.Config{}, h)
	for _, hello := range []string{"HELO", "HELO ", "EHLO", "EHLO \t"} {
		c.say(hello, "250")
		c.say("MAIL FROM:<a@example.org>", "250")
	}
	for _, from := range h.transactions() {
		if from.Helo != "[127.0.0.1]" {
			t.Errorf("the client's name is %q", from.Helo)
		}
	}
}
