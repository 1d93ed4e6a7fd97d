package sqlite

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite/disk"
	"graphrelay/relay/spool/tables"
)

// TestStalledDraftIsGivenUp wants the chunks of a draft that does not move to be removed
// when room is short, its commit refused, and the next message accepted.
func TestStalledDraftIsGivenUp(t *testing.T) {
	var later atomic.Int64
	s := open(t, newPath(t), func(s *Store) {
		s.host.space.MinFree = 1 << 20
		s.Room.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
		s.host.space.Measure = func(string) (disk.Free, error) { return disk.Free{Bytes: 3 << 20, Inodes: -1}, nil }
	})
	stalled, err := s.Begin(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stalled.Write(make([]byte, 2*tables.ChunkSize+1)); err != nil {
		t.Fatal(err)
	}
	later.Store(int64(time.Minute))
	if err := s.Admit("", 2<<20); !errors.Is(err, spool.ErrFull) {
		t.Fatalf("there is no room: %v", err)
	}
	eventually(t, "the chunks to be removed", func() bool {
		var n int64
		err := s.Change(t.Context(), false, func(c *tables.Tx) (err error) {
			n, err = c.Number("SELECT count(*) FROM chunk")
			return err
		})
		return err == nil && n == 0
	})
	if err := stalled.Commit(t.Context(), newMessage(t, "box@example.org")); !errors.Is(err, spool.ErrFull) {
		t.Errorf("a message without its beginning is committed: %v", err)
	}
	accept(t, s, newMessage(t, "box@example.org"), make([]byte, tables.ChunkSize))
}
