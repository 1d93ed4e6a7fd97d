package sqlite

import (
	"bytes"
	"os"
	"testing"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite/disk"
)

// TestDrainedQueueGivesItsRoomBack fills a small disk with mail until there is no room,
// sends it all, and wants mail to be accepted again without a sweep.
func TestDrainedQueueGivesItsRoomBack(t *testing.T) {
	path := newPath(t)
	s := open(t, path, func(s *Store) {
		s.host.space.MinFree = 1 << 20
		s.host.space.Measure = func(string) (disk.Free, error) {
			free := disk.Free{Bytes: 24 << 20, Inodes: -1}
			for _, suffix := range []string{"", disk.WALSuffix, disk.BallastSuffix} {
				if info, err := os.Stat(path + suffix); err == nil {
					free.Bytes -= info.Size()
				}
			}
			return free, nil
		}
	})
	body, accepted := bytes.Repeat([]byte("x"), 1<<20), 0
	for ; tryAccept(s, newMessage(t, "box@example.org"), body) == nil; accepted++ {
		if accepted == 30 {
			t.Fatal("there is no end of the room")
		}
	}
	s.host.space.SetFull(true) // as when a write met the end of it
	claim := spool.Claim{Mailbox: address(t, "box@example.org"), Now: start(), Limit: accepted}
	records, err := s.Claim(t.Context(), claim)
	if err != nil || len(records) != accepted {
		t.Fatalf("%d of %d claimed: %v", len(records), accepted, err)
	}
	for _, r := range records {
		must(t, s.Settle(t.Context(), spool.Settlement{ID: r.ID, Attempt: 1, State: spool.Sent, At: start()}))
	}
	eventually(t, "room for new mail", func() bool { return s.Admit("", 10<<20) == nil })
}
