package main

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/cmd/graphrelay/terminal"
	"graphrelay/relay/admin"
	"graphrelay/relay/operator"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
	"graphrelay/relay/text"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err) // a literal of a test
	}
	return t
}

// readMbox undoes what writeMbox did, as a reader of mboxrd does.
func readMbox(mbox string) (froms, messages []string) {
	var lines []string
	for line := range strings.Lines(mbox) {
		if strings.HasPrefix(line, "From ") {
			froms, lines = append(froms, line), append(lines, "")
			continue
		}
		if strings.HasPrefix(strings.TrimLeft(line, ">"), "From ") {
			line = line[1:]
		}
		lines[len(lines)-1] += line
	}
	for _, m := range lines {
		messages = append(messages, strings.TrimSuffix(m, "\n"))
	}
	return froms, messages
}

func TestMbox(t *testing.T) {
	for in, want := range map[string]string{
		"A: b\r\n\r\ntext\r\n":                     "A: b\n\ntext\n",
		"A: b\r\n\r\nFrom here\r\n>From there\r\n": "A: b\n\nFrom here\n>From there\n",
		"A: b\r\n\r\nno end":                       "A: b\n\nno end\n",
		"":                                         "",
		"From the first octet":                     "From the first octet\n",
		strings.Repeat("x", 70_000) + "From inside\n": strings.Repeat("x", 70_000) + "From inside\n",
	} {
		var b bytes.Buffer
		for range 2 {
			if err := writeMbox(&b, "a@b.example", at("2026-01-31T08:05:09Z"), strings.NewReader(in)); err != nil {
				t.Fatal(err)
			}
		}
		froms, got := readMbox(b.String())
		if len(got) != 2 || got[0] != want || got[1] != want {
			t.Errorf("%.40q came back as %.40q", in, got)
		}
		if len(froms) > 0 && froms[0] != "From a@b.example Sat Jan 31 08:05:09 2026\n" {
			t.Errorf("From line %q", froms[0])
		}
	}
	var b bytes.Buffer
	if err := writeMbox(&b, `"a b"@c.example`, time.Now(), strings.NewReader("")); err != nil ||
		!strings.HasPrefix(b.String(), `From "a-b"@c.example `) {
		t.Errorf("%v %q: the address must be one word", err, b.String())
	}
	b.Reset()
	if err := writeMbox(&b, "", time.Now(), strings.NewReader("")); err != nil ||
		!strings.HasPrefix(b.String(), "From MAILER-DAEMON ") {
		t.Errorf("%v %q: the null reverse-path", err, b.String())
	}
}

// FuzzMbox wants every line back, whatever a message holds.
func FuzzMbox(f *testing.F) {
	for _, s := range []string{"", "From a\r\n", ">From\r\n>>From x\n", "a\r\nFrom", "\n\n", "a\rFrom b\n", "\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var b bytes.Buffer
		if err := writeMbox(&b, "a@b.example", time.Time{}, strings.NewReader(s)); err != nil {
			t.Fatal(err)
		}
		var want strings.Builder
		for line := range strings.Lines(s) {
			if !strings.HasSuffix(line, "\n") {
				want.WriteString(line + "\n")
				continue
			}
			want.WriteString(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r") + "\n")
		}
		if _, got := readMbox(b.String()); len(got) != 1 || got[0] != want.String() {
			t.Errorf("%q came back as %q, want %q", s, got, want.String())
		}
	})
}

