package delivery

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// try is one attempt that the double saw.
type try struct {
	id      envelope.QueueID
	mailbox string
	at      time.Duration // since the start of the test
}

// double is a Sender that answers as told.
type double struct {
	latency time.Duration
	answer  func(m envelope.Address, id envelope.QueueID, n int) outcome.Answer // n = earlier tries of the message

	seeBody func(id envelope.QueueID, body []byte) // may be nil

	mu    sync.Mutex
	began time.Time
	tries []try
	seen  map[envelope.QueueID]int
	busy  map[string]int
	most  map[string]int // most at once, by mailbox; "" for all
	all   int
}

func newDouble(latency time.Duration) *double {
	return &double{latency: latency, began: time.Now(), seen: map[envelope.QueueID]int{},
		busy: map[string]int{}, most: map[string]int{}}
}

var sent = outcome.Answer{Outcome: outcome.Delivered, HTTPStatus: 202, Status: reply.Enhanced{2, 0, 0},
	RequestID: "req"}

func (s *double) Send(ctx context.Context, mailbox envelope.Address, m graph.Mail) outcome.Answer {
	s.mu.Lock()
	key := mailbox.Key()
	s.tries = append(s.tries, try{m.ID, key, time.Since(s.began)})
	n := s.seen[m.ID]
	s.seen[m.ID]++
	s.busy[key]++
	s.all++
	s.most[key], s.most[""] = max(s.most[key], s.busy[key]), max(s.most[""], s.all)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.busy[key]--
		s.all--
		s.mu.Unlock()
	}()
	timer := time.NewTimer(s.latency) // the body travels within it
	defer timer.Stop()
	if r, err := m.Open(); err == nil {
		b, _ := io.ReadAll(r)
		r.Close()
		if s.seeBody != nil {
			s.seeBody(m.ID, b)
		}
	}
	select {
	case <-timer.C:
	case <-ctx.Done():
		return outcome.Answer{Outcome: outcome.Unknown, Text: "cancelled"}
	}
	return s.answered(mailbox, m.ID, n)
}

// answered may panic, as a test may want.
func (s *double) answered(mailbox envelope.Address, id envelope.QueueID, n int) outcome.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answer == nil {
		return sent
	}
	return s.answer(mailbox, id, n)
}

// set changes what the answers depend on.
func (s *double) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// times lists when a message was tried.
func (s *double) times(id envelope.QueueID) (out []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tries {
		if t.id == id {
			out = append(out, t.at)
		}
	}
	return out
}

func (s *double) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tries)
}

// rig is a Delivery with its doubles, running in a bubble of synctest.
type rig struct {
	*Delivery
	t      *testing.T
	store  *testStore
	graph  *double
	log    *logBook
	cancel context.CancelFunc
	ended  chan error
	cfg    Config
}

func newRig(t *testing.T, latency time.Duration) *rig {
	r := &rig{t: t, store: newTestStore(), graph: newDouble(latency), log: &logBook{}}
	r.cfg = Config{Store: r.store, Limits: Limits{MaxAge: 5 * 24 * time.Hour, MaxHold: 30 * 24 * time.Hour},
		Rand: func() float64 { return 0 },
		Log:  slog.New(slog.NewTextHandler(r.log, nil)),
		Route: func(envelope.Address) (Route, bool) {
			return Route{Identity: "contoso", Sender: r.graph}, true
		}}
	return r
}

func (r *rig) start() {
	r.Delivery = New(r.cfg)
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.ended = cancel, make(chan error, 1)
	go func() { r.ended <- r.Run(ctx) }()
	synctest.Wait()
}

// stop ends the run and checks that it ends well.
func (r *rig) stop() {
	r.t.Helper()
	r.cancel()
	if err := <-r.ended; err != nil {
		r.t.Errorf("Run = %v", err)
	}
}

// arrive commits a message and tells the delivery.
func (r *rig) arrive(mailbox envelope.Address) envelope.QueueID {
	id := r.store.put(mailbox, mailbox)
	r.came(id)
	return id
}

// came tells the delivery of a message in the store.
func (r *rig) came(id envelope.QueueID) {
	m := r.store.get(id)
	r.Notify(m.Message)
}

// again queues a message that has ended or is held, as an operator does.
func (r *rig) again(id envelope.QueueID, why string) {
	r.t.Helper()
	if err := r.store.Move(context.Background(), id, spool.Queued, time.Now(), why, time.Now()); err != nil {
		r.t.Fatal(err)
	}
	r.came(id)
}

// wait lets d pass, and everything that happens meanwhile.
func (r *rig) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *rig) wantState(id envelope.QueueID, want spool.State) {
	r.t.Helper()
	if got := r.store.get(id); got.State != want {
		r.t.Errorf("message %s is %s (%s), want %s", id, got.State, got.LastText, want)
	}
}

type logBook struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBook) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), s)
}
