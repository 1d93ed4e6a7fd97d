//go:build torture

package spool

import (
	"fmt"
	"testing"
	"time"

	"graphrelay/relay/envelope"
)

// TestScale fills a store with 100,000 queued messages and 1,000,000 of
// history and holds what must stay fast against a bound.
func TestScale(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	fillStore(t, s, 1_000_000, codeSent)
	fillStore(t, s, 100_000, codeQueued)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s = open(t, path)
	within(t, "start", began, time.Second)
	lane := address(t, mailboxOf(3))
	except := []envelope.Address{lane}
	for what, do := range map[string]func() error{
		"claim": func() error {
			_, err := s.Claim(t.Context(), Claim{Mailbox: lane, Now: time.Now(), Limit: 1})
			return err
		},
		"except": func() error {
			_, err := s.Claim(t.Context(), Claim{Mailbox: lane, Now: time.Now(), Limit: 1, ExceptFrom: except})
			return err
		},
		"probe": func() error {
			_, err := s.Claim(t.Context(), Claim{Mailbox: lane, Now: time.Now(), Limit: 1, Probe: true})
			return err
		},
		"lanes":  func() error { _, err := s.Lanes(t.Context()); return err },
		"stats":  func() error { _, err := s.Stats(t.Context()); return err },
		"all":    func() error { _, err := s.List(t.Context(), Filter{}); return err },
		"queued": func() error { _, err := s.List(t.Context(), Filter{States: []State{Queued, Active, Held}}); return err },
		"held": func() error {
			_, err := s.List(t.Context(), Filter{States: []State{Held, Failed, Damaged}})
			return err
		},
		"lane": func() error {
			_, err := s.List(t.Context(), Filter{States: []State{Queued}, Mailbox: lane})
			return err
		},
		"accept": func() error { return tryAccept(s, newMessage(t, "box@example.org"), make([]byte, 10<<10)) },
	} {
		best := time.Hour
		for range 5 {
			began := time.Now()
			if err := do(); err != nil {
				t.Fatal(what, err)
			}
			best = min(best, time.Since(began))
		}
		within(t, what, time.Now().Add(-best), 100*time.Millisecond)
	}
}

func within(t *testing.T, what string, began time.Time, bound time.Duration) {
	t.Helper()
	took := time.Since(began)
	t.Logf("%s: %v", what, took.Round(10*time.Microsecond))
	if took > bound {
		t.Errorf("%s took %v, want less than %v", what, took, bound)
	}
}

// fillStore writes rows directly, for a million commits would take minutes.
func fillStore(t *testing.T, s *SQLite, messages int, state int64) {
	t.Helper()
	for done := 0; done < messages; done += 10_000 {
		err := s.small(t.Context(), false, func(tx *tx) error {
			for i := range 10_000 {
				m := newMessage(t, mailboxOf(i%10))
				m.Accepted = start().Add(time.Duration(done+i) * time.Millisecond)
				m.ID = envelope.NewQueueID(m.Accepted)
				n := s.lastNumber.Add(1)
				if err := insertMessage(tx.conn, n, &m); err != nil {
					return err
				}
				if state == codeSent {
					if _, err := tx.exec("UPDATE message SET state = 5, finished = 1, body_gone = 1, next = 0 WHERE n = ?", n); err != nil {
						return err
					}
					continue
				}
				if err := insertChunk(tx.conn, n, 0, 0, make([]byte, 1000)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(fmt.Errorf("after %d messages: %w", done, err))
		}
	}
}
