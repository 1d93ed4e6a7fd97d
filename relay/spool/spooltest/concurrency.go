package spooltest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// ledger counts what each message met, outside the store.
type ledger struct {
	mu     sync.Mutex
	claims map[string]int // of ID and attempt
	sent   map[envelope.QueueID]bool
}

// concurrency has many accept, claim and settle in the same lanes at once.
// Nothing may be lost, and no attempt given to two.
func concurrency(t *testing.T, f *fixture) {
	const writers, each, claimers, lanes = 16, 25, 3, 3
	l := &ledger{claims: map[string]int{}, sent: map[envelope.QueueID]bool{}}
	var messages []spool.Message
	for i := range writers * each {
		messages = append(messages, f.message(fmt.Sprintf("box%d@example.org", i%lanes)))
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for _, m := range messages[w*each : (w+1)*each] {
				if err := store(f.ctx, f.store, m, []byte(m.ID)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for c := range claimers * lanes {
		wg.Go(func() { l.deliver(t, f, addr(fmt.Sprintf("box%d@example.org", c%lanes)), len(messages)) })
	}
	wg.Wait()
	for key, count := range l.claims {
		if count != 1 {
			t.Errorf("attempt %s was given to %d", key, count)
		}
	}
	for _, m := range messages {
		if r := f.wantState(m.ID, spool.Sent); r.Attempts != 3 {
			t.Errorf("message %s was sent with attempt %d, want 3", m.ID, r.Attempts)
		}
	}
	stats, err := f.store.Stats(f.ctx)
	f.must(err)
	if stats != (spool.Stats{}) {
		t.Errorf("stats at the end are %+v", stats)
	}
}

// deliver settles each message as deferred, unclaims it once, and sends it with
// its third attempt, until all are sent.
func (l *ledger) deliver(t *testing.T, f *fixture, lane envelope.Address, all int) {
	for deadline := time.Now().Add(time.Minute); !l.done(all) && !t.Failed(); {
		if time.Now().After(deadline) {
			t.Error("not everything was sent within a minute")
			return
		}
		got, err := f.store.Claim(f.ctx, spool.Claim{Mailbox: lane, Now: f.clock, Limit: 4})
		if err != nil {
			t.Error(err)
			return
		}
		for _, r := range got {
			if err := l.settle(f, r); err != nil {
				t.Error(err)
			}
		}
		if len(got) == 0 {
			time.Sleep(time.Millisecond) // not to be right: only not to spin
		}
	}
}

func (l *ledger) settle(f *fixture, r spool.Record) error {
	l.mu.Lock()
	key := fmt.Sprintf("%s/%d", r.ID, r.Attempts)
	l.claims[key]++
	first := r.Attempts == 2 && l.claims[string(r.ID)+"/back"] == 0
	if first {
		l.claims[string(r.ID)+"/back"], l.claims[key] = 1, 0
	}
	l.mu.Unlock()
	if first {
		return f.store.Unclaim(f.ctx, r.ID, r.Attempts, f.clock)
	}
	s := spool.Settlement{ID: r.ID, Attempt: r.Attempts, State: spool.Deferred, NextAttempt: f.clock, At: f.clock}
	if r.Attempts == 3 {
		s.State = spool.Sent
	}
	if err := f.store.Settle(f.ctx, s); err != nil {
		return err
	}
	if s.State == spool.Sent {
		l.mu.Lock()
		l.sent[r.ID] = true
		l.mu.Unlock()
	}
	return nil
}

func (l *ledger) done(all int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sent) == all
}

// concurrentBodies stores and reads large messages at once, some of them
// given up half-way.
func concurrentBodies(t *testing.T, f *fixture) {
	const writers = 6
	var messages []spool.Message
	for range writers {
		messages = append(messages, f.message("box@example.org"))
	}
	var wg sync.WaitGroup
	for w, m := range messages {
		wg.Go(func() {
			body := noise(1<<20+w*1000, uint64(w))
			if err := abandon(f.ctx, f.store, body); err != nil {
				t.Error(err)
			}
			if err := store(f.ctx, f.store, m, body); err != nil {
				t.Error(err)
				return
			}
			r, err := f.store.Open(f.ctx, m.ID)
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, body) {
				t.Errorf("message %d came back changed (%v)", w, err)
			}
		})
	}
	wg.Wait()
}

func abandon(ctx context.Context, s spool.Store, body []byte) error {
	d, err := s.Begin(ctx, "", int64(len(body)))
	if err != nil {
		return err
	}
	defer d.Abort()
	_, err = d.Write(body[:len(body)*2/3])
	return err
}
