package sqlite

import (
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/sqlite/disk"
)

// TestFullDisk wants new mail refused with ErrFull, outcomes recorded with the
// room of the ballast, and mail welcome again once there is room.
func TestFullDisk(t *testing.T) {
	f, path := newFaults(), newPath(t)
	var tight atomic.Bool
	s := open(t, path, f.into, func(s *Store) {
		s.host.space.Measure = func(string) (disk.Free, error) {
			if tight.Load() {
				return disk.Free{Bytes: 1 << 20, Inodes: -1}, nil
			}
			return disk.Free{Bytes: 1 << 40, Inodes: -1}, nil
		}
	})
	m := accept(t, s, newMessage(t, "box@example.org"), []byte("body"))
	if _, err := s.Claim(t.Context(), spool.Claim{Mailbox: m.Mailbox, Now: start(), Limit: 1}); err != nil {
		t.Fatal(err)
	}
	tight.Store(true)
	f.set("before commit", &db.Error{Kind: db.Full, Err: errors.New("database or disk is full")}, 1)
	o := spool.Settlement{ID: m.ID, Attempt: 1, State: spool.Sent, At: start()}
	if err := s.Settle(t.Context(), o); err != nil {
		t.Fatalf("Settle on a full disk: %v", err)
	}
	if _, err := os.Stat(s.host.ballast); !os.IsNotExist(err) {
		t.Errorf("the ballast is still there: %v", err)
	}
	if err := tryAccept(s, newMessage(t, "box@example.org"), []byte("new")); !errors.Is(err, spool.ErrFull) {
		t.Errorf("new mail: %v", err)
	}
	if err := s.Health(); !errors.Is(err, spool.ErrFull) {
		t.Errorf("Health: %v", err)
	}
	tight.Store(false)
	eventually(t, "room", func() bool { return s.Health() == nil })
	if info, err := os.Stat(s.host.ballast); err != nil || info.Size() != 64<<10 {
		t.Errorf("the ballast was not made again: %v", err)
	}
	accept(t, s, newMessage(t, "box@example.org"), []byte("new"))
}

// TestFullDiskAtCommit wants ErrFull for the message that met the full disk.
func TestFullDiskAtCommit(t *testing.T) {
	f := newFaults()
	s := open(t, newPath(t), f.into)
	f.set("before commit", &db.Error{Kind: db.Full, Err: errors.New("database or disk is full")}, 1)
	m := newMessage(t, "box@example.org")
	if err := tryAccept(s, m, []byte("new")); !errors.Is(err, spool.ErrFull) {
		t.Errorf("Commit gave %v", err)
	}
	if _, err := s.Get(t.Context(), m.ID); !errors.Is(err, spool.ErrNotFound) {
		t.Errorf("Get gave %v", err)
	}
}

// TestFullDiskThatCannotBeRecovered wants ErrFull for as long as the store is unhealthy
// because its disk is full.
func TestFullDiskThatCannotBeRecovered(t *testing.T) {
	f := newFaults()
	s := open(t, newPath(t), f.into)
	full := &db.Error{Kind: db.Full, Err: errors.New("database or disk is full")}
	f.set("before commit", full, 1)
	f.set("reopen", full, 0)
	for range 3 {
		err := tryAccept(s, newMessage(t, "box@example.org"), []byte("new"))
		if !errors.Is(err, spool.ErrFull) || !strings.Contains(err.Error(), "free space") {
			t.Errorf("new mail: %v", err)
		}
	}
	f.clear()
	eventually(t, "room", func() bool { return s.Health() == nil })
}
