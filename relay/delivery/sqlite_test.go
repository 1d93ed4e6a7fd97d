package delivery

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite"
)

// sqliteRig is a Delivery on the real store, in real time.
type sqliteRig struct {
	*Delivery
	store  *sqlite.Store
	cancel context.CancelFunc
	ended  chan error
}

func openStore(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, BallastSize: -1, MaxDelay: MaxDelay})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func startSQLite(store *sqlite.Store, s Sender, grace time.Duration) *sqliteRig {
	r := &sqliteRig{store: store, ended: make(chan error, 1)}
	r.Delivery = New(Config{Store: store, UnknownDelay: 200 * time.Millisecond, Grace: grace,
		Limits: Limits{MaxAge: time.Hour},
		Route:  func(envelope.Address) (Route, bool) { return Route{Identity: "contoso", Sender: s}, true }})
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.ended <- r.Run(ctx) }()
	return r
}

func (r *sqliteRig) stop(t testing.TB) {
	t.Helper()
	r.cancel()
	if err := <-r.ended; err != nil {
		t.Errorf("Run = %v", err)
	}
}

func commit(t testing.TB, s spool.Store, mailbox envelope.Address, size int) envelope.QueueID {
	t.Helper()
	body := strings.Repeat("x", size)
	d, err := s.Begin(t.Context(), "", int64(size))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	m := spool.Message{ID: envelope.NewQueueID(now), Mailbox: mailbox, From: mailbox, Accepted: now,
		Envelope: envelope.Envelope{Recipients: []envelope.Address{mailbox}}}
	if err := d.Commit(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return m.ID
}

// until waits for a count that other goroutines move.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

// TestSQLite drives the real store through an outage, a stop in the middle, an
// interruption and a restart; each message is sent, and once where that is known.
func TestSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	store := openStore(t, path)
	var boxes []envelope.Address
	for i := range 5 {
		boxes = append(boxes, addr(t, fmt.Sprintf("box%d@contoso.com", i)))
	}
	s := newDouble(10 * time.Millisecond)
	var outage atomic.Bool
	s.answer = func(m envelope.Address, _ envelope.QueueID, _ int) outcome.Answer {
		if outage.Load() && m.Equal(boxes[0]) {
			return held(outcome.ScopeMailbox)
		}
		return sent
	}
	outage.Store(true)
	r := startSQLite(store, s, time.Second)
	ids := map[envelope.QueueID]bool{}
	accept := func(n int) {
		for range n {
			for _, b := range boxes {
				ids[commit(t, store, b, 2000)] = true
				r.Notify(spool.Message{Mailbox: b})
			}
		}
	}
	accept(20)
	until(t, "the other mailboxes are drained",
		func() bool {
			st, _ := store.Stats(t.Context())
			return st.Queued+st.Deferred+st.Paused == 20 && st.Sending == 0
		})
	if holds, _ := store.Holds(t.Context()); len(holds) != 1 || holds[0].Key != "mailbox:box0@contoso.com" {
		t.Errorf("holds %+v", holds)
	}
	outage.Store(false)
	r.ProbeNow()
	accept(20)
	r.stop(t) // in the middle
	if st, _ := store.Stats(t.Context()); st.Sending != 0 {
		t.Errorf("%d are being sent after a stop", st.Sending)
	}

	stuck := &stuckSender{release: make(chan struct{})}
	r = startSQLite(store, stuck, 10*time.Millisecond)
	accept(5)
	until(t, "requests under way", func() bool { return stuck.count() >= 15 })
	if err := store.Close(); err != nil { // as if the program had died
		t.Fatal(err)
	}
	r.cancel()
	close(stuck.release)
	<-r.ended

	store = openStore(t, path)
	defer store.Close()
	r = startSQLite(store, s, time.Second)
	until(t, "all are sent", func() bool {
		st, _ := store.Stats(t.Context())
		return st.Queued+st.Deferred+st.Paused+st.Sending+st.Held == 0
	})
	r.stop(t)
	for id := range ids {
		if rec, err := store.Get(t.Context(), id); err != nil || rec.State != spool.Sent {
			t.Errorf("%s: %v %s (%s)", id, err, rec.State, rec.LastText)
		}
		if n := len(s.times(id)); n > 1 && n != 1+failures(store, id) {
			t.Errorf("%s was sent %d times", id, n)
		}
	}
}

// failures counts the attempts of a message that the history knows not to be sent.
func failures(s spool.Store, id envelope.QueueID) (n int) {
	h, _ := s.History(context.Background(), id)
	for _, e := range h {
		if (e.Kind == spool.EventDeferred || e.Kind == spool.EventPaused) && !e.Unknown {
			n++
		}
	}
	return n
}

// stuckSender never answers.
type stuckSender struct {
	mu      sync.Mutex
	n       int
	release chan struct{}
}

func (s *stuckSender) Send(context.Context, envelope.Address, graph.Mail) outcome.Answer {
	s.mu.Lock()
	s.n++
	s.mu.Unlock()
	<-s.release
	return outcome.Answer{Outcome: outcome.Unknown}
}

func (s *stuckSender) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// BenchmarkDrain measures a backlog on the real store against slots/latency,
// quiet and while 10 KB messages are accepted by 16 clients.
func BenchmarkDrain(b *testing.B) {
	for _, mailboxes := range []int{1, 20, 200} {
		for _, clients := range []int{0, 16} {
			b.Run(fmt.Sprintf("mailboxes=%d/clients=%d", mailboxes, clients), func(b *testing.B) {
				for b.Loop() {
					benchDrain(b, mailboxes, clients)
				}
			})
		}
	}
}

func benchDrain(b *testing.B, mailboxes, clients int) {
	const latency, seconds = 200 * time.Millisecond, 6
	store := openStore(b, filepath.Join(b.TempDir(), "queue.db"))
	defer store.Close()
	var boxes []envelope.Address
	for i := range mailboxes {
		boxes = append(boxes, addr(b, fmt.Sprintf("box%d@contoso.com", i)))
	}
	var load sync.WaitGroup
	for i := range 32 { // a backlog for a little longer than is measured
		load.Go(func() {
			for n := i; n < mailboxes*15*(seconds+2); n += 32 {
				commit(b, store, boxes[n%mailboxes], 10_000)
			}
		})
	}
	load.Wait()
	s := newDouble(latency)
	d := New(Config{Store: store, Route: func(envelope.Address) (Route, bool) {
		return Route{Identity: "contoso", Sender: s, IdentityConcurrent: 1000}, true
	}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	var accepted atomic.Int64
	for i := range clients {
		load.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				commit(b, store, boxes[n%mailboxes], 10_000)
				d.Notify(spool.Message{Mailbox: boxes[n%mailboxes]})
				accepted.Add(1)
			}
		})
	}
	time.Sleep(time.Second)
	before, began := s.count(), time.Now()
	time.Sleep(seconds * time.Second)
	rate := float64(s.count()-before) / time.Since(began).Seconds()
	b.ReportMetric(100*rate/(float64(3*mailboxes)/latency.Seconds()), "%of-bound")
	b.ReportMetric(float64(accepted.Load())/(seconds+1), "accepted/s")
	cancel()
	load.Wait()
	if err := <-ended; err != nil {
		b.Error(err)
	}
}
