package relay

import (
	"errors"
	"strings"
	"testing"
	"time"

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
		{"held mail is not old mail", monitor.Snapshot{Lanes: []monitor.Lane{{Mailbox: "a@b", Held: 1, Oldest: now.Add(-2 * time.Hour)}}}, ""},
		{"credential", monitor.Snapshot{Credentials: []monitor.Credential{{Identity: "x", NotAfter: in(20)}}}, "credential:x"},
		{"expired", monitor.Snapshot{Credentials: []monitor.Credential{{Identity: "x", NotAfter: in(-1)}}}, "credential:x"},
		{"certificate", monitor.Snapshot{Certificate: in(13)}, "certificate"},
		{"audit", monitor.Snapshot{Audits: []monitor.Audit{{Identity: "x", Text: "not restricted; do this"}}}, "audit:x"},
		{"limit", monitor.Snapshot{Mailboxes: []monitor.MailboxDay{{Mailbox: "a@b", Recipients: 8001}}}, "limit:a@b"},
	} {
		var keys []string
		for key, text := range faultsOf(c.s, now) {
			keys = append(keys, key)
			if key != "store" && !strings.ContainsAny(text, ";") && key != "hold:mailbox:a@b" {
				t.Errorf("%s: %q has no remedy", c.name, text)
			}
		}
		if strings.Join(keys, " ") != c.want {
			t.Errorf("%s: faults %v, want %s", c.name, keys, c.want)
		}
	}
}