func TestParseSpan(t *testing.T) {
	for in, want := range map[string]time.Duration{"30m": 30 * time.Minute, "4h": 4 * time.Hour, "2d": 48 * time.Hour,
		"1d12h": 36 * time.Hour, "0s": 0} {
		if got, err := operator.ParseSpan(in); err != nil || got != want {
			t.Errorf("%s = %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "yesterday", "5", "-1h", "-2d", "d", "1h2d", "99999999d"} {
		if got, err := operator.ParseSpan(in); err == nil {
			t.Errorf("%q = %v, want an error", in, got)
		}
	}
}

func TestParseMoment(t *testing.T) {
	now := at("2026-02-01T12:00:00Z")
	for in, want := range map[string]string{
		"2026-01-31": "2026-01-31T00:00:00Z", "2026-01-31 14:30": "2026-01-31T14:30:00Z",
		"2026-01-31T14:30:00+02:00": "2026-01-31T12:30:00Z",
		"2d":                        "2026-01-30T12:00:00Z",
	} {
		if got, err := operator.ParseMoment(in, now); err != nil || !got.Equal(at(want)) {
			t.Errorf("%s = %v, %v, want %s", in, got, err, want)
		}
	}
}

func TestWhereabouts(t *testing.T) {
	now, soon, past := at("2026-02-01T12:00:00Z"), at("2026-02-01T12:05:00Z"), at("2026-02-01T10:00:00Z")
	for _, c := range []struct {
		m    admin.Message
		want string
	}{
		{admin.Message{State: "queued", NextAttempt: past}, "first attempt, due now: its mailbox is busy"},
		{admin.Message{State: "deferred", Attempts: 2, NextAttempt: soon, Status: "4.7.0", Reason: "busy",
			Unknown: true},
			"attempt 3, due in 5m; last: 4.7.0 busy; it may have been sent already"},
		{admin.Message{State: "sending"}, "in progress"},
		{admin.Message{State: "held", HeldSince: past, Reason: "odd", QueueID: "x"},
			"held for 2h: odd; to release it: graphrelay queue release x"},
		{admin.Message{State: "sent", Finished: past, Mailbox: "a@b"},
			"accepted by Microsoft 365 at 2026-02-01T10:00:00Z; if it fails later, a report arrives in a@b"},
		{admin.Message{State: "paused", PausedSince: past, PausedBy: "mailbox:a@b", PausedReason: "gone; make it"},
			"paused for 2h: gone; make it; once fixed: graphrelay queue release --hold 'mailbox:a@b'"},
		{admin.Message{State: "failed", Finished: past, Reason: "too old", QueueID: "x"},
			"too old; to retry: graphrelay queue retry x"},
		{admin.Message{State: "failed", Finished: past, BodyGone: true}, "its content is deleted (queue.keep_failed)"},
		{admin.Message{State: "damaged", Reason: "disk"}, "checksum: disk"},
		{admin.Message{State: "deleted", Finished: past}, "deleted at 2026-02-01T10:00:00Z by the operator"},
	} {
		if got := whereabouts(c.m, now); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q lacks %q", c.m.State, got, c.want)
		}
	}
}

// Whatever stands in it, a line of the list has at most 80 columns.
func TestListFits80Columns(t *testing.T) {
	wide := strings.Repeat("漢", 40) + "@example.org"
	var list []admin.Message
	for _, s := range spool.States() {
		list = append(list, admin.Message{QueueID: "06hhgq2g00dcrdpj", State: string(s), Size: 9 << 30, From: wide,
			Recipients: []string{wide, "b", "c"},
			Accepted:   time.Now().Add(-400 * 24 * time.Hour), Reason: "a\u202e\x1b" + strings.Repeat("é\u0301", 90)})
	}
	var b bytes.Buffer
	if err := printList(&b, list, time.Now(), true); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if n := terminal.Columns(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if strings.ContainsAny(b.String(), "\u202e\x1b") {
		t.Error("a control character was printed")
	}
}

// A full status fits one screen of 80 columns and 24 lines, but for texts of
// warnings and holds.
func TestStatusFitsAScreen(t *testing.T) {
	s := admin.Status{Version: "1.0.0", Started: time.Now(), Healthy: true, Snapshot: state.Snapshot{
		Held: 1, Failed: 1, Credentials: []state.Credential{{Identity: "contoso", Kind: "certificate"}},
		Audits: []state.Audit{{Identity: "contoso", Passed: true, At: time.Now(), Text: "refused for ceo@contoso.com"}},
		Canary: &state.Canary{Address: strings.Repeat("long.", 10) + "check@contoso.com", Stage: "missing",
			Accepted: time.Now().AddDate(0, 0, -9), Arrived: time.Now().AddDate(0, 0, -99), Travel: 99999.9},
	}}
	now := time.Now()
	for i := range 40 {
		s.Lanes = append(s.Lanes, state.Lane{
			Mailbox: strings.Repeat("long.", 10) + fmt.Sprint(i) + "@contoso.com",
			Queued:  100_000, Deferred: 100_000, Paused: 100_000, Sending: 3, Held: 100_000,
			Oldest: now, Slots: 64, Busy: 64, Failures: 12,
		})
	}
	var b bytes.Buffer
	if err := printStatus(&b, s, now); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) > 25 {
		t.Errorf("%d lines:\n%s", len(lines), b.String())
	}
	for _, l := range lines {
		if terminal.Columns(l) > 80 {
			t.Errorf("%d columns: %s", terminal.Columns(l), l)
		}
	}
	if !strings.Contains(b.String(), "... and 28 more") {
		t.Errorf("the lanes left out are not counted:\n%s", b.String())
	}
}

// Where clients take turns in a mailbox, status says whose mail waits, within its screen.
func TestStatusSaysWhoWaits(t *testing.T) {
	now := at("2026-02-01T12:00:00Z")
	erp := state.Waits{Client: "erp", Priority: "bulk", Waiting: 812, Sources: 1, Busiest: "192.0.2.1",
		FromBusiest: 812}
	all := []state.Waits{erp, {Client: "printers", Priority: "normal", Waiting: 40, Sources: 9,
		Busiest: "192.0.2.7", FromBusiest: 30},
		{Priority: "high", Waiting: 3, Sources: 1}, {Client: "d", Priority: "normal", Waiting: 2, Sources: 1}}
	for want, l := range map[string]state.Lane{
		"  waiting: erp 812 (bulk), printers 40 (30 from 192.0.2.7)\n": {Clients: all[:2]},
		"  waiting: printers 40 (30 from 192.0.2.7), others 5\n":       {Clients: all[1:2], OthersWaiting: 5},
		", reports and test mail 3, others 7\n":                        {Clients: all[1:], OthersWaiting: 5},
		"  waiting: reports and test mail 3, d 2, others 5\n":          {Clients: all[2:], OthersWaiting: 5},
		" idle\n": {Clients: all[:1]},
	} {
		var b bytes.Buffer
		if err := printLanes(&b, []state.Lane{l}, now); err != nil || !strings.HasSuffix(b.String(), want) {
			t.Errorf("%v: lacks %q:\n%s", err, want, b.String())
		}
	}
	var b bytes.Buffer
	if err := printLanes(&b, slices.Repeat([]state.Lane{{Mailbox: "a@b", Clients: all}}, 40), now); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "\n"); n != 2+shownLanes+1 || !strings.Contains(b.String(), "... and 34 more") {
		t.Errorf("%d lines:\n%s", n, b.String())
	}
}

