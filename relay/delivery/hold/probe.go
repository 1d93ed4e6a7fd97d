package hold

import (
	"slices"
	"time"

	"graphrelay/relay/pacing"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

const (
	maxProbeGap = 30 * time.Minute
	maxLostGap  = 5 * time.Minute // after a probe that got no answer
)

// ProbeAfter is how long a hold waits for its next probe: 1, 2, 4 ... 30 min.
func ProbeAfter(probes int) time.Duration { return pacing.Backoff(time.Minute, maxProbeGap, probes+1) }

// TakeProbe lets lane send the probe of hold key if one is due; if not, it
// returns when to ask again (zero: when woken). The lanes of an identity take
// turns: one that has probed already waits a second for the others.
func (s *Set) TakeProbe(key, lane string, now time.Time) (ok bool, again time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.byKey[key]
	if _, byAudit := state.AuditedIdentity(key); x == nil || x.probing || x.ending || byAudit {
		return false, time.Time{}
	}
	if latest := now.Add(maxProbeGap); x.NextProbe.After(latest) {
		x.NextProbe = latest // the clock was set back
	}
	turn := x.NextProbe
	if x.probed[lane] {
		turn = turn.Add(time.Second)
	}
	if now.Before(turn) {
		return false, turn
	}
	if x.probed[lane] {
		clear(x.probed)
	}
	x.probed[lane] = x.Mailbox.IsZero() // else there is one lane only: no others to wait for
	x.probing = true
	return true, time.Time{}
}

// DropProbe returns a probe that was not sent.
func (s *Set) DropProbe(key string) {
	s.with(key, func(x *hold) { x.probing, x.again = false, time.Time{} }) // it is still due
}

// ProbeDone ends a probe. If the hold goes on, its next probe is later.
func (s *Set) ProbeDone(key string, now time.Time) {
	s.probeOver(key, func(x *hold) {
		x.Probes++
		x.NextProbe, x.unanswered = now.Add(ProbeAfter(x.Probes)), false
	})
}

// ProbeLost ends a probe that got no answer, and so proved nothing.
func (s *Set) ProbeLost(key string, now time.Time) {
	s.probeOver(key, func(x *hold) { x.NextProbe, x.unanswered = now.Add(min(ProbeAfter(x.Probes), maxLostGap)), true })
}

// probeOver plans the next probe of a hold that goes on: then is when its time
// alone says.
func (s *Set) probeOver(key string, then func(*hold)) {
	s.with(key, func(x *hold) {
		if x.probing = false; !x.ending {
			then(x)
			x.NextProbe = pacing.Earlier(x.NextProbe, x.again)
		}
		x.again = time.Time{}
	})
}

// ProbeNow makes holds due for a probe: those with these keys, or all.
func (s *Set) ProbeNow(now time.Time, keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, x := range s.byKey {
		if len(keys) == 0 || slices.Contains(keys, key) {
			x.NextProbe, x.early, x.nextEarly = now, 0, time.Time{}
			if x.probing {
				x.again = now
			}
			clear(x.probed)
		}
	}
}

// Postpone delays the probe of a SendAs hold for which there is no message.
// Other holds keep their time, for their lane rests until it has mail.
func (s *Set) Postpone(key string, to time.Time) {
	s.with(key, func(x *hold) {
		if x.Narrow() {
			x.NextProbe = to
		}
	})
}

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
