package sqlite

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite/disk"
)

// A message of a steady stream takes one transaction, which also records its attempt and what
// became of a message before. It writes 15 pages, or one more where outcomes come late.
func TestWritesOfAMessage(t *testing.T) {
	const before, messages, pages = 500, 64, 18
	path := newPath(t)
	s := openStream(t, path, nil)
	streamOf(t, s, 0, before)
	must(t, s.Close()) // the log is empty then
	var transactions atomic.Int64
	s = openStream(t, path, &transactions)
	accepted := streamOf(t, s, before, messages)
	log, err := os.Stat(path + disk.WALSuffix)
	must(t, err)
	written := float64(log.Size()) / (4096 + 24) / float64(accepted)
	t.Logf("%d transactions for %d messages, %.1f pages each", transactions.Load(), accepted, written)
	if n := int(transactions.Load()); n > accepted+1 {
		t.Errorf("%d transactions for %d messages", n, accepted)
	}
	if written > pages || written < 5 {
		t.Errorf("%.1f pages for each message, want %d at most", written, pages)
	}
}

// openStream opens a store that counts its transactions, and in which outcomes wait for company.
func openStream(t *testing.T, path string, transactions *atomic.Int64) *Store {
	t.Helper()
	s, err := openStore(t.Context(), Options{Path: path, BallastSize: -1}, func(s *Store) {
		s.Options.Ride = time.Hour
		s.Fault = func(at string) error {
			if at == "before commit" && transactions != nil {
				transactions.Add(1)
			}
			return nil
		}
	})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// streamOf accepts messages of 10 KB, each with its first attempt, whose outcome is recorded
// in the commit of a later one. It returns how many it took until all were.
func streamOf(t *testing.T, s *Store, first, messages int) (accepted int) {
	t.Helper()
	settled := make(chan error, 2*messages)
	for open := 0; accepted < messages || open > 0; accepted++ {
		m := newMessage(t, mailboxOf(0))
		m.ID = envelope.NewQueueID(start().Add(time.Duration(first+accepted) * time.Second))
		m.MessageID = fmt.Sprintf("<%s@example.org>", m.ID)
		d, err := s.Begin(t.Context(), "", 10<<10)
		must(t, err)
		_, err = d.Write(make([]byte, 10<<10))
		must(t, err)
		if accepted < messages {
			d.Attempt(start())
		}
		must(t, d.Commit(t.Context(), m))
		if accepted < messages {
			open++
			o := spool.Settlement{ID: m.ID, Attempt: 1, State: spool.Sent, HTTPStatus: 202, At: start(), MayWait: true,
				Status: reply.Enhanced{2, 0, 0}, RequestID: "1b0a7d0e-5f3c-4d52-9f77-1d2c3b4a5968"}
			go func() { settled <- s.Settle(t.Context(), o) }()
		}
		for len(settled) > 0 {
			must(t, <-settled)
			open--
		}
	}
	return accepted
}
