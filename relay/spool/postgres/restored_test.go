//go:build postgres

package postgres

import (
	"os"
	"regexp"
	"testing"
	"time"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/postgres/pgtest"
	"graphrelay/relay/spool/tables"
)

// A database that was put back, and has the mark that the manual says, sends nothing of it by
// itself, and new mail as ever. The mark counts for one start.
func TestAMarkedDatabaseHoldsItsMail(t *testing.T) {
	manual, err := os.ReadFile("../../../packaging/doc/two-machines.md")
	must(t, err)
	mark := regexp.MustCompile(`INSERT INTO graphrelay\.meta [^"]*`).FindString(string(manual))
	url := server.Database(t)
	s := open(t, Options{URL: url})
	old := acceptSoon(t, s)
	must(t, s.Close())
	server.Exec(t, pgtest.Name(url), mark)

	s = open(t, Options{URL: url})
	r, err := s.Get(t.Context(), old.ID)
	if err != nil || r.State != spool.Held || !r.Unknown || r.LastText != tables.RestoredText {
		t.Errorf("%v: %+v", err, r)
	}
	if st, err := s.Stats(t.Context()); err != nil || st.Restored != 1 || st.RestoredAt.IsZero() {
		t.Errorf("%v: %+v", err, st)
	}
	acceptSoon(t, s)
	must(t, s.Move(t.Context(), old.ID, spool.Queued, time.Now(), "released", time.Now()))
	must(t, s.Close())

	s = open(t, Options{URL: url})
	if list, err := claim(s); err != nil || len(list) != 2 {
		t.Errorf("%v: %d messages can be sent after the next start", err, len(list))
	}
}
