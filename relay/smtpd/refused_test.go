package smtpd_test

import (
	"strings"
	"testing"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd"
)

// The handler hears of each refusal that the server decides, once, and not of its
// own again.
func TestTheHandlerHearsOfRefusals(t *testing.T) {
	h := &recorder{}
	h.set(hooks{rcpt: func(envelope.Address) error { return reply.New(550, reply.Enhanced{5, 7, 1}, "own") }})
	_, addr := start(t, smtpd.Config{MaxMessageSize: 1000, MaxConnections: 1}, h)
	c := dial(t, addr)
	c.expect("220")
	dial(t, addr).expect("421 4.7.0")
	c.say("EHLO x", "250")
	c.say("MAIL FROM:<a@b.example> SIZE=5000", "552 5.3.4")
	c.say("MAIL FROM:<a@b.example>", "250")
	c.say("RCPT TO:<a@b.example>", "550 5.7.1")
	c.say("WHAT", "500 5.5.2")
	c.say("GET / HTTP/1.1", "421 4.7.0")
	want := `127.0.0.1 false 421 4.7.0 Too many connections, try again later
127.0.0.1 true 552 5.3.4 Max message size exceeded
127.0.0.1 true 500 5.5.2 Command not recognized
127.0.0.1 true 421 4.7.0 This is SMTP, closing connection`
	h.mu.Lock()
	defer h.mu.Unlock()
	if got := strings.Join(h.refusals, "\n"); got != want {
		t.Errorf("heard of\n%s\nwant\n%s", got, want)
	}
}
