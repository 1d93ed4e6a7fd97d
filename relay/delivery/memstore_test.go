package delivery

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/pacing"
	"graphrelay/relay/spool"
)

var errDisk = errors.New("input/output error")

// memStore is a spool.Store in memory that keeps the rules of the contract and
// can be made slow or sick. Commit is put.
type memStore struct {
	spool.Store // nil: what delivery must not call panics

	mu       sync.Mutex
	commit   time.Duration // each change takes this long
	msgs     map[envelope.QueueID]*memMsg
	order    []envelope.QueueID
	boxes    map[string][]*memMsg // in order of ID; a front of finished ones is cut off
	waits    map[string][]*memMsg // Queued ones by mailbox, in order of their time
	owed     []*memMsg            // that owe a report, or did
	own      map[string]int       // Active messages by mailbox
	count    map[spool.State]int
	claims   int
	unclaims int
	holds    map[string]spool.Hold
	seq      int
	maxOwn   map[string]int                             // most Active messages of a mailbox at once
	ended    []string                                   // keys given to EndHold
	sick     error                                      // of every change
	failIf   func(op string, id envelope.QueueID) error // of chosen changes
	openFail error
	usage    []spool.Usage
}

type memMsg struct {
	spool.Record
	body     []byte
	history  []spool.Event
	reported bool
}

func newMemStore() *memStore {
	return &memStore{msgs: map[envelope.QueueID]*memMsg{}, holds: map[string]spool.Hold{}, maxOwn: map[string]int{},
		boxes: map[string][]*memMsg{}, waits: map[string][]*memMsg{}, own: map[string]int{}, count: map[spool.State]int{}}
}

// become changes the state of a message, when it is due, and the counts.
func (s *memStore) become(m *memMsg, to spool.State, next time.Time) {
	key := m.Mailbox.Key()
	if m.State == spool.Queued {
		if i, ok := slices.BinarySearchFunc(s.waits[key], m, byDue); ok {
			s.waits[key] = slices.Delete(s.waits[key], i, i+1)
		}
	}
	s.count[m.State]--
	s.count[to]++
	if m.State == spool.Active {
		s.own[key]--
	}
	if to == spool.Active {
		s.own[key]++
		s.maxOwn[key] = max(s.maxOwn[key], s.own[key])
	}
	m.State, m.NextAttempt = to, next
	s.wait(m)
	switch {
	case m.reported:
	case to == spool.Failed || to == spool.Bounced:
		m.ReportOwed = true
		s.owed = append(s.owed, m)
	default:
		m.ReportOwed = false
	}
}

// wait puts a Queued message where Claim looks, in order of its time.
func (s *memStore) wait(m *memMsg) {
	if m.State == spool.Queued {
		key := m.Mailbox.Key()
		i, _ := slices.BinarySearchFunc(s.waits[key], m, byDue)
		s.waits[key] = slices.Insert(s.waits[key], i, m)
	}
}

func byDue(a, b *memMsg) int {
	return cmp.Or(a.NextAttempt.Compare(b.NextAttempt), cmp.Compare(a.ID, b.ID))
}

// live is a mailbox's messages without the finished ones at the front.
func (s *memStore) live(key string) []*memMsg {
	box := s.boxes[key]
	for len(box) > 0 && box[0].State == spool.Sent {
		box = box[1:]
	}
	s.boxes[key] = box
	return box
}

