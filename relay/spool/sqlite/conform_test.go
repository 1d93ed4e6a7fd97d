package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/spooltest"
	"graphrelay/relay/spool/sqlite"
)

func TestSQLiteConforms(t *testing.T) { spooltest.Run(t, opens(0)) }

func TestSQLiteIsShared(t *testing.T) { spooltest.RunShare(t, opens(spooltest.Limit)) }

func opens(limit int) spooltest.Open {
	return func(t *testing.T, now func() time.Time) spool.Store {
		path := filepath.Join(t.TempDir(), "queue.db")
		s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, BallastSize: -1, MaxMessages: limit, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
}
