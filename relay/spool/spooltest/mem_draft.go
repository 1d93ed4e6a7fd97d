package spooltest

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// draft implements spool.Draft.
type draft struct {
	s      *Mem
	client string
	body   []byte
	over   bool

	attempt time.Time
}

// Begin implements spool.Intake.
func (s *Mem) Begin(ctx context.Context, client string, _ int64) (spool.Draft, error) {
	if err := s.change(ctx, "begin", ""); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.room(client); err != nil {
		return nil, err
	}
	d := &draft{s: s, client: client}
	s.drafts[d] = struct{}{}
	return d, nil
}

// room is whether a client may add a message.
func (s *Mem) room(client string) error {
	limit, all, has := s.faults.MaxMessages, 0, map[string]int{}
	if limit == 0 {
		return nil
	}
	add := func(client string, n int) {
		if all += n; client != "" {
			has[client] += n
		}
	}
	for _, l := range s.lanes {
		for _, m := range l.queue {
			add(m.Turn().Client, 1)
		}
	}
	for d := range s.drafts {
		add(d.client, 1)
	}
	for client, at := range s.away {
		if s.now().Sub(at) < spool.AwayFor {
			add(client, 0)
		}
	}
	if all >= limit {
		s.away[client] = s.now()
		return spool.ErrFull
	}
	if client != "" && spool.Overdrawn(int64(limit), int64(all), int64(has[client]), len(has)) {
		return spool.ErrFull
	}
	return nil
}

// Admit implements spool.Intake.
func (s *Mem) Admit(client string, _ int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.read(); err != nil {
		return err
	}
	return cmp.Or(s.faults.Err, s.room(client))
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

func (d *draft) Abort() {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	d.over = true
	delete(d.s.drafts, d)
}

func (d *draft) Attempt(at time.Time) { d.attempt = at }

func (d *draft) Attempted() bool { return !d.attempt.IsZero() }

func (d *draft) Commit(ctx context.Context, m spool.Message) error {
	if d.over {
		return spool.ErrDraftOver
	}
	d.Abort()
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
	kept := &message{Record: spool.Record{Message: m, State: spool.Queued, NextAttempt: m.Accepted}, body: d.body}
	if !d.attempt.IsZero() {
		kept.attempt(d.attempt)
	}
	err := d.s.add(kept)
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
