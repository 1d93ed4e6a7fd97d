package smtpd_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd"
)

// A refusal that no handler decided leaves a line in the log; one that the
// handler decided is the handler's to log.
func TestRefusalsOfTheDialogAreLogged(t *testing.T) {
	var log logBuffer
	h := &recorder{}
	h.set(hooks{rcpt: func(envelope.Address) error { return reply.New(550, reply.Enhanced{5, 1, 1}, "Not here") }})
	c := open(t, smtpd.Config{MaxMessageSize: 1000, Log: slog.New(slog.NewTextHandler(&log, nil))}, h)
	c.say("EHLO x", "250-")
	for _, d := range [][2]string{
		{"MAIL FROM:<a@b> SIZE=9999", "552 5.3.4"}, {"HELP", "502"}, {"MAIL FROM:<a@b>", "250"},
		{"RCPT TO:<c@d>", "550 5.1.1"}, {"NOOP", "250"},
	} {
		c.say(d[0], d[1])
	}
	for _, want := range []string{
		`msg=refused client_addr=127.0.0.1`, `at=mail reply="552 5.3.4 `, `reply="502 5.5.1 `,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %s in %s", want, log.String())
		}
	}
	if n := strings.Count(log.String(), "msg=refused"); n != 2 {
		t.Errorf("%d lines, want 2: %s", n, log.String())
	}
}

// logBuffer is a log that timers write to.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}
