package hold

import (
	"slices"
	"time"

	"graphrelay/relay/pacing"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

// Cause is something that may have ended what began a hold. The words are in the
// JSON of graphrelay status and never change.
type Cause string

// The causes that are noticed, and those that an administrator brings about.
const (
	LoginWorks  Cause = "login"   // the identity logged in after it had failed to
	NewRoles    Cause = "roles"   // a token has roles that the one before it lacked
	NetworkBack Cause = "network" // an answer came after a probe that had got none
	Credential  Cause = "credential"
	Reload      Cause = "reload"
	Release     Cause = "release"
	Audit       Cause = "audit" // that passes
)

// The least time between two probes of a hold that causes brought forward: it is
// doubled each time, for a network may flap all night.
const (
	earlyGap    = 5 * time.Second
	maxEarlyGap = 5 * time.Minute
)

// Triggers are the causes of a probe before its time, or of the hold's end.
func Triggers(h spool.Hold) []Cause {
	always := []Cause{Credential, Reload, Release}
	_, byAudit := state.AuditedIdentity(h.Key)
	switch {
	case byAudit:
		return []Cause{Audit}
	case h.Key == RouteKey(h.Mailbox):
		return []Cause{Reload}
	case h.Mailbox.IsZero():
		return append([]Cause{LoginWorks, NewRoles, NetworkBack}, always...)
	case h.From.IsZero() && h.Status == (reply.Enhanced{4, 7, 1}): // access denied, as a missing role causes
		return append([]Cause{NewRoles, NetworkBack}, always...)
	}
	return append([]Cause{NetworkBack}, always...)
}

// Explained makes the holds of an identity that c explains due for a probe, and
// reports whether any became due earlier by it.
func (s *Set) Explained(c Cause, identity string, now time.Time) (any bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.byKey {
		about := x.Identity == identity && (c != NetworkBack || x.unanswered)
		if about && slices.Contains(Triggers(x.Hold), c) && x.bringForward(now) {
			any = true
		}
	}
	return any
}

// bringForward makes a hold due early, unless it already is.
func (x *hold) bringForward(now time.Time) bool {
	at := pacing.Later(now, x.nextEarly)
	due := &x.NextProbe
	if x.probing {
		due = &x.again
	}
	if !due.IsZero() && !due.After(at) {
		return false
	}
	*due, x.early = at, x.early+1
	x.nextEarly = at.Add(pacing.Backoff(earlyGap, maxEarlyGap, x.early))
	clear(x.probed)
	return true
}
