package spooltest

import (
	"bytes"
	"context"
	"io"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// draft implements spool.Draft.
type draft struct {
	s    *Mem
	body []byte
	over bool
}

// Begin implements spool.Intake.
func (s *Mem) Begin(ctx context.Context, _ string, _ int64) (spool.Draft, error) {
	if err := s.change(ctx, "begin", ""); err != nil {
		return nil, err
	}
	return &draft{s: s}, nil
}

// Admit implements spool.Intake.
func (s *Mem) Admit(string, int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.read(); err != nil {
		return err
	}
	return s.faults.Err
}

// Key implements spool.Intake.
func (s *Mem) Key() [16]byte { return [16]byte{'m', 'e', 'm'} }

func (d *draft) Write(p []byte) (int, error) {
	if d.over {
		return 0, spool.ErrDraftOver
	}
	d.body = append(d.body, p...)
	return len(p), nil
}

func (d *draft) Abort() { d.over = true }

func (d *draft) Commit(ctx context.Context, m spool.Message) error {
	if d.over {
		return spool.ErrDraftOver
	}
	d.over = true
	if err := spool.CheckMessage(&m); err != nil {
		return err
	}
	if err := d.s.change(ctx, "commit", m.ID); err != nil {
		return err
	}
	if m.Accepted.IsZero() {
		m.Accepted = d.s.now()
	}
	m.Size = int64(len(d.body))
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	about := d.s.messages[m.ReportOf]
	if m.ReportOf != "" && !about.owes(m.ReportDelay) {
		return spool.NoReportOwed(m.ReportOf)
	}
	err := d.s.add(&message{
		Record: spool.Record{Message: m, State: spool.Queued, NextAttempt: m.Accepted},
		body:   d.body,
	})
	if err == nil && m.ReportOf != "" {
		about.reportedBy(m.ReportDelay, m.ReportBounces)
	}
	return err
}

// owes returns whether a report, or a warning of a delay, is still due.
func (m *message) owes(delay bool) bool {
	switch {
	case m == nil:
		return false
	case delay:
		return !m.DelayWarned && m.State.InQueue()
	}
	return m.ReportOwed
}

func (m *message) reportedBy(delay bool, bounces int) {
	if delay {
		m.DelayWarned = true
		return
	}
	m.BouncesReported += bounces
	m.ReportOwed, m.reported = m.BouncesReported < m.reportable(), true
}

// Reported implements spool.Reports.
func (s *Mem) Reported(ctx context.Context, id envelope.QueueID) error {
	if err := s.change(ctx, "reported", id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.messages[id]; m.owes(false) {
		m.reportedBy(false, m.reportable()-m.BouncesReported)
	}
	return nil
}

// Open implements spool.Reader.
func (s *Mem) Open(_ context.Context, id envelope.QueueID) (io.ReadSeekCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.read(); err != nil {
		return nil, err
	}
	if s.faults.OpenErr != nil {
		return nil, s.faults.OpenErr
	}
	if s.faults.FailIf != nil {
		if err := s.faults.FailIf("open", id); err != nil {
			return nil, err
		}
	}
	m, err := s.find(id)
	if err == nil && m.BodyGone {
		err = spool.NotFound(id)
	}
	if err != nil {
		return nil, err
	}
	return &body{Reader: bytes.NewReader(m.body)}, nil
}

// body is a stored message that was opened.
type body struct {
	*bytes.Reader
	closed bool
}

func (b *body) Read(p []byte) (int, error) {
	if b.closed {
		return 0, spool.ErrBodyClosed
	}
	return b.Reader.Read(p)
}

func (b *body) Close() error {
	b.closed = true
	return nil
}
