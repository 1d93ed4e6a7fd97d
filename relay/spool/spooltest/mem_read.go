package spooltest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// Get implements spool.Reader.
func (s *Mem) Get(_ context.Context, id envelope.QueueID) (spool.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.read(); err != nil {
		return spool.Record{}, err
	}
	m, err := s.find(id)
	if err != nil {
		return spool.Record{}, err
	}
	return spool.Shown(m.Record, s.sortedHolds()), nil
}

// History implements spool.Reader.
func (s *Mem) History(_ context.Context, id envelope.QueueID) ([]spool.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.read(); err != nil {
		return nil, err
	}
	m, err := s.find(id)
	if err != nil {
		return nil, err
	}
	return spool.History(id, m.Accepted, m.history), nil
}

// List implements spool.Reader.
func (s *Mem) List(_ context.Context, f spool.Filter) ([]spool.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.read(); err != nil {
		return nil, err
	}
	for _, state := range f.States {
		if err := state.Check(); err != nil {
			return nil, err
		}
	}
	var out []spool.Record
	holds := s.sortedHolds()
	take := func(m *message) bool {
		if shown := spool.Shown(m.Record, holds); f.Matches(shown) {
			out = append(out, shown)
		}
		return len(out) < f.PageSize()
	}
	list := s.candidates(f)
	if f.Newest {
		for _, m := range slices.Backward(list) {
			if (f.After == "" || m.ID < f.After) && !take(m) {
				break
			}
		}
		return out, nil
	}
	for _, m := range list {
		if m.ID > f.After && !take(m) {
			break
		}
	}
	return out, nil
}

// candidates is the shortest list that holds every match of a filter.
func (s *Mem) candidates(f spool.Filter) []*message {
	if len(f.States) == 0 {
		return s.order
	}
	stored, queueOnly := false, !f.Mailbox.IsZero()
	for _, state := range f.States {
		stored = stored || s.counts[state.Stored()] > 0
		queueOnly = queueOnly && state.InQueue()
	}
	switch {
	case !stored:
		return nil
	case !queueOnly:
		return s.order
	}
	if l := s.lanes[f.Mailbox.Key()]; l != nil {
		return l.queue
	}
	return nil
}

// ByMessageID implements spool.Reader.
func (s *Mem) ByMessageID(ctx context.Context, messageID string, limit int) ([]spool.Record, error) {
	if messageID == "" {
		return nil, nil
	}
	return s.List(ctx, spool.Filter{MessageID: messageID, Newest: true, Limit: limit})
}

// Lanes implements spool.Reader.
func (s *Mem) Lanes(context.Context) ([]spool.Lane, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := cmp.Or(s.read(), s.faults.Err); err != nil {
		return nil, err
	}
	return s.sumLanes()
}

func (s *Mem) sumLanes() (out []spool.Lane, err error) {
	holds := s.sortedHolds()
	for _, key := range slices.Sorted(maps.Keys(s.lanes)) {
		l := s.lanes[key]
		mailbox, err := envelope.ParseRecipient(key)
		if err != nil {
			return nil, err
		}
		sum := spool.Lane{Mailbox: mailbox, Sending: l.sending, Held: len(l.queue) - len(l.due) - l.sending}
		for _, m := range l.due {
			switch spool.Shown(m.Record, holds).State {
			case spool.Paused:
				sum.Paused++
			case spool.Deferred:
				sum.Deferred++
			default:
				sum.Queued++
			}
		}
		if len(l.due) > 0 {
			sum.Next = l.due[0].NextAttempt
		}
		sum.Turns = turnsOf(l.due)
		sum.Oldest = slices.MinFunc(l.queue, func(a, b *message) int { return a.Accepted.Compare(b.Accepted) }).Accepted
		out = append(out, sum)
	}
	return out, nil
}

// turnsOf sums up who waits; due is in order of time.
func turnsOf(due []*message) (turns []spool.Waits) {
	for _, m := range due {
		i, known := slices.BinarySearchFunc(turns, m.Turn(), func(w spool.Waits, t spool.Turn) int {
			return w.Compare(t)
		})
		if !known {
			turns = slices.Insert(turns, i, spool.Waits{Turn: m.Turn(), Next: m.NextAttempt})
		}
		turns[i].Messages++
	}
	return turns[:min(len(turns), spool.MaxTurns)]
}

// Stats implements spool.Reader.
func (s *Mem) Stats(context.Context) (spool.Stats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.read(); err != nil {
		return spool.Stats{}, err
	}
	stats := spool.Stats{Failed: s.counts[spool.Failed], Damaged: s.counts[spool.Damaged]}
	lanes, err := s.sumLanes()
	if err != nil {
		return stats, err
	}
	for _, l := range lanes {
		stats.Add(l)
	}
	for _, m := range s.order {
		stats.Bytes += int64(len(m.body))
	}
	return stats, nil
}

// Holds implements spool.Reader, in order of their keys.
func (s *Mem) Holds(context.Context) ([]spool.Hold, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := cmp.Or(s.read(), s.faults.Err); err != nil {
		return nil, err
	}
	return s.sortedHolds(), nil
}

func (s *Mem) sortedHolds() []spool.Hold {
	return slices.SortedFunc(
		maps.Values(s.holds),
		func(a, b spool.Hold) int { return strings.Compare(a.Key, b.Key) },
	)
}

// Owed implements spool.Reports.
func (s *Mem) Owed(_ context.Context, limit int) ([]spool.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := cmp.Or(s.read(), s.faults.Err); err != nil {
		return nil, err
	}
	var out []spool.Record
	if s.counts[spool.Failed] == 0 && s.bounces == 0 {
		return nil, nil
	}
	for _, m := range s.order {
		if m.ReportOwed {
			out = append(out, m.Record)
		}
	}
	slices.SortStableFunc(out, func(a, b spool.Record) int { return a.FinishedAt.Compare(b.FinishedAt) })
	return out[:min(len(out), max(limit, 1), spool.MaxPage)], nil
}

// SentRecipients implements spool.Lanes.
func (s *Mem) SentRecipients(ctx context.Context, since, until time.Time) ([]spool.Usage, error) {
	if err := s.change(ctx, "usage", ""); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	type hour struct {
		mailbox string
		at      time.Time
	}
	sums := map[hour]*spool.Usage{}
	var out []*spool.Usage
	for _, m := range s.order {
		if m.State != spool.Sent || m.FinishedAt.Before(since) || !m.FinishedAt.Before(until) {
			continue
		}
		key := hour{m.Mailbox.Key(), m.FinishedAt.Truncate(time.Hour)}
		if sums[key] == nil {
			mailbox, err := envelope.ParseRecipient(key.mailbox)
			if err != nil {
				return nil, err
			}
			sums[key] = &spool.Usage{Mailbox: mailbox, Hour: key.at}
			out = append(out, sums[key])
		}
		sums[key].Recipients += len(m.Envelope.Recipients)
	}
	usage := make([]spool.Usage, len(out))
	for i, u := range out {
		usage[i] = *u
	}
	return usage, nil
}
