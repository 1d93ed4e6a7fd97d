package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/operator"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

// stock is a Store of a few messages.
type stock struct {
	spool.Reader // of which the tests use no more than stock overrides
	mu           sync.Mutex
	records      []*spool.Record
	text         string
	openErr      error
	moveErr      error
}

func stockOf(records ...spool.Record) *stock {
	s := &stock{}
	for _, r := range records {
		s.records = append(s.records, &r)
	}
	return s
}

func (s *stock) find(id envelope.QueueID) (*spool.Record, error) {
	for _, r := range s.records {
		if r.ID == id {
			return r, nil
		}
	}
	return nil, spool.ErrNotFound
}

func (s *stock) Get(_ context.Context, id envelope.QueueID) (spool.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(id)
	if err != nil {
		return spool.Record{}, err
	}
	return *r, nil
}

func (s *stock) List(_ context.Context, f spool.Filter) (list []spool.Record, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.records {
		if r.ID > f.After && len(list) < f.Limit && f.Matches(*r) {
			list = append(list, *r)
		}
	}
	return list, nil
}

func (s *stock) History(context.Context, envelope.QueueID) ([]spool.Event, error) {
	return []spool.Event{{Kind: spool.EventDeferred, Attempt: 1, HTTPStatus: 429, Status: [3]int{4, 7, 0},
		Text: "busy", Duration: 20 * time.Millisecond}}, nil
}

func (s *stock) Open(context.Context, envelope.QueueID) (io.ReadSeekCloser, error) {
	return struct {
		io.ReadSeeker
		io.Closer
	}{strings.NewReader(s.text), io.NopCloser(nil)}, s.openErr
}

func (s *stock) Move(_ context.Context, id envelope.QueueID, to spool.State, next time.Time, why string,
	_ time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.find(id)
	switch {
	case err != nil:
		return err
	case s.moveErr != nil:
		return s.moveErr
	case r.State == spool.Sending:
		return spool.ErrState
	}
	r.State, r.NextAttempt, r.LastText = to, next, why
	return nil
}

func (s *stock) Retry(ctx context.Context, id envelope.QueueID, next time.Time, why string, at time.Time) error {
	return s.Move(ctx, id, spool.Queued, next, why, at)
}

func (s *stock) Delete(ctx context.Context, id envelope.QueueID, why string, at time.Time) error {
	return s.Move(ctx, id, spool.Deleted, time.Time{}, why, at)
}

func record(id envelope.QueueID) spool.Record {
	a, _ := envelope.ParseAddress("a@example.org")
	return spool.Record{State: spool.Queued, NextAttempt: time.Unix(60, 0), LastStatus: [3]int{4, 7, 0},
		LastText: "busy",
		Message: spool.Message{ID: id, Mailbox: a, From: a, HeaderSize: 14,
			Envelope: envelope.Envelope{Recipients: []envelope.Address{a}}}}
}

// operatorOf acts on a stock, where no lane runs and nothing is on hold.
func operatorOf(s *stock) *operator.Operator {
	return &operator.Operator{
		Store: s, Now: time.Now, Wake: func(envelope.Address) {}, ProbeNow: func(...string) {},
		TryNow: func(func(envelope.Address) bool) []state.Wait { return nil },
		Holds:  func() []spool.Hold { return nil }, Identity: func(envelope.Address) string { return "contoso" },
	}
}

// serve runs a Server on a socket until the test ends.
func serve(t *testing.T, s *stock, adjust ...func(*Server)) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "admin.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	srv := &Server{
		Store: s, Operator: operatorOf(s), Log: slog.New(slog.DiscardHandler),
		Status: func(context.Context) (Status, error) {
			return Status{Version: "v", Snapshot: state.Snapshot{Queued: 7}}, nil
		},
	}
	for _, a := range adjust {
		a(srv)
	}
	go func() { done <- srv.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return Dial(path)
}

func TestCommandsOverTheSocket(t *testing.T) {
	ids := []envelope.QueueID{"0000000000000001", "0000000000000002", "0000000000000003"}
	s := stockOf(record(ids[0]), record(ids[1]), record(ids[2]))
	s.text = "Subject: x\r\n\r\nsecret body"
	c := serve(t, s)

	if s, err := c.Status(t.Context()); err != nil || s.Queued != 7 {
		t.Errorf("Status = %+v, %v", s, err)
	}
	list, err := c.List(t.Context(), spool.Filter{States: []spool.State{spool.Queued}, After: ids[0], Limit: 1,
		Mailbox: record("").Mailbox})
	if err != nil || len(list) != 1 || list[0].QueueID != string(ids[1]) || list[0].NextAttempt.IsZero() ||
		list[0].Status != "4.7.0" {
		t.Errorf("List = %+v, %v", list, err)
	}
	d, err := c.Show(t.Context(), ids[2])
	if err != nil || d.Header != "Subject: x\r\n\r\n" || len(d.History) != 1 || d.History[0].DurationMS != 20 {
		t.Errorf("Show = %+v, %v; want the header and nothing of the body", d, err)
	}
	if _, err := c.Show(t.Context(), "0000000000000009"); !errors.Is(err, spool.ErrNotFound) {
		t.Errorf("Show of an unknown ID: %v", err)
	}
	if _, err := c.Show(t.Context(), "../status"); err == nil || errors.Is(err, spool.ErrNotFound) {
		t.Errorf("Show of no ID: %v", err)
	}
	if _, err := c.List(t.Context(), spool.Filter{States: []spool.State{"queued"}, Limit: maxList + 1}); err == nil ||
		!strings.Contains(err.Error(), "limit must be") {
		t.Errorf("List over the limit: %v", err)
	}
}

func TestADamagedMessageIsShownWithoutItsHeader(t *testing.T) {
	s := stockOf(record("1"))
	s.openErr = spool.ErrDamaged
	d, err := Queue{s}.Show(t.Context(), "1")
	if err != nil || d.Header != "" || len(d.History) != 1 {
		t.Errorf("Show = %+v, %v", d, err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	_, err := Dial(filepath.Join(t.TempDir(), "none.sock")).Status(t.Context())
	if !errors.Is(err, ErrNotRunning) {
		t.Errorf("err = %v, want ErrNotRunning", err)
	}
}

// Looking changes nothing: what reads takes no other method.
func TestOnlyPostChanges(t *testing.T) {
	s := &Server{Store: stockOf(), Log: slog.New(slog.DiscardHandler)}
	for _, c := range []struct{ method, path string }{
		{http.MethodPost, "/v1/status"}, {http.MethodPost, "/v1/queue"},
		{http.MethodDelete, "/v1/queue/0000000000000001"},
		{http.MethodPut, "/v1/queue/0000000000000001"}, {http.MethodGet, "/v1/holds/probe"},
		{http.MethodPost, "/v1/queue/0000000000000001/body"},
	} {
		w := httptest.NewRecorder()
		s.routes().ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s %s = %d", c.method, c.path, w.Code)
		}
	}
}

func TestBodyOnDemand(t *testing.T) {
	s := stockOf(record("0000000000000001"))
	s.text = strings.Repeat("octets\r\n", 100_000)
	c := serve(t, s)
	b, err := c.Body(t.Context(), "0000000000000001")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if got, err := io.ReadAll(b); err != nil || string(got) != s.text {
		t.Errorf("%d octets, %v", len(got), err)
	}
	s.openErr = spool.ErrNotFound
	if _, err := c.Body(t.Context(), "0000000000000001"); !errors.Is(err, spool.ErrNotFound) {
		t.Errorf("a body that is gone: %v", err)
	}
}
