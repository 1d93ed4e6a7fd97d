package spooltest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// Mem is a spool.Store in memory, for the tests of packages that use a queue. It
// passes the suite, and can be made slow or made to fail; see Inject.
type Mem struct {
	spool.Alone
	now func() time.Time

	mu       sync.Mutex
	faults   Faults
	seen     Seen
	closed   bool
	messages map[envelope.QueueID]*message
	order    []*message // by queue ID
	lanes    map[string]*lane
	counts   map[spool.State]int
	holds    map[string]spool.Hold
	refusals map[spool.RefusalKey]*spool.Refusal
	notes    map[string]string
	bounces  int                  // that came back
	drafts   map[*draft]struct{}  // under way
	away     map[string]time.Time // when a client was last refused for want of room
	numbers  int64
}

var _ spool.Store = (*Mem)(nil)

// message is a Record as it is stored, with what only the store needs to know of it.
type message struct {
	spool.Record
	number   int64 // in order of acceptance
	settled  int   // the last attempt that was settled
	reported bool  // a report was written, or is not wanted any more
	body     []byte
	history  []spool.Event
}

// lane is the part of the queue that belongs to one mailbox.
type lane struct {
	queue   []*message // those in the queue by queue ID
	due     []*message // Queued ones by the time of their next attempt
	sending int
}

// NewMem makes an empty store. now gives the time of a message that is accepted
// without one; nil means time.Now.
func NewMem(now func() time.Time) *Mem {
	if now == nil {
		now = time.Now
	}
	return &Mem{
		now:      now,
		seen:     Seen{MaxActive: map[string]int{}},
		messages: map[envelope.QueueID]*message{},
		lanes:    map[string]*lane{},
		counts:   map[spool.State]int{},
		holds:    map[string]spool.Hold{},
		refusals: map[spool.RefusalKey]*spool.Refusal{},
		notes:    map[string]string{},
		drafts:   map[*draft]struct{}{},
		away:     map[string]time.Time{},
	}
}

func byID(a, b *message) int { return cmp.Compare(a.ID, b.ID) }

func byDue(a, b *message) int {
	return cmp.Or(a.NextAttempt.Compare(b.NextAttempt), cmp.Compare(a.number, b.number))
}

func insert(list []*message, m *message, order func(a, b *message) int) []*message {
	i, _ := slices.BinarySearchFunc(list, m, order)
	return slices.Insert(list, i, m)
}

func remove(list []*message, m *message, order func(a, b *message) int) []*message {
	if i, ok := slices.BinarySearchFunc(list, m, order); ok {
		return slices.Delete(list, i, i+1)
	}
	return list
}

// add stores a new message.
func (s *Mem) add(m *message) error {
	if s.messages[m.ID] != nil {
		return fmt.Errorf("spool: message %s exists already", m.ID)
	}
	s.numbers++
	m.number = s.numbers
	s.messages[m.ID] = m
	s.order = insert(s.order, m, byID)
	s.index(m)
	return nil
}

// index enters a message in the counts and lists that its state belongs to.
func (s *Mem) index(m *message) {
	s.counts[m.State]++
	if !m.State.InQueue() {
		return
	}
	key := m.Mailbox.Key()
	l := s.lanes[key]
	if l == nil {
		l = &lane{}
		s.lanes[key] = l
	}
	l.queue = insert(l.queue, m, byID)
	switch m.State {
	case spool.Queued:
		l.due = insert(l.due, m, byDue)
	case spool.Sending:
		l.sending++
		s.seen.MaxActive[key] = max(s.seen.MaxActive[key], l.sending)
	}
}

// unindex takes a message out of the counts and lists before it changes.
func (s *Mem) unindex(m *message) {
	s.counts[m.State]--
	if !m.State.InQueue() {
		return
	}
	key := m.Mailbox.Key()
	l := s.lanes[key]
	l.queue = remove(l.queue, m, byID)
	switch m.State {
	case spool.Queued:
		l.due = remove(l.due, m, byDue)
	case spool.Sending:
		l.sending--
	}
	if len(l.queue) == 0 {
		delete(s.lanes, key)
	}
}

