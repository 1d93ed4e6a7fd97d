//go:build postgres

package pgtest_test

import (
	"testing"

	"graphrelay/relay/spool/postgres/pgtest"
)

// What was committed with a synchronous standby is on it when the server dies.
func TestStandbyHasEveryCommit(t *testing.T) {
	s := pgtest.For(t)
	standby := s.Standby(t)
	s.Exec(t, "postgres", "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	standby.Promote(t)
	if got := standby.Exec(t, "postgres", "SELECT n FROM kept"); len(got) != 1 || got[0] != "7" {
		t.Errorf("the standby has %v", got)
	}
	standby.Freeze()
	standby.Thaw()
	if err := s.Launch(); err != nil {
		t.Error(err)
	}
}
