package delivery

import (
	"context"
	"slices"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// The part of memStore that reports need.

type memDraft struct {
	s    *memStore
	body []byte
}

func (s *memStore) Begin(ctx context.Context, _ int64) (spool.Draft, error) {
	if err := s.change(ctx, "begin", ""); err != nil {
		return nil, err
	}
	return &memDraft{s: s}, nil
}

func (d *memDraft) Write(p []byte) (int, error) {
	d.body = append(d.body, p...)
	return len(p), nil
}

func (d *memDraft) Abort() {}

func (d *memDraft) Commit(ctx context.Context, m spool.Message) error {
	if err := d.s.change(ctx, "commit", m.ID); err != nil {
		return err
	}
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if m.ReportOf != "" {
		about := d.s.msgs[m.ReportOf]
		switch {
		case about == nil, !m.ReportDelay && !about.ReportOwed, m.ReportDelay && about.DelayWarned:
			return spool.ErrState
		case m.ReportDelay:
			about.DelayWarned = true
		default:
			about.ReportOwed, about.reported = false, true
		}
	}
	m.Size = int64(len(d.body))
	d.s.add(&memMsg{Record: spool.Record{Message: m, State: spool.Queued, NextAttempt: m.Accepted}, body: d.body})
	return nil
}

func (s *memStore) add(m *memMsg) {
	s.msgs[m.ID] = m
	s.order = append(s.order, m.ID)
	s.boxes[m.Mailbox.Key()] = append(s.boxes[m.Mailbox.Key()], m)
	s.count[m.State]++
	s.wait(m)
}

func (s *memStore) Owed(_ context.Context, limit int) ([]spool.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []spool.Record
	s.owed = slices.DeleteFunc(s.owed, func(m *memMsg) bool { return !m.ReportOwed })
	for _, m := range s.owed[:min(limit, len(s.owed))] {
		out = append(out, m.Record)
	}
	return out, s.sick
}

func (s *memStore) Reported(ctx context.Context, id envelope.QueueID) error {
	if err := s.change(ctx, "reported", id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.msgs[id].ReportOwed, s.msgs[id].reported = false, true
	return nil
}

func (s *memStore) SentRecipients(ctx context.Context, since, until time.Time) ([]spool.Usage, error) {
	if err := s.change(ctx, "usage", ""); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.usage)
	for _, m := range s.msgs {
		if m.State == spool.Sent && !m.FinishedAt.Before(since) && m.FinishedAt.Before(until) {
			out = append(out, spool.Usage{Mailbox: m.Mailbox, Hour: m.FinishedAt.Truncate(time.Hour), Recipients: len(m.Envelope.Recipients)})
		}
	}
	return out, nil
}