// enter moves a message into a state, with a row of history and all that the
// state implies.
func (s *Mem) enter(m *message, to spool.State, next time.Time, e spool.Event) {
	s.unindex(m)
	if m.State == spool.Held {
		m.HeldFor += max(e.At.Sub(m.HeldSince), 0)
	}
	m.State, m.NextAttempt, m.HeldSince, m.FinishedAt = to.Stored(), time.Time{}, time.Time{}, time.Time{}
	switch m.State {
	case spool.Queued:
		m.NextAttempt = next
	case spool.Held:
		m.HeldSince = e.At
	default:
		m.FinishedAt = e.At
	}
	if !to.KeepsBody() {
		m.body, m.BodyGone = nil, true
	}
	m.ReportOwed = !m.reported && (to == spool.Failed)
	e.ID, e.Text, e.RequestID = m.ID, spool.CutText(e.Text), spool.CutText(e.RequestID)
	m.history = append(m.history, e)
	s.index(m)
}

// find is for the methods that change one message.
func (s *Mem) find(id envelope.QueueID) (*message, error) {
	if m := s.messages[id]; m != nil {
		return m, nil
	}
	return nil, spool.NotFound(id)
}

func (m *message) wrongState(doing string) error {
	return spool.WrongState(m.ID, doing, m.State, m.Attempts)
}

// Settle implements spool.Lanes.
func (s *Mem) Settle(ctx context.Context, o spool.Settlement) error {
	if err := spool.CheckOutcome(o.State); err != nil {
		return err
	}
	return s.changeOne(ctx, "settle", o.ID, func(m *message) error {
		switch {
		case m.State == o.State.Stored() && m.settled == o.Attempt && m.Attempts == o.Attempt:
			return nil
		case m.State != spool.Sending || m.Attempts != o.Attempt:
			return m.wrongState("settle")
		}
		m.settled, m.Unknown = m.Attempts, o.Unknown
		m.LastStatus, m.LastText, m.LastRequest = o.Status, spool.CutText(o.Text), spool.CutText(o.RequestID)
		s.enter(m, o.State, o.NextAttempt, spool.Event{
			At:         o.At,
			Kind:       spool.OutcomeEvent(o.State),
			Attempt:    o.Attempt,
			Status:     o.Status,
			Text:       o.Text,
			RequestID:  o.RequestID,
			HTTPStatus: o.HTTPStatus,
			Duration:   o.Duration,
			Unknown:    o.Unknown,
		})
		return nil
	})
}

// Unclaim implements spool.Lanes.
func (s *Mem) Unclaim(ctx context.Context, id envelope.QueueID, attempt int, next time.Time) error {
	return s.changeOne(ctx, "unclaim", id, func(m *message) error {
		switch {
		case m.State == spool.Queued && m.Attempts == attempt-1:
			return nil
		case m.State != spool.Sending || m.Attempts != attempt:
			return m.wrongState("take back")
		}
		s.seen.Unclaims++
		s.unindex(m)
		m.State, m.NextAttempt, m.LastAttempt = spool.Queued, next, time.Time{}
		m.Attempts--
		m.history = slices.DeleteFunc(m.history, func(e spool.Event) bool { return e.Attempt == attempt })
		for _, e := range m.history {
			if e.Kind == spool.Attempted && e.At.After(m.LastAttempt) {
				m.LastAttempt = e.At
			}
		}
		s.index(m)
		return nil
	})
}

// Move implements spool.Operator.
func (s *Mem) Move(
	ctx context.Context, id envelope.QueueID, to spool.State, next time.Time, why string, at time.Time,
) error {
	if err := to.Check(); err != nil {
		return err
	}
	return s.move(ctx, id, to, next, spool.Event{At: at, Kind: spool.MoveEvent(to), Text: why})
}

