package smtpd_test

import (
	"strings"
	"testing"

	"graphrelay/relay/smtpd"
)

func TestOneMessage(t *testing.T) {
	h := &recorder{}
	c := open(t, smtpd.Config{Hostname: "relay.example", MaxMessageSize: 1000, MaxRecipients: 7}, h)
	got := c.say("EHLO client.example", "250-relay.example|")
	for _, want := range []string{
		"PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 1000", "ENHANCEDSTATUSCODES", "CHUNKING", "LIMITS RCPTMAX=7",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("EHLO %q lacks %s", got, want)
		}
	}
	c.begin()
	c.say("DATA", "354 ")
	c.send("Subject: x\r\n\r\nline\r\n..dots\r\n.\r\n")
	if got := c.reply(); got != "250 2.0.0 0000000000000000 accepted" {
		t.Errorf("reply %q", got)
	}
	c.say("QUIT", "221 2.0.0")
	c.expectEnd()
	const body = "Subject: x\r\n\r\nline\r\n.dots\r\n"
	if m := h.accepted(); len(m) != 1 || m[0].body != body || m[0].rcpts[0] != "b@example.org" {
		t.Errorf("accepted %q", m)
	}
}
