package state

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// When failed attempts are an outage, and when somebody is notified of it.
const (
	outageAttempts = 3
	outageAge      = time.Minute // or so long, with fewer attempts
	outageAlert    = 3 * time.Minute
)

// Outage is the time for which Microsoft has not answered an identity that has mail
// waiting: no connection, no answer in time, or 5xx.
type Outage struct {
	Identity string    `json:"identity"`
	Since    time.Time `json:"since"` // the first failed attempt
	Attempts int       `json:"failed_attempts"`
	Text     string    `json:"text"`                  // why the last one failed, and what to do
	Next     time.Time `json:"next_attempt,omitzero"` // zero: it is due, or under way
}

// Lasts reports whether it is more than chance.
func (o Outage) Lasts(now time.Time) bool {
	return o.Attempts >= outageAttempts || now.Sub(o.Since) >= outageAge
}

// Down is what an operator must know of the outages together, for there is one Microsoft.
type Down struct {
	Since                       time.Time // zero if Microsoft answers
	Headline, Meanwhile, Remedy string
}

// Down sums up the outages.
func (s Snapshot) Down(now time.Time) (d Down) {
	var next time.Time
	attempts, waiting := 0, 0
	var out []string
	for i, o := range s.Outages {
		if d.Since.IsZero() || o.Since.Before(d.Since) {
			d.Since = o.Since
			d.Headline, d.Remedy, _ = strings.Cut(o.Text, "; ")
		}
		if i == 0 || o.Next.Before(next) {
			next = o.Next
		}
		attempts, out = attempts+o.Attempts, append(out, o.Identity)
	}
	for _, l := range s.Lanes {
		if slices.Contains(out, l.Identity) {
			waiting += l.Waiting() + l.Sending
		}
	}
	if len(s.Credentials) > len(out) {
		d.Headline = "identity " + strings.Join(out, ", ") + ": " + d.Headline
	}
	d.Headline = cutHeadline(d.Headline)
	const kept = "mail is accepted and kept (%d waiting); failed attempts: %d; next try "
	d.Meanwhile = fmt.Sprintf(kept, waiting, attempts)
	if next.After(now) {
		d.Meanwhile += "at " + next.UTC().Format(time.RFC3339)
	} else {
		d.Meanwhile += "now"
	}
	d.Remedy = strings.TrimPrefix(d.Remedy+"; to try now: graphrelay queue retry --all", "; ")
	return d
}

// maxHeadline is how many characters a headline has at most.
const maxHeadline = 100

func cutHeadline(s string) string {
	if utf8.RuneCountInString(s) <= maxHeadline {
		return s
	}
	return string([]rune(s)[:maxHeadline-3]) + "..."
}

// outage is the fault of outages that last.
func (f faults) outage(s Snapshot, now time.Time) {
	if d := s.Down(now); !d.Since.IsZero() && now.Sub(d.Since) >= outageAlert {
		since := d.Since.UTC().Format(time.RFC3339)
		f.raise(keyOutage, "%s, since %s; %s; %s", d.Headline, since, d.Meanwhile, d.Remedy)
	}
}

// silent reports whether Microsoft does not answer the identity of a lane: that is
// why its mail waits.
func (s Snapshot) silent(l Lane) bool {
	return slices.ContainsFunc(s.Outages, func(o Outage) bool { return o.Identity == l.Identity })
}

// NextTry is when a message of an identity is tried next; zero if one is due or
// being tried.
func (s Snapshot) NextTry(identity string, now time.Time) (next time.Time) {
	for _, l := range s.Lanes {
		if l.Identity != identity || l.Waiting()+l.Sending == 0 {
			continue
		}
		at := l.Next
		for _, h := range s.Holds {
			if whole, _ := h.Stops(l); whole {
				at = h.NextProbe
			}
		}
		if l.Backoff.After(at) {
			at = l.Backoff
		}
		if l.Busy > 0 || !at.After(now) {
			return time.Time{}
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}
