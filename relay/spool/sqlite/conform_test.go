package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/spooltest"
	"graphrelay/relay/spool/sqlite"
)

func TestSQLiteConforms(t *testing.T) {
	spooltest.Run(t, func(t *testing.T, now func() time.Time) spool.Store {
		o := sqlite.Options{Path: filepath.Join(t.TempDir(), "queue.db"), BallastSize: -1, Now: now}
		s, err := sqlite.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
}
