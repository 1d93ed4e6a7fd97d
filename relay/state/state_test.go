package state_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"graphrelay/relay/state"
	"graphrelay/relay/text"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func TestFaults(t *testing.T) {
	in := func(days int) time.Time { return noon.AddDate(0, 0, days) }
	lane := func(mailbox string, queued, held int, age time.Duration) state.Snapshot {
		return state.Snapshot{Lanes: []state.Lane{{Mailbox: mailbox, Queued: queued, Held: held,
			Oldest: noon.Add(-age)}}}
	}
	sick := fmt.Errorf("spool: %w", text.Cause{Headline: "Queue cannot be written", Remedy: "repair the disk"})
	full := fmt.Errorf("spool: %w", text.Cause{Headline: "Disk of the queue is full", Remedy: "free space"})
	const gib = 1 << 30
	for _, c := range []struct {
		name string
		s    state.Snapshot
		want string // keys
	}{
		{"well", state.Snapshot{
			DiskSize: 100 * gib, DiskFree: 50 * gib, DiskReserve: gib, Queued: 5, Failed: 3,
			Lanes:       []state.Lane{{Mailbox: "a@b", Queued: 5, Oldest: noon.Add(-time.Minute)}},
			Credentials: []state.Credential{{Identity: "x", Expires: in(90)}, {Identity: "secret"}},
			Certificate: in(60), Audits: []state.Audit{{Identity: "x", Passed: true}},
			Mailboxes: []state.MailboxDay{{Mailbox: "a@b", Recipients: 8000}},
		}, ""},
		{"store before disk", state.Snapshot{Unhealthy: sick, Full: full}, "store"},
		{"full", state.Snapshot{Full: full}, "disk"},
		{"soon full", state.Snapshot{DiskSize: 100, DiskFree: 19, DiskReserve: 10}, "disk"},
		{"hold", state.Snapshot{Holds: []state.Hold{{Key: "mailbox:a@b", Text: "refused; do this"}}},
			"hold:mailbox:a@b"},
		{"held alone", state.Snapshot{Held: 1}, "queue:held"},
		{"held by a restore", state.Snapshot{Held: 3, Restored: 3}, "queue:restored"},
		{"damaged", state.Snapshot{Damaged: 1}, "damaged"},
		{"old", lane("a@b", 1, 0, 2*time.Hour), "old:a@b"},
		{"old, of a name for a shell", lane("'|id|'@b", 1, 0, 2*time.Hour), "old:'|id|'@b"},
		{"an hour is not old", lane("a@b", 1, 0, time.Hour), ""},
		{"held mail is not old mail", lane("a@b", 0, 1, 2*time.Hour), ""},
		{"credential", state.Snapshot{Credentials: []state.Credential{
			{Identity: "x", Warning: "expires soon; renew it", Stage: "30 days"}}}, "credential:x"},
		{"certificate", state.Snapshot{Certificate: in(13)}, "certificate"},
		{"audit", state.Snapshot{Audits: []state.Audit{{Identity: "x", Text: "not restricted; do this"}}}, "audit:x"},
		{"refused configuration", state.Snapshot{Reload: state.Reload{Failed: true, Error: "line 3"}}, "configuration"},
		{"limit", state.Snapshot{Mailboxes: []state.MailboxDay{{Mailbox: "a@b", Recipients: 8001}}}, "limit:a@b"},
	} {
		var keys []string
		for key, f := range state.Faults(c.s, noon) {
			keys = append(keys, key)
			if strings.Contains(f.Remedy, "|id|") {
				t.Errorf("%s: %q has a command to copy with what a client chose", c.name, f.Remedy)
			}
			if f.Remedy == "" || f.Meanwhile == "" {
				t.Errorf("%s: %+v has no remedy, or does not say what happens to mail", c.name, f)
			}
			n := utf8.RuneCountInString(f.Headline)
			if n == 0 || n > text.MaxHeadline || strings.HasPrefix(f.Headline, key+":") {
				t.Errorf("%s: headline %q", c.name, f.Headline)
			}
		}
		if strings.Join(keys, " ") != c.want {
			t.Errorf("%s: faults %v, want %s", c.name, keys, c.want)
		}
	}
}

