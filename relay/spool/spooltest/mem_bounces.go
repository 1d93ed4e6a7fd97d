package spooltest

import (
	"context"

	"graphrelay/relay/spool"
)

// Bounced implements spool.Bounces.
func (s *Mem) Bounced(ctx context.Context, e spool.Event) (added bool, err error) {
	err = s.changeOne(ctx, "bounced", e.ID, func(m *message) error {
		for _, was := range m.history {
			if was.Kind == e.Kind && was.Recipient.Equal(e.Recipient) {
				return nil
			}
		}
		e.Text = spool.CutText(e.Text)
		m.history = append(m.history, e)
		added = true
		if e.Kind == spool.EventBounced {
			m.Bounces++
			s.bounces++
			m.ReportOwed = m.ReportOwed || e.Reportable() && m.State == spool.Sent && m.ReportOf == ""
		}
		return nil
	})
	return added, err
}

// reportable counts the bounces that are reported some day.
func (m *message) reportable() (n int) {
	for _, e := range m.history {
		if e.Reportable() && m.State == spool.Sent {
			n++
		}
	}
	return n
}

// Note implements spool.Bounces.
func (s *Mem) Note(ctx context.Context, key, text string) error {
	if err := s.change(ctx, "note", ""); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes[key] = text
	return nil
}

// Noted implements spool.Bounces.
func (s *Mem) Noted(_ context.Context, key string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.notes[key], s.read()
}
