package relay

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/config"
	"graphrelay/relay/alert"
	"graphrelay/relay/graph/largemail"
	"graphrelay/relay/monitor"
)

func TestFaultsOf(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	in := func(days int) time.Time { return now.AddDate(0, 0, days) }
	const gib = 1 << 30
	for _, c := range []struct {
		name string
		s    monitor.Snapshot
		want string // keys
	}{
		{"well", monitor.Snapshot{DiskSize: 100 * gib, DiskFree: 50 * gib, DiskReserve: gib, Queued: 5, Failed: 3,
			Lanes:       []monitor.Lane{{Mailbox: "a@b", Queued: 5, Oldest: now.Add(-time.Minute)}},
			Credentials: []monitor.Credential{{Identity: "x", NotAfter: in(90)}, {Identity: "secret"}},
			Certificate: in(60), Audits: []monitor.Audit{{Identity: "x", Passed: true}}, Mailboxes: []monitor.MailboxDay{{Mailbox: "a@b", Recipients: 8000}}}, ""},
		{"store before disk", monitor.Snapshot{Unhealthy: errors.New("x"), Full: errors.New("y")}, "store"},
		{"full", monitor.Snapshot{Full: errors.New("y")}, "disk"},
		{"soon full", monitor.Snapshot{DiskSize: 100, DiskFree: 19, DiskReserve: 10}, "disk"},
		{"hold", monitor.Snapshot{Holds: []monitor.Hold{{Key: "mailbox:a@b", Text: "do this"}}}, "hold:mailbox:a@b"},
		{"held alone", monitor.Snapshot{Held: 1}, "queue:held"},
		{"damaged", monitor.Snapshot{Damaged: 1}, "damaged"},
		{"old", monitor.Snapshot{Lanes: []monitor.Lane{{Mailbox: "a@b", Queued: 1, Oldest: now.Add(-2 * time.Hour)}}}, "old:a@b"},
		{"old, of a name for a shell", monitor.Snapshot{Lanes: []monitor.Lane{{Mailbox: "'|id|'@b", Queued: 1, Oldest: now.Add(-2 * time.Hour)}}}, "old:'|id|'@b"},
		{"held mail is not old mail", monitor.Snapshot{Lanes: []monitor.Lane{{Mailbox: "a@b", Held: 1, Oldest: now.Add(-2 * time.Hour)}}}, ""},
		{"credential", monitor.Snapshot{Credentials: []monitor.Credential{{Identity: "x", NotAfter: in(30)}}}, "credential:x"},
		{"expired", monitor.Snapshot{Credentials: []monitor.Credential{{Identity: "x", NotAfter: in(-1)}}}, "credential:x"},
		{"certificate", monitor.Snapshot{Certificate: in(13)}, "certificate"},
		{"audit", monitor.Snapshot{Audits: []monitor.Audit{{Identity: "x", Text: "not restricted; do this"}}}, "audit:x"},
		{"limit", monitor.Snapshot{Mailboxes: []monitor.MailboxDay{{Mailbox: "a@b", Recipients: 8001}}}, "limit:a@b"},
	} {
		var keys []string
		for key, f := range faultsOf(c.s, now) {
			text := f.text
			keys = append(keys, key)
			if _, command, _ := strings.Cut(text, "; "); strings.Contains(command, "|id|") {
				t.Errorf("%s: %q has a command to copy with what a client chose", c.name, text)
			}
			if key != "store" && !strings.ContainsAny(text, ";") && key != "hold:mailbox:a@b" {
				t.Errorf("%s: %q has no remedy", c.name, text)
			}
		}
		if strings.Join(keys, " ") != c.want {
			t.Errorf("%s: faults %v, want %s", c.name, keys, c.want)
		}
	}
}

// An identity that a reload took out leaves no alarm behind.
func TestAlarmsOfAnIdentityThatIsGone(t *testing.T) {
	r := &Relay{alerts: alert.New(alert.Config{})}
	r.now.Store(&generation{identities: map[config.Name]*largemail.Client{"contoso": nil}})
	for _, key := range []string{"audit:contoso", "audit:fabrikam", "lookup:contoso", "lookup:fabrikam", "hold:identity:fabrikam", "disk"} {
		r.alerts.Alarm(key, "something; do this", true)
	}
	r.endOrphans()
	var left []string
	for _, a := range r.alerts.Firing() {
		left = append(left, a.Key)
	}
	slices.Sort(left)
	if got := strings.Join(left, " "); got != "audit:contoso disk hold:identity:fabrikam lookup:contoso" {
		t.Errorf("left: %s", got)
	}
}

// A credential that nobody renews alarms 30, 14, 7, 3 and 1 days before its end,
// and daily after it; nothing else raises or ends this key.
func TestExpiryAlarmsInStages(t *testing.T) {
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	now, end := start, start.AddDate(0, 0, 40)
	var log bytes.Buffer
	r := &Relay{alerts: alert.New(alert.Config{Now: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(&log, nil))})}
	var before map[string]fault
	var told []string
	for day := range 43 {
		for _, hour := range []int{0, 6} {
			now = start.AddDate(0, 0, day).Add(time.Duration(hour) * time.Hour)
			lines := strings.Count(log.String(), "msg=alarm")
			before = r.compare(before, faultsOf(monitor.Snapshot{Credentials: []monitor.Credential{{Identity: "x", Kind: "certificate", NotAfter: end}}}, now))
			if strings.Count(log.String(), "msg=alarm") > lines {
				told = append(told, fmt.Sprint(40-day))
			}
		}
	}
	if got := strings.Join(told, " "); got != "30 14 7 3 1 0" || strings.Contains(log.String(), "alarm is over") {
		t.Errorf("alarmed %s days before the end:\n%s", got, &log)
	}
	r.compare(before, faultsOf(monitor.Snapshot{Credentials: []monitor.Credential{{Identity: "x", Kind: "certificate", NotAfter: now.AddDate(1, 0, 0)}}}, now))
	if len(r.alerts.Firing()) != 0 {
		t.Error("a renewed credential still alarms")
	}
}