// A credential that nears its end keeps the stage that it was given.
func TestFaultsHaveTheStageOfACredential(t *testing.T) {
	s := state.Snapshot{Credentials: []state.Credential{{Identity: "x", Warning: "soon", Stage: "7 days"}}}
	want := state.Fault{Headline: "Soon", Stage: "7 days", Warning: true, Meanwhile: "mail flows; identity x"}
	if got := state.Faults(s, noon)["credential:x"]; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestJudge(t *testing.T) {
	full, alarm := errors.New("no room"), state.Alarm{Key: "hold:mailbox:a@b", Fault: state.FaultOf("held; do this")}
	disk := state.Alarm{Key: "disk", Fault: state.FaultOf("no room")}
	for _, c := range []struct {
		name    string
		s       state.Snapshot
		status  string
		ready   bool
		reasons string // keys
	}{
		{"well", state.Snapshot{}, state.OK, true, ""},
		{"failed messages are no fault of the service", state.Snapshot{Failed: 3}, state.OK, true, ""},
		{"a hold", state.Snapshot{Alarms: []state.Alarm{alarm}}, state.Degraded, true, "hold:mailbox:a@b"},
		{"full, with its alarm", state.Snapshot{Full: full, Alarms: []state.Alarm{disk, alarm}}, state.Degraded, false,
			"disk hold:mailbox:a@b"},
		{"unhealthy and full", state.Snapshot{Unhealthy: full, Full: full}, state.Degraded, false, "store"},
		{"stopping", state.Snapshot{Stopping: true}, state.Degraded, false, "stopping"},
		{"stopping while full", state.Snapshot{Stopping: true, Full: full}, state.Degraded, false, "disk stopping"},
	} {
		h := state.Judge(c.s, noon)
		var keys []string
		for _, r := range h.Reasons {
			keys = append(keys, r.Key)
		}
		if h.Status != c.status || h.Ready != c.ready || strings.Join(keys, " ") != c.reasons || h.Reasons == nil {
			t.Errorf("%s: %+v", c.name, h)
		}
	}
}

func TestRefusal(t *testing.T) {
	sick, full := errors.New("sick"), errors.New("full")
	for _, c := range []struct {
		s    state.Snapshot
		want error
	}{
		{state.Snapshot{}, nil}, {state.Snapshot{Full: full}, full},
		{state.Snapshot{Unhealthy: sick, Full: full}, sick},
		{state.Snapshot{Stopping: true}, nil},
	} {
		if got := c.s.Refusal(); got != c.want {
			t.Errorf("%+v: %v, want %v", c.s, got, c.want)
		}
	}
}

// Each count is added to its own, and none is forgotten.
func TestTrafficAddsUp(t *testing.T) {
	one := state.Traffic{Accepted: 1, Refused: 2, Sent: 3, Deferred: 4, Held: 5, Failed: 6, Paused: 7}
	sum := one
	sum.Add(state.Traffic{Accepted: 10, Refused: 20, Sent: 30, Deferred: 40, Held: 50, Failed: 60, Paused: 70})
	want := state.Traffic{Accepted: 11, Refused: 22, Sent: 33, Deferred: 44, Held: 55, Failed: 66, Paused: 77}
	if sum != want {
		t.Errorf("%+v, want %+v", sum, want)
	}
}

func TestMinutesAddUp(t *testing.T) {
	first := state.Minute{Start: noon, Traffic: state.Traffic{Sent: 1, Held: 2}, Unknown: 1, Waiting: 5}
	first.CountDelay(100 * time.Millisecond)
	second := state.Minute{Start: noon.Add(time.Minute), Traffic: state.Traffic{Sent: 1}, Unknown: 2, Waiting: 3}
	second.CountDelay(3 * time.Second)
	sum := state.Sum([]state.Minute{first, second})
	if sum.Sent != 2 || sum.Held != 2 || sum.Unknown != 3 || sum.Waiting != 5 || !sum.Start.Equal(noon) {
		t.Errorf("%+v", sum)
	}
	for share, want := range map[float64]time.Duration{0.5: 128 * time.Millisecond, 0.95: 4096 * time.Millisecond} {
		if got := sum.Delay(share); got != want {
			t.Errorf("%v of the messages within %s, want %s", share, got, want)
		}
	}
	if got := state.Sum(nil).Delay(0.5); got != 0 {
		t.Errorf("without a message %s", got)
	}
}

func TestHoldStops(t *testing.T) {
	l := state.Lane{Mailbox: "A@example.org", Identity: "contoso"}
	for key, want := range map[string]struct {
		whole bool
		from  string
	}{
		"route:a@example.org":   {true, ""},
		"mailbox:a@example.org": {true, ""}, "mailbox:b@example.org": {}, "identity:contoso": {true, ""},
		"identity:other": {}, "audit:contoso": {true, ""}, "audit:other": {}, "nonsense": {},
		"sendas:a@example.org from c@example.org": {false, "c@example.org"},
		"sendas:b@example.org from c@example.org": {},
	} {
		if whole, from := (state.Hold{Key: key}).Stops(l); whole != want.whole || from != want.from {
			t.Errorf("%s: %v %q, want %+v", key, whole, from, want)
		}
	}
}

func TestHoldKeysOfAudits(t *testing.T) {
	if id, ok := state.AuditedIdentity(state.AuditKey("contoso")); id != "contoso" || !ok {
		t.Errorf("%q %v", id, ok)
	}
	if id, ok := state.AuditedIdentity("identity:contoso"); ok {
		t.Errorf("the hold of a refusal is that of an audit of %q", id)
	}
}

// noTraffic is a Traffic without events.
const noTraffic = `{"accepted":0,"refused":0,"sent":0,"deferred":0,"paused":0,"held":0,"failed":0}`

// Scripts read these names: graphrelay status --json.
func TestSnapshotAsJSON(t *testing.T) {
	full := state.Snapshot{
		Connections: 1, Queued: 2, Deferred: 8, Paused: 9, Sending: 3, Held: 4, Failed: 5, Damaged: 6, Bytes: 7,
		Stopping: true, Full: errors.New("x"),
		Lanes: []state.Lane{{
			Mailbox: "a@b", Identity: "i", Queued: 1, Deferred: 7, Paused: 8, Sending: 2, Held: 3,
			Next: noon, Oldest: noon, Slots: 4, Busy: 5, Failures: 6, Backoff: noon, OthersWaiting: 9,
			Clients: []state.Waits{{Client: "erp", Priority: "bulk", Waiting: 8, Next: noon, Sources: 2,
				Busiest: "192.0.2.1", FromBusiest: 7}, {Priority: "high", Waiting: 1, Next: noon, Sources: 1}},
		}},
		Holds: []state.Hold{{Key: "k", Since: noon, Status: "4.7.1", Text: "t", Probes: 1, NextProbe: noon,
			Triggers: []string{"login", "release"}}},
		Credentials: []state.Credential{{Identity: "i", Kind: "certificate", Expires: noon, Warning: "x"}, {}},
		Certificate: noon, Audits: []state.Audit{{Identity: "i", At: noon, Passed: true, Text: "t"}},
		Reload: state.Reload{At: noon, Failed: true, Error: "e"},
	}
	for name, c := range map[string]struct {
		s    state.Snapshot
		want string
	}{
		"empty": {state.Snapshot{Lanes: []state.Lane{}}, `{"connections":0,
			"queued":0,"deferred":0,"paused":0,"sending":0,"held":0,"failed":0,"damaged":0,"lanes":[],"holds":null,
			"last_minute":NONE,"last_hour":NONE,"credentials":null,"audits":null,
			"last_reload":{"at":"0001-01-01T00:00:00Z"}}`},
		"full": {full, `{"connections":1,"queued":2,"deferred":8,"paused":9,"sending":3,"held":4,"failed":5,"damaged":6,
			"lanes":[{"mailbox":"a@b","identity":"i","queued":1,"deferred":7,"paused":8,"sending":2,"held":3,
				"next":"NOON","oldest":"NOON","slots":4,"busy":5,"failures":6,"backoff_until":"NOON",
				"clients":[{"client":"erp","priority":"bulk","waiting":8,"next":"NOON","sources":2,
				"busiest_source":"192.0.2.1","busiest_source_waiting":7},
				{"client":"","priority":"high","waiting":1,"next":"NOON","sources":1}],"other_clients_waiting":9}],
			"holds":[{"key":"k","since":"NOON","status":"4.7.1","text":"t","probes":1,"next_probe":"NOON",
				"triggers":["login","release"]}],
			"last_minute":NONE,"last_hour":NONE,
			"credentials":[{"identity":"i","kind":"certificate","expires":"NOON"},{"identity":"","kind":""}],
			"certificate_expires":"NOON","audits":[{"identity":"i","at":"NOON","passed":true,"text":"t"}],
			"last_reload":{"at":"NOON","failed":true,"error":"e"}}`},
	} {
		fill := strings.NewReplacer("\n", "", "\t", "", "NONE", noTraffic, "NOON", "2026-11-25T12:00:00Z")
		c.want = fill.Replace(c.want)
		if got, err := json.Marshal(c.s); err != nil || string(got) != c.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, c.want)
		}
	}
}

