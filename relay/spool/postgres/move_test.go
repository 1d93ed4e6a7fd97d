//go:build postgres

package postgres

import (
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"graphrelay/relay/spool/postgres/pgtest"
	"graphrelay/relay/spool/spooltest"
	"graphrelay/relay/spool/sqlite"
	"graphrelay/relay/spool/tables"
)

func onward(tables.Carried) error { return nil }

func move(t *testing.T, from, to *tables.Store) {
	t.Helper()
	here, there := tables.Side{Store: from, Name: "here"}, tables.Side{Store: to, Name: "there"}
	_, err := tables.Move(t.Context(), here, there, onward)
	if err != nil {
		t.Fatal(err)
	}
}

// A queue goes from a file into a database and back, with everything. What it left is not
// worked on again.
func TestMoveThereAndBack(t *testing.T) {
	file := func(name string) *sqlite.Store {
		t.Helper()
		s, err := sqlite.Open(t.Context(), sqlite.Options{Path: name, BallastSize: -1, Moving: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	dir := t.TempDir()
	first, last := file(filepath.Join(dir, "first.db")), file(filepath.Join(dir, "last.db"))
	spooltest.Fill(t, first)
	contents := spooltest.Contents(t, first)
	url := server.Database(t)
	database := open(t, Options{URL: url, Moving: true})

	move(t, first.Store, database.Store)
	if err := database.Close(); err != nil {
		t.Fatal(err)
	}
	database = open(t, Options{URL: url, Moving: true})
	spooltest.SameContents(t, spooltest.Contents(t, database), contents)
	move(t, database.Store, last.Store)
	if err := errors.Join(database.Close(), last.Close()); err != nil {
		t.Fatal(err)
	}
	spooltest.SameContents(t, spooltest.Contents(t, file(filepath.Join(dir, "last.db"))), contents)
	_, err := Open(t.Context(), Options{URL: url})
	if err == nil || !strings.HasPrefix(err.Error(), "Queue has been moved to another store; ") {
		t.Errorf("a node works on the queue that was moved away: %v", err)
	}
}

// A move knows every column of this engine, too.
func TestMoveCarriesEveryColumn(t *testing.T) {
	url := server.Database(t)
	_ = open(t, Options{URL: url})
	const sql = "SELECT table_name || ' ' || count(*) FROM information_schema.columns " +
		"WHERE table_schema = 'graphrelay' GROUP BY table_name ORDER BY table_name"
	counts, err := server.Rows(pgtest.Name(url), sql)
	if err != nil || len(counts) < 9 {
		t.Fatal(counts, err)
	}
	for _, row := range counts {
		table, count, _ := strings.Cut(row, " ")
		if slices.Contains([]string{"ballast", "draft", "ending", "lane", "meta", "node_lease", "number"}, table) {
			continue
		}
		if got := len(tables.CarriedColumns(table)); count != strconv.Itoa(got) {
			t.Errorf("table %s has %s columns, carried are %d", table, count, got)
		}
	}
}
