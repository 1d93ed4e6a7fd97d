package sqlite

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"graphrelay/relay/spool"
)

// TestLogNeverOutgrowsTheBallast makes checkpoints slow and mail fast. Recovery
// on a full disk moves the log into the database, with the ballast for room.
func TestLogNeverOutgrowsTheBallast(t *testing.T) {
	const ballast = 6 << 20
	path, over, largest := newPath(t), make(chan struct{}), int64(0)
	s, err := openStore(t.Context(), Options{Path: path, BallastSize: ballast}, func(s *Store) {
		s.Fault = func(at string) error {
			if at != "checkpoint" {
				return nil
			}
			eventually(t, "the writer to wait for the checkpoint, or to run out of mail", func() bool {
				select {
				case <-over:
					return true
				default:
					return s.host.stalled.Load()
				}
			})
			info, err := os.Stat(path + "-wal")
			if err == nil {
				largest = max(largest, info.Size())
			}
			return err
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 24 {
		accept(t, s, newMessage(t, "box@example.org"), bytes.Repeat([]byte("x"), 1<<20))
	}
	close(over)
	if err := errors.Join(s.Close(), s.Health()); err != nil && !errors.Is(err, spool.ErrClosed) {
		t.Error(err)
	}
	if largest == 0 || largest > ballast {
		t.Errorf("the log had %d bytes, the ballast %d", largest, int64(ballast))
	}
}