func TestSummary(t *testing.T) {
	s := state.Snapshot{Queued: 1, Deferred: 6, Paused: 7, Sending: 2, Held: 3, Failed: 4, Connections: 5}
	bad := errors.New("x")
	const numbers = "1 queued, 6 deferred, 7 paused, 2 sending, 3 held, 4 failed; 5 connections"
	for want, change := range map[string]func(*state.Snapshot){
		numbers: func(*state.Snapshot) {},
		"no mail is accepted, the queue is full; " + numbers:      func(s *state.Snapshot) { s.Full = bad },
		"no mail is accepted, the queue is unhealthy; " + numbers: func(s *state.Snapshot) { s.Unhealthy = bad },
	} {
		c := s
		if change(&c); c.Summary() != want {
			t.Errorf("%q, want %q", c.Summary(), want)
		}
	}
}

// A changed file that cannot be read is a warning: what it held before is in use.
func TestAFileThatCannotBeReadIsAWarning(t *testing.T) {
	s := state.Snapshot{CertUnread: "open tls.crt: permission denied",
		Credentials: []state.Credential{{Identity: "x", Unread: "open entra.pem: permission denied"}}}
	for key, whose := range map[string]string{"certificate-file": "smtp.tls", "credential-file:x": "identity x"} {
		f := state.Faults(s, noon)[key]
		if !f.Warning || !strings.Contains(f.Remedy, whose) || !strings.Contains(f.Remedy, "chmod 640") ||
			!strings.Contains(f.Detail, "permission denied") {
			t.Errorf("%s: %+v", key, f)
		}
	}
}

