package state

import (
	"fmt"
	"slices"
	"strings"
	"time"
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

// outage raises one fault for the outages of all identities: there is one Microsoft.
func (f faults) outage(s Snapshot, now time.Time) {
	if len(s.Outages) == 0 {
		return
	}
	first, attempts, waiting := s.Outages[0], 0, 0
	next := first.Next
	var out []string
	for _, o := range s.Outages {
		if o.Since.Before(first.Since) {
			first = o
		}
		if o.Next.Before(next) {
			next = o.Next
		}
		attempts, out = attempts+o.Attempts, append(out, o.Identity)
	}
	for _, l := range s.Lanes {
		if slices.Contains(out, l.Identity) {
			waiting += l.Waiting() + l.Sending
		}
	}
	fault := FaultOf(first.Text)
	if len(s.Credentials) > len(out) {
		fault.Headline = about(fault.Headline, "identity "+strings.Join(out, ", "))
	}
	when := "the next try is due"
	if next.After(now) {
		when = "the next try is at " + next.Local().Format("15:04:05 MST")
	}
	fault.Since, fault.AlertAfter = first.Since, first.Since.Add(outageAlert)
	fault.Remedy = strings.TrimPrefix(fault.Remedy+"; to try now: graphrelay queue retry --all", "; ")
	fault.Meanwhile = fmt.Sprintf("mail is accepted and kept (%d waiting); %s failed, %s", waiting,
		plural(attempts, "attempt has", "attempts have"), when)
	f[keyOutage] = fault
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