func addr(t testing.TB, s string) envelope.Address {
	t.Helper()
	a, err := envelope.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// put commits a message and returns its ID, which grows.
func (s *memStore) put(mailbox, from envelope.Address, change ...func(*spool.Record)) envelope.QueueID {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	id := envelope.QueueID(fmt.Sprintf("%016d", s.seq))
	r := spool.Record{Message: spool.Message{ID: id, Mailbox: mailbox, From: from, SenderFixed: true, Accepted: time.Now(), Size: 4,
		MessageID: "<" + string(id) + "@test>", Client: envelope.Client{Name: "local"}},
		State: spool.Queued, NextAttempt: time.Now()}
	for _, c := range change {
		c(&r)
	}
	m := &memMsg{Record: r, body: []byte("body")}
	s.add(m)
	return id
}

func (s *memStore) change(ctx context.Context, op string, id envelope.QueueID) error {
	s.mu.Lock()
	wait, err := s.commit, s.sick
	if err == nil && s.failIf != nil {
		err = s.failIf(op, id)
	}
	s.mu.Unlock()
	if wait > 0 {
		time.Sleep(wait)
	}
	if err == nil {
		err = ctx.Err()
	}
	return err
}

func (s *memStore) Claim(ctx context.Context, c spool.Claim) ([]spool.Record, error) {
	if err := s.change(ctx, "claim", ""); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims++
	var due []*memMsg
	for _, m := range s.waits[c.Mailbox.Key()] {
		if !c.Probe && (m.NextAttempt.After(c.Now) || len(due) == c.Limit) {
			break
		}
		if !slices.ContainsFunc(c.ExceptFrom, m.From.Equal) {
			due = append(due, m)
		}
	}
	if c.Probe {
		slices.SortStableFunc(due, func(a, b *memMsg) int { return a.LastAttempt.Compare(b.LastAttempt) })
	}
	var out []spool.Record
	for _, m := range due[:min(len(due), c.Limit)] {
		s.become(m, spool.Active, time.Time{})
		m.Attempts++
		m.LastAttempt = c.Now
		out = append(out, m.Record)
	}
	return out, nil
}

func (s *memStore) Settle(ctx context.Context, x spool.Settlement) error {
	if err := s.change(ctx, "settle", x.ID); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.msgs[x.ID]
	switch {
	case m == nil:
		return spool.ErrNotFound
	case m.State != spool.Active || m.Attempts != x.Attempt || x.State == spool.Damaged || x.State == spool.Active:
		return spool.ErrState
	}
	s.become(m, x.State, x.NextAttempt)
	m.Unknown = x.Unknown
	m.LastStatus, m.LastText, m.LastRequest = x.Status, x.Text, x.RequestID
	if x.State == spool.Held {
		m.HeldSince = x.At
	}
	if x.Unknown {
		m.history = append(m.history, spool.Event{ID: x.ID, At: x.At, Kind: spool.EventUnknown, Attempt: x.Attempt})
	}
	if x.State == spool.Sent || x.State == spool.Bounced {
		m.body, m.BodyGone = nil, true
	}
	if x.State == spool.Sent {
		m.FinishedAt = x.At
	}
	return nil
}

func (s *memStore) Unclaim(ctx context.Context, id envelope.QueueID, attempt int, next time.Time) error {
	if err := s.change(ctx, "unclaim", id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.msgs[id]
	if m == nil || m.State != spool.Active || m.Attempts != attempt {
		return spool.ErrState
	}
	s.become(m, spool.Queued, next)
	s.unclaims++
	m.Attempts--
	return nil
}

func (s *memStore) Move(ctx context.Context, id envelope.QueueID, to spool.State, next time.Time, why string, at time.Time) error {
	if err := s.change(ctx, "move", id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.msgs[id]
	back := m != nil && m.State == spool.Failed && to == spool.Queued
	if m == nil || m.State != spool.Queued && m.State != spool.Held && !back {
		return spool.ErrState
	}
	kind := spool.EventHeld
	if to == spool.Queued {
		kind = spool.EventReleased
	}
	s.become(m, to, next)
	m.LastText = why
	m.history = append(m.history, spool.Event{ID: id, At: at, Kind: kind, Text: why})
	return nil
}

func (s *memStore) Open(_ context.Context, id envelope.QueueID) (io.ReadSeekCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.openFail != nil {
		return nil, s.openFail
	}
	if s.failIf != nil {
		if err := s.failIf("open", id); err != nil {
			return nil, err
		}
	}
	return nopCloser{bytes.NewReader(s.msgs[id].body)}, nil
}

type nopCloser struct{ *bytes.Reader }

func (nopCloser) Close() error { return nil }

func (s *memStore) Get(_ context.Context, id envelope.QueueID) (spool.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.msgs[id].Record, nil
}

func (s *memStore) List(_ context.Context, f spool.Filter) ([]spool.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []spool.Record
	if len(f.States) > 0 && !slices.ContainsFunc(f.States, func(x spool.State) bool { return s.count[x] > 0 }) {
		return nil, nil
	}
	if !f.Mailbox.IsZero() {
		for _, m := range s.live(f.Mailbox.Key()) {
			if len(out) == f.Limit {
				break
			}
			if m.ID > f.After && f.Matches(m.Record) {
				out = append(out, m.Record)
			}
		}
		return out, nil
	}
	for _, id := range s.order {
		m := s.msgs[id]
		if id > f.After && f.Matches(m.Record) && len(out) < f.Limit {
			out = append(out, m.Record)
		}
	}
	return out, nil
}

func (s *memStore) ByMessageID(_ context.Context, messageID string, limit int) ([]spool.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []spool.Record
	for _, id := range slices.Backward(s.order) {
		if m := s.msgs[id]; messageID != "" && m.MessageID == messageID && len(out) < limit {
			out = append(out, m.Record)
		}
	}
	return out, nil
}

func (s *memStore) Delete(ctx context.Context, id envelope.QueueID, why string, at time.Time) error {
	if err := s.change(ctx, "delete", id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.msgs[id]
	switch {
	case m == nil:
		return spool.ErrNotFound
	case m.State == spool.Active || m.BodyGone:
		return spool.ErrState
	}
	s.become(m, spool.Deleted, time.Time{})
	m.body, m.BodyGone, m.FinishedAt = nil, true, at
	m.history = append(m.history, spool.Event{ID: id, At: at, Kind: spool.EventDeleted, Text: why})
	return nil
}

func (s *memStore) History(_ context.Context, id envelope.QueueID) ([]spool.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.msgs[id].history), nil
}

func (s *memStore) Lanes(context.Context) ([]spool.Lane, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []spool.Lane
	for key, waits := range s.waits {
		if len(waits) > 0 {
			out = append(out, spool.Lane{Mailbox: waits[0].Mailbox, Queued: len(waits), Next: waits[0].NextAttempt, Oldest: s.live(key)[0].Accepted})
		}
	}
	return out, s.sick
}

func (s *memStore) Holds(context.Context) ([]spool.Hold, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []spool.Hold
	for _, h := range s.holds {
		out = append(out, h)
	}
	return out, s.sick
}

func (s *memStore) SetHold(ctx context.Context, h spool.Hold) error {
	if err := s.change(ctx, "sethold", ""); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds[h.Key] = h
	return nil
}

func (s *memStore) EndHold(ctx context.Context, key string, at time.Time) error {
	if err := s.change(ctx, "endhold", ""); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.holds[key]
	if !ok {
		return spool.ErrNotFound
	}
	delete(s.holds, key)
	s.ended = append(s.ended, key)
	for _, m := range s.msgs {
		stopped := h.Mailbox.Equal(m.Mailbox) || h.Mailbox.IsZero() && (len(h.Mailboxes) == 0 || slices.ContainsFunc(h.Mailboxes, m.Mailbox.Equal))
		if stopped && (m.State == spool.Queued || m.State == spool.Active) {
			m.HeldFor += at.Sub(pacing.Later(h.Since, m.Accepted))
		}
	}
	return nil
}

// states counts messages by state.
func (s *memStore) states() map[spool.State]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.count)
}

func (s *memStore) get(id envelope.QueueID) spool.Record {
	r, _ := s.Get(context.Background(), id)
	return r
}

func (s *memStore) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}
