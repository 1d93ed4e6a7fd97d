package relay

import (
	"bytes"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"graphrelay/config"
	"graphrelay/relay/alert"
	"graphrelay/relay/delivery"
	"graphrelay/relay/entra"
	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

func mailbox(t *testing.T, s string) envelope.Address {
	t.Helper()
	a, err := envelope.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A lane shows what the store and what delivery know; one that rested shows no
// pause any more.
func TestLaneStates(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	a, b := mailbox(t, "a@example.org"), mailbox(t, "b@example.org")
	stored := []spool.Lane{{Mailbox: a, Queued: 1, Active: 2, Held: 3, Next: now, Oldest: now}, {Mailbox: b, Queued: 4}}
	running := []delivery.LaneStatus{
		{Mailbox: a, Identity: "contoso", Slots: 3, Busy: 2, Failures: 1, PausedUntil: now.Add(time.Minute)},
		{Mailbox: b, Identity: "contoso", PausedUntil: now},
		{Mailbox: mailbox(t, "c@example.org"), Identity: "contoso"},
	}
	want := []state.Lane{
		{Mailbox: "a@example.org", Identity: "contoso", Queued: 1, Active: 2, Held: 3, Next: now, Oldest: now,
			Slots: 3, Busy: 2, Failures: 1, Paused: now.Add(time.Minute)},
		{Mailbox: "b@example.org", Identity: "contoso", Queued: 4},
	}
	if got := laneStates(stored, running, now); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

// Delivery knows the probes of a hold, the store those of an earlier run.
func TestHoldStates(t *testing.T) {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	status := reply.Enhanced{4, 7, 1}
	stored := []spool.Hold{{Key: "mailbox:b", Text: "b"}, {Key: "identity:i", Text: "old", Status: status}}
	running := []spool.Hold{{Key: "identity:i", Text: "new", Status: status, Probes: 2, Since: at, NextProbe: at}, {Key: "mailbox:a"}}
	want := []state.Hold{
		{Key: "identity:i", Text: "new", Status: "4.7.1", Probes: 2, Since: at, NextProbe: at},
		{Key: "mailbox:a"}, {Key: "mailbox:b", Text: "b"},
	}
	if got := holdStates(stored, running); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	if got := holdStates(nil, []spool.Hold{}); got != nil {
		t.Errorf("without holds %v, which is not null in JSON", got)
	}
}

func TestUsageIsInOrderOfRecipients(t *testing.T) {
	a, b, c := mailbox(t, "a@example.org"), mailbox(t, "b@example.org"), mailbox(t, "c@example.org")
	got := usage([]delivery.Usage{{Mailbox: b, Recipients: 1}, {Mailbox: a, Recipients: 1}, {Mailbox: c, Recipients: 9}})
	want := []state.MailboxDay{
		{Mailbox: "c@example.org", Recipients: 9}, {Mailbox: "a@example.org", Recipients: 1}, {Mailbox: "b@example.org", Recipients: 1},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

// A credential that nobody renews alarms 30, 14, 7, 3 and 1 days before its end,
// and daily after it; nothing else raises or ends this key.
func TestExpiryAlarmsInStages(t *testing.T) {
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	now, end := start, start.AddDate(0, 0, 40)
	var log bytes.Buffer
	board := alert.New(alert.Config{Now: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(&log, nil))})
	follow := func(expires time.Time) {
		c := credentialState(config.Identity{Name: "x"}, entra.CredentialInfo{Kind: "certificate", NotAfter: expires}, now)
		board.Follow(state.Faults(state.Snapshot{Credentials: []state.Credential{c}}, now))
	}
	var alarmed []string
	for day := range 43 {
		for _, hour := range []int{0, 6} {
			now = start.AddDate(0, 0, day).Add(time.Duration(hour) * time.Hour)
			lines := strings.Count(log.String(), "msg=alarm")
			follow(end)
			if strings.Count(log.String(), "msg=alarm") > lines {
				alarmed = append(alarmed, fmt.Sprint(40-day))
			}
		}
	}
	if got := strings.Join(alarmed, " "); got != "30 14 7 3 1 0" || strings.Contains(log.String(), "alarm is over") {
		t.Errorf("alarmed %s days before the end:\n%s", got, &log)
	}
	if follow(now.AddDate(1, 0, 0)); len(board.Firing()) != 0 {
		t.Error("a renewed credential still alarms")
	}
}
