package e2e_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

// lane is one of "status --json".
type lane struct {
	Mailbox string    `json:"mailbox"`
	Paused  time.Time `json:"backoff_until"`
	By      string    `json:"backoff_by"`
}

// pausing waits until the only mailbox with mail pauses, by a cause, for longer than a time.
func pausing(t *testing.T, r *harness.Relay, by string, longer time.Duration) (until time.Time) {
	t.Helper()
	harness.Until(t, longPatience, "a pause by "+by, func() bool {
		var s struct{ Lanes []lane }
		if !r.Status(&s) || len(s.Lanes) != 1 || s.Lanes[0].By != by {
			return false
		}
		until = s.Lanes[0].Paused
		return time.Until(until) > longer
	})
	return until
}

// While Microsoft does not answer, the relay waits longer and longer. Whoever knows
// that it answers again need not wait.
func TestAnOperatorEndsThePausesOfAnOutage(t *testing.T) {
	for name, command := range map[string][]string{
		"retry":           {"queue", "retry", "--all"},
		"retry a mailbox": {"queue", "retry", "--mailbox", harness.Sender},
		"release":         {"queue", "release", "--all"},
		"reload":          {"reload"},
		"a test mail":     {"send", "--to", anyone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, d := start(t, harness.Watched())
			if err := d.Inject(sandbox.Fault{Endpoint: "sendMail", Status: 503}); err != nil {
				t.Fatal(err)
			}
			c := harness.Hello(t, r.Addr)
			for range 6 {
				c.Send(harness.Sender, []string{anyone}, plain("in the outage"))
			}
			until := pausing(t, r, "failures", 25*time.Second)
			statusOfAnOutage(t, r)
			d.ClearFaults()
			if out, err := r.Run(command...); err != nil || strings.Contains(out, "waits until") {
				t.Fatalf("%v: %v: %s", command, err, out)
			}
			for _, m := range d.WaitFor(t, 6, patience) {
				if !m.At.Before(until) {
					t.Errorf("a message arrived at %v, after the pause until %v", m.At, until)
				}
			}
			r.WaitEmpty(patience)
		})
	}
}

// statusOfAnOutage wants all that an administrator asks, and a relay that is not taken
// out of service because of Microsoft.
func statusOfAnOutage(t *testing.T, r *harness.Relay) {
	t.Helper()
	out := command(t, r, "status")
	says := regexp.MustCompile(`^PROBLEM: Microsoft 365 is out of order: it answers 503, ` +
		`since [^\n]* UTC \(\d+[sm] ago\)\n` +
		`  what to do: [^\n]+; to try now: graphrelay queue retry --all\n` +
		`  meanwhile: mail is accepted and kept \(6 waiting\); \d+ attempts have failed, the next try is [^\n]+\n`)
	if !says.MatchString(out) {
		t.Errorf("status:\n%s", out)
	}
	ready := r.Page("/readyz")
	if !strings.Contains(ready, `"status":"degraded"`) || !strings.Contains(ready, `"ready":true`) {
		t.Errorf("readyz: %s", ready)
	}
}

// A time that Microsoft named is kept to, and each command says until when.
func TestATimeThatMicrosoftNamedStays(t *testing.T) {
	r, d := start(t)
	busy := sandbox.Fault{Endpoint: "sendMail", Status: 503, RetryAfter: 10 * time.Minute, Count: 1}
	if err := d.Inject(busy); err != nil {
		t.Fatal(err)
	}
	harness.Hello(t, r.Addr).Send(harness.Sender, []string{anyone}, plain("in the outage"))
	pausing(t, r, "microsoft", 0)
	stays := regexp.MustCompile(`(?m)^mailbox ` + harness.Sender +
		` waits until (\S+) \(in \dm\): Microsoft asked to wait that long$`)
	until := ""
	for _, command := range [][]string{
		{"queue", "retry", "--all"}, {"queue", "release", "--all"}, {"queue", "release", "--mailbox", harness.Sender},
		{"reload"}, {"queue", "retry", r.Queue()[0].QueueID},
	} {
		out, err := r.Run(command...)
		m := stays.FindStringSubmatch(out)
		if err != nil || m == nil {
			t.Fatalf("%v: %v: %s", command, err, out)
		}
		if until == "" {
			until = m[1]
		}
		if m[1] != until {
			t.Errorf("%v: until %s, want %s", command, m[1], until)
		}
	}
	if n := len(d.Received()); n != 0 {
		t.Errorf("%d messages left before the time that Microsoft named", n)
	}
	if m := r.Queue(); m[0].Attempts != 1 {
		t.Errorf("%d attempts", m[0].Attempts)
	}
}
