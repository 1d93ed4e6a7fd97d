package spooltest

import (
	"context"
	"slices"
	"time"

	"graphrelay/relay/spool"
)

// Claim implements spool.Lanes.
func (s *Mem) Claim(ctx context.Context, c spool.Claim) ([]spool.Record, error) {
	if err := s.change(ctx, "claim", ""); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen.Claims++
	c.Limit = c.Count()
	var out []spool.Record
	for _, m := range s.due(c) {
		s.unindex(m)
		m.attempt(c.Now)
		s.index(m)
		out = append(out, m.Record)
	}
	s.answerNext(c, out)
	return out, nil
}

// attempt records the next attempt.
func (m *message) attempt(at time.Time) {
	m.State, m.NextAttempt, m.LastAttempt = spool.Sending, time.Time{}, at
	m.Attempts++
	m.history = append(m.history, spool.Event{ID: m.ID, At: at, Kind: spool.Attempted, Attempt: m.Attempts})
}

// answerNext sets when the rest of each turn is due.
func (s *Mem) answerNext(c spool.Claim, taken []spool.Record) {
	l := s.lanes[c.Mailbox.Key()]
	if c.Probe || l == nil {
		return
	}
	for i := range c.Turns {
		q, found := &c.Turns[i], 0
		for _, r := range taken {
			if r.Turn() == q.Turn {
				found++
			}
		}
		from := q.After
		if found < max(q.Limit, 1) {
			from = c.Now.Add(1)
		}
		q.Next = time.Time{}
		if i := slices.IndexFunc(l.due, func(m *message) bool {
			return m.Turn() == q.Turn && !m.NextAttempt.Before(from)
		}); i >= 0 {
			q.Next = l.due[i].NextAttempt
		}
	}
}

func (s *Mem) due(c spool.Claim) []*message {
	l := s.lanes[c.Mailbox.Key()]
	if l == nil {
		return nil
	}
	if len(c.Turns) == 0 {
		return dueOf(l.due, c, c.Limit)
	}
	var due []*message
	for _, q := range c.Turns {
		var of []*message
		for _, m := range l.due {
			if m.Turn() == q.Turn && !m.NextAttempt.Before(q.After) {
				of = append(of, m)
			}
		}
		due = append(due, dueOf(of, c, min(max(q.Limit, 1), c.Limit-len(due)))...)
	}
	return due
}

// dueOf finds up to limit messages that a claim may take.
func dueOf(waiting []*message, c spool.Claim, limit int) []*message {
	var due []*message
	for _, m := range waiting {
		later := !c.Probe && m.NextAttempt.After(c.Now)
		if !c.Probe && len(due) == limit || later && c.TriedBefore.IsZero() {
			break
		}
		if later && (m.Unknown || !m.LastAttempt.Before(c.TriedBefore)) {
			continue
		}
		only := (c.OnlyFrom.IsZero() || c.OnlyFrom.Equal(m.From)) && (c.OnlyOver == 0 || m.Size > c.OnlyOver) &&
			(c.ExceptOver == 0 || m.Size <= c.ExceptOver)
		if only && !slices.ContainsFunc(c.ExceptFrom, m.From.Equal) {
			due = append(due, m)
		}
	}
	if c.Probe {
		slices.SortStableFunc(due, func(a, b *message) int { return a.LastAttempt.Compare(b.LastAttempt) })
	}
	return due[:min(len(due), limit)]
}
