package spool_test

import (
	"path/filepath"
	"testing"
	"time"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/spooltest"
)

func TestSQLiteConforms(t *testing.T) {
	spooltest.Run(t, func(t *testing.T, now func() time.Time) spool.Store {
		s, err := spool.OpenSQLite(t.Context(), spool.Options{Path: filepath.Join(t.TempDir(), "queue.db"), BallastSize: -1, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
}
