// Package hold keeps the holds in force: what stops, who stopped it, when a
// probe may find out whether it is over, and which message met a refusal alone.
//
// # Promises
//
//   - Memory leads and the store follows: a hold blocks from the moment it
//     begins, and until the store has credited the time that it took.
//   - A hold is probed with one message at a time, after 1, 2, 4 ... 30 minutes,
//     and at once when something happens that explains it (Cause), but then no
//     more often than after 5, 10, 20 ... 300 seconds. One that an audit began is
//     never probed.
//   - A probe without an answer proves nothing: another follows within five minutes.
//   - An attempt that was under way when a hold began proves nothing about it.
//   - Time in two holds at once is credited once.
//   - Several nodes may begin, probe and end a hold at once: each does what the store has
//     of the others (Adopt), and the first one to end it credits its time.
//
// # On failure
//
// Save, Finish and Adopt return the error of the store and change nothing in memory:
// the caller repeats them.
//
// The package must not know how a message is sent, who claims it, or what an
// answer of Graph looks like beyond its scope.
package hold

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

// Store keeps the holds over a restart. spool.Store is one.
type Store interface {
	SetHold(ctx context.Context, h spool.Hold) error
	EndHold(ctx context.Context, key string, now time.Time, mailboxes ...envelope.Address) error
	Holds(ctx context.Context) ([]spool.Hold, error)
}

// hold is a spool.Hold with what only this run knows of it.
type hold struct {
	spool.Hold
	probing bool            // a probe is under way
	ending  bool            // a probe passed; the hold blocks until the store has credited its time
	saved   bool            // the store has had it
	planned time.Time       // NextProbe in the store, as far as this run knows
	probed  map[string]bool // lanes that had their turn to probe an identity

	again      time.Time // a probe was asked for while another was under way: when it is due; zero if not
	unanswered bool      // the last probe got no answer and so proved nothing
	early      int       // probes that a cause brought forward since anyone asked for one
	nextEarly  time.Time // no cause brings a probe forward to before this

	// stopped are the mailboxes that an identity's hold was seen to stop. They
	// are credited even if they belong to another identity by then.
	stopped map[string]envelope.Address
}

func newHold(h spool.Hold) *hold {
	x := &hold{Hold: h, probed: map[string]bool{}, stopped: map[string]envelope.Address{}}
	for _, m := range h.Mailboxes {
		x.stopped[m.Key()] = m
	}
	x.Mailboxes = nil
	return x
}

// stored is the hold as the store has it.
func (x *hold) stored() spool.Hold {
	h := x.Hold
	h.Saved = x.saved
	for _, key := range slices.Sorted(maps.Keys(x.stopped)) {
		h.Mailboxes = append(h.Mailboxes, x.stopped[key])
	}
	return h
}

// Set is the holds in force. Methods may be called at the same time.
type Set struct {
	store Store
	turn  chan struct{} // one change at a time, so that the store never gets an older state after a newer one

	mu      sync.Mutex
	byKey   map[string]*hold
	strikes map[envelope.QueueID]*strike
}

// New returns an empty Set.
func New(store Store) *Set {
	return &Set{
		store: store, turn: make(chan struct{}, 1), byKey: map[string]*hold{}, strikes: map[envelope.QueueID]*strike{},
	}
}

// Restore loads the holds of earlier runs. Each is probed at once, because a
// restart often follows a repair.
func (s *Set) Restore(stored []spool.Hold, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range stored {
		x := newHold(h)
		x.wrote(h)
		x.NextProbe = now
		s.byKey[h.Key] = x
	}
}

// with calls do with the hold of a key, if there is one.
func (s *Set) with(key string, do func(*hold)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.byKey[key]; x != nil {
		do(x)
	}
}

// None reports whether there are neither holds nor strikes, as nearly always:
// then an answer need not be compared with them.
func (s *Set) None() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byKey) == 0 && len(s.strikes) == 0
}

// Blocking returns the key of the hold that stops a whole lane, or "".
func (s *Set) Blocking(identity string, mailbox envelope.Address) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.byKey) == 0 {
		return ""
	}
	for _, key := range []string{
		state.AuditKey(identity), RouteKey(mailbox), IdentityKey(identity), MailboxKey(mailbox),
	} {
		if s.byKey[key] != nil {
			return key
		}
	}
	return ""
}

// NoteStopped records that hold key stops a mailbox, and reports whether that
// was not known. It matters for an identity's hold only: others name their mailbox.
func (s *Set) NoteStopped(key string, mailbox envelope.Address) (added bool) {
	s.with(key, func(x *hold) {
		if x.Mailbox.IsZero() {
			_, known := x.stopped[mailbox.Key()]
			x.stopped[mailbox.Key()], added = mailbox, !known
		}
	})
	return added
}

// OfOthers lists the holds of other identities that were seen to stop a mailbox.
func (s *Set) OfOthers(identity string, mailbox envelope.Address) []spool.Hold {
	return s.list(func(x *hold) bool {
		_, ok := x.stopped[mailbox.Key()]
		return ok && x.Identity != identity
	})
}

// Narrow lists the holds of a mailbox that stop only some of its mail: that of one
// From address, or of one client.
func (s *Set) Narrow(mailbox envelope.Address) []spool.Hold {
	return s.list(func(x *hold) bool { return x.Narrow() && x.Mailbox.Equal(mailbox) })
}

// List returns copies of all holds.
func (s *Set) List() []spool.Hold { return s.list(func(*hold) bool { return true }) }

// list returns copies of some holds in order of key.
func (s *Set) list(chosen func(*hold) bool) []spool.Hold {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []spool.Hold{}
	for _, x := range s.byKey {
		if chosen(x) {
			out = append(out, x.Hold)
		}
	}
	slices.SortFunc(out, func(a, b spool.Hold) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// Begin begins a hold or refreshes one, and reports whether it began.
func (s *Set) Begin(h spool.Hold) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.byKey[h.Key]; x != nil {
		x.Status, x.Text, x.ending = h.Status, h.Text, false
		return false
	}
	s.byKey[h.Key] = newHold(h)
	return true
}

// End makes a hold end without a probe.
func (s *Set) End(key string) (ended spool.Hold, ok bool) {
	s.with(key, func(x *hold) {
		if !x.ending {
			x.ending, ended, ok = true, x.Hold, true
		}
	})
	return ended, ok
}

// StoppedFor is how long a hold has stopped a message accepted at accepted.
func (s *Set) StoppedFor(key string, accepted, now time.Time) (stopped time.Duration) {
	s.with(key, func(x *hold) { stopped = max(min(now.Sub(x.Since), now.Sub(accepted)), 0) })
	return stopped
}

// stoppedSince reports whether a hold of its own has stopped a mailbox since a
// time or longer.
func (s *Set) stoppedSince(mailbox envelope.Address, since time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc([]string{RouteKey(mailbox), MailboxKey(mailbox)}, func(key string) bool {
		return s.byKey[key] != nil && !s.byKey[key].Since.After(since)
	})
}
