package state_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"graphrelay/relay/state"
)

// An outage says since when, how many attempts failed, that mail is kept, and when the
// next try is. It is an alert after some minutes; that its mail is old is no other fault.
func TestDown(t *testing.T) {
	const noDNS = "no connection to Graph: lookup graph.microsoft.com: no such host; check the name servers"
	long := strings.Repeat("long ", 40)
	const busy = "it answers 503; wait"
	list := func(o ...state.Outage) []state.Outage { return o }
	out := func(identity string, ago time.Duration, attempts int, text string, in time.Duration) state.Outage {
		o := state.Outage{Identity: identity, Since: noon.Add(-ago), Attempts: attempts, Text: text}
		if in > 0 {
			o.Next = noon.Add(in)
		}
		return o
	}
	two := []state.Credential{{Identity: "x"}, {Identity: "y"}}
	lanes := []state.Lane{
		{Mailbox: "a@b", Identity: "x", Queued: 4, Sending: 1, Oldest: noon.Add(-2 * time.Hour)},
		{Mailbox: "c@d", Identity: "y", Queued: 7, Oldest: noon.Add(-2 * time.Hour)},
	}
	for name, c := range map[string]struct {
		s                           state.Snapshot
		headline, meanwhile, remedy string
		keys                        string
	}{
		"none": {state.Snapshot{}, "", "", "", ""},
		"one identity": {
			state.Snapshot{Credentials: two[:1], Lanes: lanes[:1],
				Outages: list(out("x", time.Hour, 14, noDNS, time.Minute))},
			"no connection to Graph: lookup graph.microsoft.com: no such host",
			"mail is accepted and kept (5 waiting); failed attempts: 14; next try at 2026-11-25T12:01:00Z",
			"check the name servers; to try now: graphrelay queue retry --all", "outage",
		},
		"young": {
			state.Snapshot{Credentials: two[:1], Lanes: lanes[:1],
				Outages: list(out("x", time.Minute, 3, busy, 0))},
			"it answers 503",
			"mail is accepted and kept (5 waiting); failed attempts: 3; next try now",
			"wait; to try now: graphrelay queue retry --all", "",
		},
		"one of two": {
			state.Snapshot{Credentials: two, Lanes: lanes, Outages: list(out("y", time.Hour, 3, busy, 0))},
			"identity y: it answers 503",
			"mail is accepted and kept (7 waiting); failed attempts: 3; next try now",
			"wait; to try now: graphrelay queue retry --all", "old:a@b outage",
		},
		"both": {
			state.Snapshot{Credentials: two, Lanes: lanes, Outages: []state.Outage{
				out("x", time.Hour, 3, noDNS, 2*time.Minute), out("y", 2*time.Hour, 4, long+"; wait", time.Minute),
			}},
			long[:97] + "...",
			"mail is accepted and kept (12 waiting); failed attempts: 7; next try at 2026-11-25T12:01:00Z",
			"wait; to try now: graphrelay queue retry --all", "outage",
		},
	} {
		d := c.s.Down(noon)
		if c.headline == "" {
			if !d.Since.IsZero() {
				t.Errorf("%s: %+v", name, d)
			}
			continue
		}
		if d.Headline != c.headline || d.Meanwhile != c.meanwhile || d.Remedy != c.remedy {
			t.Errorf("%s:\n%+v\nwant %s\n%s\n%s", name, d, c.headline, c.meanwhile, c.remedy)
		}
		if n := utf8.RuneCountInString(d.Headline); n > 100 {
			t.Errorf("%s: a headline of %d characters", name, n)
		}
		if got := keysOf(state.Faults(c.s, noon)); got != c.keys {
			t.Errorf("%s: faults %q, want %q", name, got, c.keys)
		}
	}
}

// The next try is that of the first lane: by its mail, its pause, or the probe of its hold.
func TestNextTry(t *testing.T) {
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	lane := func(mailbox string, next, paused, busy int) state.Lane {
		l := state.Lane{Mailbox: mailbox, Identity: "x", Queued: 1, Next: at(next), Busy: busy}
		if paused > 0 {
			l.Backoff = at(paused)
		}
		return l
	}
	hold := state.Hold{Key: "mailbox:held@b", NextProbe: at(9)}
	for name, c := range map[string]struct {
		lanes []state.Lane
		want  time.Time
	}{
		"none":         {nil, time.Time{}},
		"by its mail":  {[]state.Lane{lane("a@b", 4, 0, 0)}, at(4)},
		"by its pause": {[]state.Lane{lane("a@b", -1, 3, 0)}, at(3)},
		"the first":    {[]state.Lane{lane("a@b", 4, 0, 0), lane("c@b", -1, 2, 0)}, at(2)},
		"under way":    {[]state.Lane{lane("a@b", 4, 0, 0), lane("c@b", 5, 0, 1)}, time.Time{}},
		"due":          {[]state.Lane{lane("a@b", 0, 0, 0)}, time.Time{}},
		"by a probe":   {[]state.Lane{lane("held@b", -1, 0, 0)}, at(9)},
		"without mail": {[]state.Lane{{Mailbox: "a@b", Identity: "x"}, lane("c@b", 6, 0, 0)}, at(6)},
		"of another":   {[]state.Lane{{Mailbox: "a@b", Identity: "y", Queued: 1}, lane("c@b", 6, 0, 0)}, at(6)},
	} {
		s := state.Snapshot{Lanes: c.lanes, Holds: []state.Hold{hold}}
		if got := s.NextTry("x", noon); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
