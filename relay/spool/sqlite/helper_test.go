package sqlite

import (
	"context"
	"io"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// open opens the store at path for a test, small and without waiting.
func open(t testing.TB, path string, adjust ...func(*Store)) *Store {
	t.Helper()
	s, err := openStore(t.Context(), Options{Path: path, BallastSize: 64 << 10}, func(s *Store) {
		s.Options.Tick = 5 * time.Millisecond
		for _, a := range adjust {
			a(s)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newPath(t testing.TB) string { return filepath.Join(t.TempDir(), "queue.db") }

func address(t testing.TB, s string) envelope.Address {
	t.Helper()
	a, err := envelope.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func start() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func newMessage(t testing.TB, mailbox string) spool.Message {
	a := address(t, mailbox)
	return spool.Message{
		ID: envelope.NewQueueID(start()),
		Envelope: envelope.Envelope{
			ReversePath: a,
			Recipients:  []envelope.Address{address(t, "to@example.org"), address(t, "cc@example.org")},
		},
		Client:    envelope.Client{Name: "local", Addr: netip.MustParseAddrPort("127.0.0.1:40000"), Helo: "localhost"},
		Mailbox:   a,
		From:      a,
		MessageID: "<1@example.org>",
		Subject:   "a report",
		Accepted:  start(),
	}
}

// accept stores a message and returns it as it was stored.
func accept(t testing.TB, s spool.Store, m spool.Message, body []byte) spool.Message {
	t.Helper()
	if err := tryAccept(s, m, body); err != nil {
		t.Fatal(err)
	}
	return m
}

func tryAccept(s spool.Store, m spool.Message, body []byte) error {
	d, err := s.Begin(context.Background(), "", int64(len(body)))
	if err != nil {
		return err
	}
	defer d.Abort()
	if _, err := d.Write(body); err != nil {
		return err
	}
	return d.Commit(context.Background(), m)
}

func readAll(t testing.TB, s *Store, id envelope.QueueID) []byte {
	t.Helper()
	r, err := s.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
