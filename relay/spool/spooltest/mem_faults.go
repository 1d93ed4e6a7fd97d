package spooltest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// Faults are what a test makes of a Mem's disk.
type Faults struct {
	Latency time.Duration // each change takes this long
	Err     error         // of each change, and of each look at lanes, holds and owed reports
	OpenErr error         // of each Open

	MaxMessages int // of the queue; 0 = no limit

	MayBegin  error          // of each MayBegin
	Elsewhere map[string]int // attempts of another node, by the Key of their mailbox

	// FailIf, where set, gives the error of a change or of an Open. op is one of
	// begin, commit, claim, settle, unclaim, move, delete, sethold, endhold,
	// reported, usage, refusals, sweep and open; id is empty where op is about no message.
	// It is called under the store's lock.
	FailIf func(op string, id envelope.QueueID) error
}

// Inject changes the faults under the store's lock, so that it may also change
// what FailIf looks at.
func (s *Mem) Inject(change func(*Faults)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.faults)
}

// MayBegin implements spool.Lanes.
func (s *Mem) MayBegin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults.MayBegin
}

// Elsewhere implements spool.Lanes.
func (s *Mem) Elsewhere(mailbox envelope.Address) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults.Elsewhere[mailbox.Key()]
}

// Seen is what a store was asked for.
type Seen struct {
	Claims, Unclaims int
	MaxActive        map[string]int // most Active messages at once, by the Key of their mailbox
	EndedHolds       []string       // keys
}

// Seen returns what the store was asked for until now.
func (s *Mem) Seen() Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// Put stores a record and its body as they are.
func (s *Mem) Put(r spool.Record, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.add(&message{Record: r, body: body})
}

// Edit changes a stored record directly, without history.
func (s *Mem) Edit(id envelope.QueueID, change func(*spool.Record)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.messages[id]
	s.unindex(m)
	change(&m.Record)
	s.index(m)
}

// All returns every message in the order in which they were accepted; queue IDs
// of one millisecond have none.
func (s *Mem) All() []spool.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.SortedFunc(
		slices.Values(s.order),
		func(a, b *message) int { return cmp.Compare(a.number, b.number) },
	)
	out := make([]spool.Record, len(list))
	for i, m := range list {
		out[i] = m.Record
	}
	return out
}

// change is called before each change, without the lock, and gives its error.
func (s *Mem) change(ctx context.Context, op string, id envelope.QueueID) error {
	s.mu.Lock()
	latency, err := s.faults.Latency, s.faults.Err
	if s.closed {
		err = spool.ErrClosed
	}
	if err == nil && s.faults.FailIf != nil {
		err = s.faults.FailIf(op, id)
	}
	s.mu.Unlock()
	if latency > 0 {
		time.Sleep(latency)
	}
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// changeOne changes one message under the lock.
func (s *Mem) changeOne(ctx context.Context, op string, id envelope.QueueID, do func(*message) error) error {
	if err := s.change(ctx, op, id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.find(id)
	if err != nil {
		return err
	}
	return do(m)
}

// read is called first by each reader, under the lock.
func (s *Mem) read() error {
	if s.closed {
		return spool.ErrClosed
	}
	return nil
}