func TestStatusSaysWhatExpires(t *testing.T) {
	now := at("2026-02-01T12:00:00Z")
	soon, gone := now.Add(10*24*time.Hour), now.Add(-time.Hour)
	s := admin.StatusOf(state.Snapshot{
		Full: text.Cause{Headline: "Disk of the queue is full", Remedy: "free space"},
		Credentials: []state.Credential{{Identity: "a", Kind: "certificate", Expires: soon},
			{Identity: "b", Kind: "secret", Expires: gone}},
		Audits: []state.Audit{{Identity: "a", At: gone, Text: "it could read mail"}},
		Reload: state.Reload{At: gone, Failed: true},
	}, nil, now)
	var b bytes.Buffer
	if err := printStatus(&b, s, now); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a: certificate, expires 2026-02-11, in 10d", "b: secret, EXPIRED 2026-02-01",
		"last audit: a FAILED 1h ago: It could read mail",
		"read 1h ago; a later reload FAILED",
		"PROBLEM: Disk of the queue is full, since 2026-02-01 12:00:00 UTC (0s ago)\n" +
			"  what to do: free space\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("lacks %q:\n%s", want, b.String())
		}
	}
}

func TestStatusSaysWhetherTheCanaryArrived(t *testing.T) {
	now := at("2026-02-01T12:00:00Z")
	c := state.Canary{Address: "check@contoso.com", Stage: "queued", Accepted: now.Add(-time.Minute)}
	arrived, missing, next := c, c, c
	arrived.Stage, arrived.Arrived, arrived.Travel = "arrived", now, 4.25
	missing.Stage, missing.Problem, missing.Accepted = "missing", "Canary has not arrived", now.Add(-2*time.Hour)
	next.Arrived, next.Travel = now.Add(-24*time.Hour), 4
	for want, c := range map[string]*state.Canary{
		"": nil,
		"canary: check@contoso.com queued, accepted 1m ago\n":                   &c,
		"canary: check@contoso.com arrived 0s ago, 4.2 s on its way\n":          &arrived,
		"canary: check@contoso.com missing, accepted 2h ago\n":                  &missing,
		"canary: check@contoso.com queued, accepted 1m ago; last one 24h ago\n": &next,
	} {
		var b bytes.Buffer
		if printCanary(&b, terminal.NewPainter(&b), c, now); b.String() != want {
			t.Errorf("%q, want %q", b.String(), want)
		}
	}
}

