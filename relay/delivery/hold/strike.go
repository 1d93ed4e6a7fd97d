package hold

import (
	"slices"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// MaxAlone is how often a message may meet a hold's refusal while others pass,
// before it is held alone.
const MaxAlone = 3

// strike remembers that a message met the refusal that began a hold.
type strike struct {
	key    string
	at     time.Time
	passed bool // another message passed since at
	alone  int
}

// maxStrikes bounds the memory of strikes; forgetting one costs some attempts.
const maxStrikes = 4096

// Struck records that message id met the refusal of hold key, and returns how
// often in a row it did so after another message had passed.
func (s *Set) Struck(id envelope.QueueID, key string, now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.strikes[id]
	if x == nil || x.key != key {
		s.makeRoom()
		s.strikes[id] = &strike{key: key, at: now}
		return 0
	}
	alone := 0
	if x.passed {
		x.alone++
		alone = x.alone
	}
	x.at, x.passed = now, false
	return alone
}

func (s *Set) makeRoom() {
	for id := range s.strikes {
		if len(s.strikes) < maxStrikes {
			return
		}
		delete(s.strikes, id)
	}
}

// Forget drops the strikes of a message that will not be tried again.
func (s *Set) Forget(id envelope.QueueID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.strikes, id)
}

// Passed records that an attempt begun at began got past everything that the
// keys name. It returns the holds that are thereby over, now ending. An attempt
// that was already under way when a hold began proves nothing about it.
func (s *Set) Passed(keys []string, id envelope.QueueID, began time.Time) (over []spool.Hold) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other, x := range s.strikes {
		if other != id && began.After(x.at) && slices.Contains(keys, x.key) {
			x.passed = true
		}
	}
	for _, key := range keys {
		if x := s.byKey[key]; x != nil && !x.ending && began.After(x.Since) {
			x.ending = true
			over = append(over, x.Hold)
		}
	}
	return over
}
