package hold

import (
	"slices"
	"time"

	"graphrelay/relay/pacing"
	"graphrelay/relay/state"
)

const maxProbeGap = 30 * time.Minute

// ProbeAfter is how long a hold waits for its next probe: 1, 2, 4 ... 30 min.
func ProbeAfter(probes int) time.Duration {
	return pacing.Backoff(time.Minute, maxProbeGap, probes+1)
}

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
	if !x.Mailbox.IsZero() {
		clear(x.probed) // one lane only: no others to wait for
	} else {
		x.probed[lane] = true
	}
	x.probing = true
	return true, time.Time{}
}

// DropProbe returns a probe that was not sent.
func (s *Set) DropProbe(key string) {
	s.with(key, func(x *hold) { x.probing = false })
}

// ProbeDone ends a probe. If the hold goes on, its next probe is later.
func (s *Set) ProbeDone(key string, now time.Time) {
	s.with(key, func(x *hold) {
		x.probing = false
		if !x.ending {
			x.Probes++
			x.NextProbe = now.Add(ProbeAfter(x.Probes))
		}
	})
}

// ProbeNow makes holds due for a probe: those with these keys, or all.
func (s *Set) ProbeNow(now time.Time, keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, x := range s.byKey {
		if len(keys) == 0 || slices.Contains(keys, key) {
			x.NextProbe = now
			clear(x.probed)
		}
	}
}

// Postpone delays the probe of a SendAs hold for which there is no message.
// Other holds keep their time, for their lane rests until it has mail.
func (s *Set) Postpone(key string, to time.Time) {
	s.with(key, func(x *hold) {
		if !x.From.IsZero() {
			x.NextProbe = to
		}
	})
}
