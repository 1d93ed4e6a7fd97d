package hold

import (
	"slices"
	"time"

	"graphrelay/relay/pacing"
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

// probeOver plans the next probe of a hold that goes on: then is when its time alone says.
func (s *Set) probeOver(key string, then func(*hold)) {
	s.with(key, func(x *hold) {
		if x.probing = false; !x.ending {
			then(x)
			x.NextProbe = pacing.Earlier(x.NextProbe, x.again)
		}
		x.again = time.Time{}
	})
}

// ProbeNow makes holds due for a probe: those with these keys, or all. It returns their keys.
func (s *Set) ProbeNow(now time.Time, keys ...string) (due []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, x := range s.byKey {
		if len(keys) == 0 || slices.Contains(keys, key) {
			due = append(due, key)
			x.NextProbe, x.early, x.nextEarly = now, 0, time.Time{}
			if x.probing {
				x.again = now
			}
			clear(x.probed)
		}
	}
	return due
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
