package canary

import (
	"testing"
	"time"

	"graphrelay/relay/spool"
)

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func TestHowFarACanaryHasCome(t *testing.T) {
	sent := func(ago time.Duration) *spool.Record {
		return &spool.Record{State: spool.Sent, FinishedAt: noon.Add(-ago)}
	}
	in := func(s spool.State) *spool.Record { return &spool.Record{State: s} }
	bounced := sent(time.Minute)
	bounced.Bounces = 1
	for _, c := range []struct {
		name    string
		rec     *spool.Record
		arrived bool
		looks   int
		want    Stage
	}{
		{"it waits", in(spool.Queued), false, 0, Queued},
		{"it is retried", in(spool.Deferred), false, 0, Queued},
		{"a hold stops it", in(spool.Paused), false, 0, Queued},
		{"it is being sent", in(spool.Sending), false, 0, Queued},
		{"it is held alone", in(spool.Held), false, 0, Queued},
		{"just sent", sent(0), false, 0, Sent},
		{"sent, and not there yet", sent(59 * time.Minute), false, 60, Sent},
		{"not there an hour later", sent(time.Hour), false, 60, Missing},
		{"found", sent(time.Minute), true, 1, Arrived},
		{"found late", sent(20 * time.Hour), true, 70, Arrived},
		{"found, and its history ended", nil, true, 0, Arrived},
		{"its history ended before it was found", nil, false, 3, Missing},
		{"the host slept, and the mailbox was hardly read", sent(8 * time.Hour), false, 4, Sent},
		{"the clock leapt ahead", sent(24 * time.Hour), false, 1, Sent},
		{"the clock leapt back", sent(-24 * time.Hour), false, 10, Sent},
		{"the clock leapt back, and an hour passed all the same", sent(-24 * time.Hour), false, 80, Missing},
		{"given up", in(spool.Failed), false, 0, Failed},
		{"damaged", in(spool.Damaged), false, 0, Failed},
		{"came back", bounced, false, 1, Failed},
		{"a bounce was wrong", bounced, true, 1, Arrived},
		{"deleted by an operator", in(spool.Deleted), false, 0, Deleted},
	} {
		if got := stage(c.rec, c.arrived, search{looks: c.looks}, noon); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestACanaryInJunkEmailIsMissing(t *testing.T) {
	rec := &spool.Record{State: spool.Sent, FinishedAt: noon}
	if got := stage(rec, false, search{looks: 5, junk: true}, noon); got != Missing {
		t.Errorf("%s at once, want missing", got)
	}
	if got := stage(rec, true, search{looks: 5, junk: true}, noon); got != Arrived {
		t.Errorf("%s after it was moved to the Inbox, want arrived", got)
	}
}

func TestWhenTheNextCanaryIsSent(t *testing.T) {
	for _, c := range []struct {
		name  string
		begun time.Time
		stage Stage
		want  bool
	}{
		{"the first one", time.Time{}, Missing, true},
		{"one arrived today", noon.Add(-Every + time.Second), Arrived, false},
		{"one arrived yesterday", noon.Add(-Every), Arrived, true},
		{"one is on its way", noon.Add(-time.Minute), Sent, false},
		{"yesterday's waits in the queue", noon.Add(-3 * Every), Queued, false},
		{"yesterday's is missing", noon.Add(-Every), Missing, true},
		{"today's is missing", noon.Add(-2 * time.Hour), Missing, false},
		{"today's failed", noon.Add(-time.Hour), Failed, false},
		{"yesterday's could not be looked for", noon.Add(-Every), Sent, true},
		{"the clock was set back by an hour", noon.Add(time.Hour), Arrived, false},
		{"the clock was years ahead when one was sent", noon.AddDate(4, 0, 0), Arrived, true},
	} {
		if got := due(c.begun, c.stage, noon); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestTimeOnTheWay(t *testing.T) {
	if got := travel(noon, noon.Add(4*time.Second)); got != 4*time.Second {
		t.Errorf("%s, want 4s", got)
	}
	if got := travel(noon, noon.Add(-time.Minute)); got != 0 {
		t.Errorf("%s between clocks that differ, want 0", got)
	}
}
