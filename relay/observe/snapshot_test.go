package observe

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/delivery"
	"graphrelay/relay/delivery/pace"
	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
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
	stored := []spool.Lane{{Mailbox: a, Queued: 1, Deferred: 5, Paused: 6, Sending: 2, Held: 3, Next: now,
		Oldest: now}, {Mailbox: b, Queued: 4}}
	running := []delivery.LaneStatus{
		{Mailbox: a, Identity: "contoso", Slots: 3, Busy: 2, Failures: 1,
			Pause: pace.Pause{Until: now.Add(time.Minute), Cause: pace.Asked}},
		{Mailbox: b, Identity: "contoso", Pause: pace.Pause{Until: now, Cause: pace.Asked}},
		{Mailbox: mailbox(t, "c@example.org"), Identity: "contoso"},
	}
	want := []state.Lane{
		{Mailbox: "a@example.org", Identity: "contoso", Queued: 1, Deferred: 5, Paused: 6, Sending: 2, Held: 3,
			Next: now, Oldest: now, Slots: 3, Busy: 2, Failures: 1, Backoff: now.Add(time.Minute),
			BackoffBy: "microsoft"},
		{Mailbox: "b@example.org", Identity: "contoso", Queued: 4},
	}
	if got := laneStates(stored, running, nil, now); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

// Of a lane in which clients take turns it is shown whose mail waits, added up by client.
func TestWhoWaits(t *testing.T) {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	turn := func(client, member string, n int, after time.Duration) spool.Waits {
		return spool.Waits{Turn: spool.Turn{Client: client, Member: member}, Messages: n, Next: at.Add(after)}
	}
	l := spool.Lane{Turns: []spool.Waits{turn("", "", 1, 0), turn("erp", "192.0.2.1", 812, time.Minute),
		turn("printers", "192.0.2.7", 2, time.Hour), turn("printers", "192.0.2.8", 5, time.Minute),
		turn("printers", "user cups", 1, 2*time.Hour)}}
	want := []state.Waits{
		{Client: "erp", Priority: "bulk", Waiting: 812, Next: at.Add(time.Minute), Sources: 1, Busiest: "192.0.2.1",
			FromBusiest: 812},
		{Client: "printers", Priority: "normal", Waiting: 8, Next: at.Add(time.Minute), Sources: 3,
			Busiest: "192.0.2.8", FromBusiest: 5},
		{Priority: "high", Waiting: 1, Next: at, Sources: 1, FromBusiest: 1},
	}
	got := laneStates([]spool.Lane{l}, nil, map[string]string{"erp": "bulk"}, at)[0]
	if !reflect.DeepEqual(got.Clients, want) || got.OthersWaiting != 0 || !got.TakesTurns() {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	l = spool.Lane{}
	for i := range 25 {
		l.Turns = append(l.Turns, turn(string(rune('a'+i)), "192.0.2.1", 1+i, 0))
	}
	got = laneStates([]spool.Lane{l}, nil, nil, at)[0]
	if len(got.Clients) != 20 || got.Clients[19].Waiting != 6 || got.OthersWaiting != 1+2+3+4+5 {
		t.Errorf("of many: %+v", got)
	}
	l = spool.Lane{Queued: 3 * spool.MaxTurns}
	for range spool.MaxTurns {
		l.Turns = append(l.Turns, turn("a", "", 2, 0))
	}
	if _, others := waitsOf(l, nil); others != spool.MaxTurns {
		t.Errorf("%d of others that the store does not list", others)
	}
	one := laneStates([]spool.Lane{{Turns: []spool.Waits{turn("erp", "192.0.2.1", 3, 0)}}, {}}, nil, nil, at)
	if one[0].TakesTurns() || one[1].TakesTurns() {
		t.Errorf("one takes turns: %+v", one)
	}
}

// Delivery knows the probes of a hold, the store those of an earlier run.
func TestHoldStates(t *testing.T) {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	status := reply.Enhanced{4, 7, 1}
	stored := []spool.Hold{{Key: "mailbox:b", Text: "b"}, {Key: "identity:i", Text: "old", Status: status}}
	running := []spool.Hold{
		{Key: "identity:i", Text: "new", Status: status, Probes: 2, Since: at, NextProbe: at}, {Key: "mailbox:a"},
	}
	triggers := []string{"login", "roles", "network", "credential", "reload", "release"}
	want := []state.Hold{
		{Key: "identity:i", Text: "new", Status: "4.7.1", Probes: 2, Since: at, NextProbe: at, Triggers: triggers},
		{Key: "mailbox:a", Triggers: triggers}, {Key: "mailbox:b", Text: "b", Triggers: triggers},
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
	got := usage([]delivery.Usage{
		{Mailbox: b, Recipients: 1}, {Mailbox: a, Recipients: 1}, {Mailbox: c, Recipients: 9},
	})
	want := []state.MailboxDay{
		{Mailbox: "c@example.org", Recipients: 9},
		{Mailbox: "a@example.org", Recipients: 1}, {Mailbox: "b@example.org", Recipients: 1},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

// An outage that may be chance is not shown; another one has the time of its next try.
func TestOutages(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	last := outcome.Answer{Outcome: outcome.Retry, HTTPStatus: 503, Text: "unavailable", Advice: "wait"}
	running := []delivery.Outage{
		{Identity: "contoso", Since: now.Add(-time.Second), Attempts: 3, Last: last},
		{Identity: "fabrikam", Since: now.Add(-time.Second), Attempts: 2, Last: last},
		{Identity: "tailspin", Since: now.Add(-time.Minute), Attempts: 1, Last: outcome.Answer{
			Outcome: outcome.Retry, Text: "No route", Advice: "check"}},
	}
	s := state.Snapshot{Lanes: []state.Lane{{Identity: "contoso", Queued: 1, Next: now.Add(time.Minute)}}}
	got := outages(running, s, now)
	const answers = "Microsoft 365 is out of order: it answers 503; "
	if len(got) != 2 || got[0].Identity != "contoso" || got[0].Attempts != 3 ||
		!strings.HasPrefix(got[0].Text, answers) || !got[0].Next.Equal(now.Add(time.Minute)) ||
		got[1].Text != "No route; check" {
		t.Errorf("%+v", got)
	}
}