// Retry implements spool.Operator.
func (s *Mem) Retry(ctx context.Context, id envelope.QueueID, next time.Time, why string, at time.Time) error {
	return s.move(ctx, id, spool.Queued, next, spool.Event{At: at, Kind: spool.EventRetried, Text: why})
}

func (s *Mem) move(ctx context.Context, id envelope.QueueID, to spool.State, next time.Time, e spool.Event) error {
	return s.changeOne(ctx, "move", id, func(m *message) error {
		switch {
		case m.State == to && to.Stored() != spool.Queued:
			return nil
		case !spool.CanMove(m.State, to, m.BodyGone):
			return m.wrongState("move to " + string(to))
		}
		if spool.MoveSetsText(m.State, to) {
			m.LastStatus, m.LastText = [3]int{}, spool.CutText(e.Text)
		}
		s.enter(m, to, next, e)
		return nil
	})
}

// Delete implements spool.Operator.
func (s *Mem) Delete(ctx context.Context, id envelope.QueueID, why string, at time.Time) error {
	return s.changeOne(ctx, "delete", id, func(m *message) error {
		switch {
		case m.State == spool.Deleted:
			return nil
		case !spool.CanDelete(m.State):
			return m.wrongState("delete")
		}
		s.enter(m, spool.Deleted, time.Time{}, spool.Event{At: at, Kind: spool.EventDeleted, Text: why})
		return nil
	})
}

// SetHold implements spool.Lanes.
func (s *Mem) SetHold(ctx context.Context, h spool.Hold) error {
	if err := s.change(ctx, "sethold", ""); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.holds[h.Key]; h.Saved && !there {
		return spool.ErrNotFound
	}
	h.Text, h.Saved = spool.CutText(h.Text), false
	s.holds[h.Key] = h
	return nil
}

// EndHold implements spool.Lanes.
func (s *Mem) EndHold(ctx context.Context, key string, at time.Time, mailboxes ...envelope.Address) error {
	if err := s.change(ctx, "endhold", ""); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.holds[key]
	if !ok {
		return nil
	}
	delete(s.holds, key)
	if mailboxes != nil && h.Mailbox.IsZero() {
		h.Mailboxes = mailboxes
	}
	s.seen.EndedHolds = append(s.seen.EndedHolds, key)
	for _, l := range s.lanes {
		for _, m := range l.queue {
			if m.State != spool.Held && h.Stops(m.Message) {
				m.HeldFor = spool.HeldTime(m.HeldFor, m.Accepted, h.Since, at)
			}
		}
	}
	return nil
}

// Sweep implements spool.Store.
func (s *Mem) Sweep(ctx context.Context, now time.Time, keepHistory, keepFailed time.Duration) error {
	if err := s.change(ctx, "sweep", ""); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.order {
		if m.State == spool.Failed && !m.BodyGone && m.FinishedAt.Before(now.Add(-keepFailed)) {
			m.body, m.BodyGone = nil, true
			m.reported, m.ReportOwed = m.reported || m.ReportOwed, false
		}
	}
	old := func(m *message) bool {
		return !m.FinishedAt.IsZero() && m.BodyGone && m.FinishedAt.Before(now.Add(-keepHistory))
	}
	for _, m := range s.order {
		if old(m) {
			s.unindex(m)
			delete(s.messages, m.ID)
		}
	}
	s.order = slices.DeleteFunc(s.order, old)
	maps.DeleteFunc(s.refusals, func(_ spool.RefusalKey, r *spool.Refusal) bool {
		return r.Last.Before(now.Add(-keepHistory))
	})
	return nil
}

// Health implements spool.Store.
func (s *Mem) Health() error { return s.Admit("", 0) }

// Close implements spool.Store.
func (s *Mem) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// Counts is how many messages are in each state, as they are stored.
func (s *Mem) Counts() map[spool.State]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}