// Of several nodes status shows each, and which mailboxes another one sends for.
func TestStatusShowsTheNodes(t *testing.T) {
	s := admin.Status{Snapshot: state.Snapshot{
		Nodes: []state.Node{{Name: "relay1", This: true, Leads: true, Lanes: 1, Seen: 1.6},
			{Name: "relay2", Lanes: 12}},
		Lanes: []state.Lane{{Mailbox: "a@contoso.com", Queued: 2, Elsewhere: true},
			{Mailbox: "b@contoso.com", Slots: 4}},
	}}
	var b bytes.Buffer
	if err := printStatus(&b, s, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"node: relay1, this one, leads: sends for 1 mailbox, seen 2 s ago\n",
		"node: relay2: sends for 12 mailboxes, seen 0 s ago\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("lacks %q:\n%s", want, b.String())
		}
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	for i, want := range []string{"a@contoso.com 2 other", "b@contoso.com 0 0/4 idle"} {
		if got := strings.Join(strings.Fields(lines[len(lines)-2+i]), " "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// With a wildcard in senders a client chooses what a mailbox is named, and what
// is shown to be copied into a shell must stay one word of it.
func TestStatusShowsCommandsThatAreSafeToCopy(t *testing.T) {
	key := "mailbox:'|id|'@contoso.com"
	var b bytes.Buffer
	s := admin.StatusOf(state.Snapshot{Holds: []state.Hold{{Key: key}}}, nil, time.Now())
	if err := printStatus(&b, s, time.Now()); err != nil {
		t.Fatal(err)
	}
	_, argument, _ := strings.Cut(b.String(), "--hold ")
	argument, _, _ = strings.Cut(argument, "\n")
	out, err := exec.Command("sh", "-c", "printf %s "+argument).CombinedOutput()
	if err != nil || string(out) != key {
		t.Errorf("--hold %s is %q to a shell, %v", argument, out, err)
	}
}

// An error can have the words of a server, or a name, in it.
func TestErrorsAreHarmlessToATerminal(t *testing.T) {
	var b bytes.Buffer
	if code := run(t.Context(), []string{"cert", "show", "\x1b]0;owned\a\u202e"}, io.Discard, &b); code != exitFailed {
		t.Error(code)
	}
	if strings.ContainsAny(b.String(), "\x1b\a\u202e") || !strings.Contains(b.String(), `\u001b]0;owned`) {
		t.Errorf("%q", b.String())
	}
}

func TestDeleteQuestion(t *testing.T) {
	for want, n := range map[string]operator.Counted{
		"Delete 1 message permanently?": {Messages: 1}, "Delete 10000 messages permanently?": {Messages: 10_000},
		"Delete 100000 messages or more permanently?": {Messages: 100_000, More: true},
	} {
		if got := deleteQuestion(n); got != want {
			t.Errorf("%q", got)
		}
	}
}
