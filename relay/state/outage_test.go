package state_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/state"
)

// An outage says since when, how many attempts failed, that mail is kept, and when the
// next try is. It is an alert after some minutes; that its mail is old is no other fault.
func TestOutageIsAFault(t *testing.T) {
	const noDNS, busy = "Name lookup fails; check the name servers [no such host]", "It answers 503; wait"
	out := func(identity string, ago time.Duration, attempts int, text string, in time.Duration) state.Outage {
		o := state.Outage{Identity: identity, Since: noon.Add(-ago), Attempts: attempts, Text: text}
		if in > 0 {
			o.Next = noon.Add(in)
		}
		return o
	}
	list := func(o ...state.Outage) []state.Outage { return o }
	two := []state.Credential{{Identity: "x"}, {Identity: "y"}}
	lanes := []state.Lane{
		{Mailbox: "a@b", Identity: "x", Queued: 4, Sending: 1, Oldest: noon.Add(-2 * time.Hour)},
		{Mailbox: "c@d", Identity: "y", Queued: 7, Oldest: noon.Add(-2 * time.Hour)},
	}
	const kept, again = "mail is accepted and kept (", "; to try now: graphrelay queue retry --all"
	for name, c := range map[string]struct {
		s    state.Snapshot
		want state.Fault
		keys string
	}{
		"one identity": {
			state.Snapshot{Credentials: two[:1], Lanes: lanes[:1],
				Outages: list(out("x", time.Hour, 14, noDNS, time.Minute))},
			state.Fault{Headline: "Name lookup fails", Remedy: "check the name servers" + again, Detail: "no such host",
				Meanwhile: kept + "5 waiting); 14 attempts have failed, the next try is at 12:01:00 UTC",
				Since:     noon.Add(-time.Hour)}, "outage",
		},
		"one of two": {
			state.Snapshot{Credentials: two, Lanes: lanes, Outages: list(out("y", time.Minute, 1, busy, 0))},
			state.Fault{Headline: "It answers 503 (identity y)", Remedy: "wait" + again,
				Meanwhile: kept + "7 waiting); 1 attempt has failed, the next try is due",
				Since:     noon.Add(-time.Minute)}, "old:a@b outage",
		},
		"both": {
			state.Snapshot{Credentials: two, Lanes: lanes, Outages: list(
				out("x", time.Hour, 3, noDNS, 2*time.Minute), out("y", 2*time.Hour, 4, busy, time.Minute))},
			state.Fault{Headline: "It answers 503", Remedy: "wait" + again,
				Meanwhile: kept + "12 waiting); 7 attempts have failed, the next try is at 12:01:00 UTC",
				Since:     noon.Add(-2 * time.Hour)}, "outage",
		},
	} {
		found := state.Faults(c.s, noon)
		c.want.AlertAfter = c.want.Since.Add(3 * time.Minute)
		if got := found["outage"]; got != c.want {
			t.Errorf("%s:\n%+v\nwant\n%+v", name, got, c.want)
		}
		if keys := strings.Join(slices.Sorted(maps.Keys(found)), " "); keys != c.keys {
			t.Errorf("%s: faults %q, want %q", name, keys, c.keys)
		}
		if h := state.Judge(c.s, noon); !h.Ready || h.Status != state.Degraded {
			t.Errorf("%s: %+v", name, h)
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
		"being sent": {[]state.Lane{{Mailbox: "a@b", Identity: "x", Sending: 1, Busy: 1}, lane("c@b", 6, 0, 0)},
			time.Time{}},
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
