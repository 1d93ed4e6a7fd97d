//go:build interop || torture || bench

package foreign_test

import (
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/foreign"
)

// Each program must start out of the cache and say who it is.
func TestProgramsRun(t *testing.T) {
	for _, c := range []struct {
		name    string
		program func(testing.TB) foreign.Program
		args    []string
		says    string
	}{
		{"swaks", foreign.Swaks, []string{"--version"}, "swaks version"},
		{"msmtp", foreign.Msmtp, []string{"--version"}, "msmtp version"},
		{"s-nail", foreign.SNail, []string{"--version"}, "s-nail"},
		{"curl", foreign.Curl, []string{"--version"}, "smtp"},
		{"python", foreign.Python, []string{"-c", "import smtplib; print('smtplib')"}, "smtplib"},
		{"nodemailer", foreign.Nodemailer,
			[]string{"-e", "console.log(typeof require('nodemailer').createTransport)"}, "function"},
		{"smtp-source", foreign.SMTPSource, nil, "usage"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := c.program(t)(c.args...).CombinedOutput()
			if !strings.Contains(strings.ToLower(string(out)), c.says) {
				t.Errorf("says %q (%v), want %q", out, err, c.says)
			}
		})
	}
}

func TestPostfixAcceptsAndDelivers(t *testing.T) {
	p := foreign.StartPostfix(t, t.TempDir(), true, "default_transport = discard")
	out, err := foreign.SMTPSource(t)("-m", "10", "-s", "2", "-l", "2000", "-f", "a@example.org", "-t",
		"b@example.org", p.Addr).CombinedOutput()
	if err != nil {
		t.Fatalf("smtp-source: %v: %s\n%s", err, out, p.Log())
	}
	// Its log is the last to know, and a message on its way between two of its
	// folders is in neither.
	sent := func() int { return strings.Count(p.Log(), "status=sent") }
	for deadline := time.Now().Add(20 * time.Second); sent() < 10 || p.Queued() > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d messages were discarded, want 10; %d are still queued\n%s", sent(), p.Queued(), p.Log())
		}
	}
	if n := sent(); n != 10 {
		t.Errorf("%d messages were discarded, want 10\n%s", n, p.Log())
	}
}