// A refused configuration is a warning that names the first mistake and counts the others.
func TestARefusedConfigurationIsAWarning(t *testing.T) {
	for said, want := range map[string]string{
		"line 3: x":              "line 3: x",
		"line 3: x\nline 4":      "line 3: x (and 1 more)",
		"line 3\nline 4\nline 5": "line 3 (and 2 more)",
	} {
		f := state.Faults(state.Snapshot{Reload: state.Reload{Failed: true, Error: said}}, noon)["configuration"]
		if !f.Warning || f.Detail != want {
			t.Errorf("%q: %+v", said, f)
		}
	}
}

// Who has no password learns what is wrong in kind and since when, and no name of a
// mailbox, a sender, an identity or a client.
func TestOutline(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 11, 30, 12, minute, 0, 0, time.UTC) }
	h := state.Health{Status: state.Degraded, Ready: true}
	for i, key := range []string{"hold:mailbox:a@b", "hold:sendas:a@b from c@b", "hold:client:a@b of erp",
		"hold:mailbox:c@b",
		"refused:erp", "old:a@b", "audit:contoso", "queue:held", "disk", "credential-file:contoso"} {
		f := state.Fault{Headline: "secret", Remedy: "secret", Detail: "secret", Meanwhile: "secret", Since: at(30 - i),
			Warning: key != "hold:mailbox:a@b"}
		h.Reasons = append(h.Reasons, state.Alarm{Key: key, Fault: f})
	}
	want := state.Outline{Status: state.Degraded, Ready: true}
	for i, key := range []string{"hold:mailbox", "hold:sendas", "hold:client", "refused", "old", "audit", "queue:held",
		"disk", "credential-file"} {
		minute := []int{27, 29, 28, 26, 25, 24, 23, 22, 21}[i]
		want.Reasons = append(want.Reasons, state.Reason{Key: key, Since: at(minute), Warning: i > 0})
	}
	if got := h.Outline(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}
