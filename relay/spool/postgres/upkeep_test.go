//go:build postgres

package postgres

import (
	"strings"
	"testing"

	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/postgres/link"
	"graphrelay/relay/spool/postgres/pgtest"
)

// What keeps vacuum from its work, and a server with few connections, are found before mail is slow.
func TestUpkeepIsExamined(t *testing.T) {
	own := pgtest.For(t, "max_connections = 18", "max_prepared_transactions = 2")
	url := own.Database(t)
	name := pgtest.Name(url)
	s := open(t, Options{URL: url})
	found := func() (all string) {
		e, err := Examine(url)
		must(t, err)
		for _, c := range e.Troubles {
			all += c.Error() + "\n"
		}
		return all
	}
	if all := found(); all != "" {
		t.Errorf("found: %s", all)
	}
	acceptSoon(t, s)
	own.Exec(t, name, "ALTER TABLE graphrelay.meta SET (autovacuum_enabled = off); "+
		"INSERT INTO graphrelay.meta SELECT 'x' || n, '' FROM generate_series(1, 30000) AS n; "+
		"DELETE FROM graphrelay.meta WHERE k LIKE 'x%'")
	own.Exec(t, name, "BEGIN; DELETE FROM graphrelay.meta WHERE k = 'none'; PREPARE TRANSACTION 'left over'")
	own.Exec(t, name, "SELECT pg_create_physical_replication_slot('unused', true)")
	target, err := link.Parse(url)
	must(t, err)
	var others []*link.Session
	for range 6 {
		other := target.With("application_name", "another").Session(readLimit)
		others = append(others, other)
		_, err := (&db.Conn{Session: other}).Number("SELECT 1")
		must(t, err)
	}
	all := ""
	await(t, "the dead rows to be counted", func() bool { all = found(); return strings.Contains(all, "dead rows") })
	c := &db.Conn{Session: target.Session(readLimit)}
	defer c.Close()
	report := &db.Conn{Session: target.With("application_name", "report").Session(readLimit)}
	defer report.Close()
	must(t, report.Begin())
	_, err = report.Number("SELECT count(*) FROM graphrelay.meta")
	must(t, err)
	held, err := heldBack(c, 0)
	must(t, err)
	for _, cause := range held {
		all += cause.Error() + "\n"
	}
	for _, want := range []string{
		"Table meta of the queue has 30000 dead rows; see that autovacuum is on in postgresql.conf, and run " +
			"VACUUM graphrelay.meta",
		"PostgreSQL has few connections left for graphrelay; raise max_connections in postgresql.conf and " +
			"restart it [9, and",
		"a replication slot that is not in use; start its standby, or drop it: SELECT " +
			"pg_drop_replication_slot('unused')",
		"a prepared transaction is an hour old; end it: ROLLBACK PREPARED 'left over'",
		"a transaction has been open for an hour; end its connection: SELECT pg_terminate_backend(",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%s\nlacks %s", all, want)
		}
	}
	for _, other := range append(others, report.Session.(*link.Session)) {
		must(t, other.Close())
	}
	own.Exec(t, name, "ROLLBACK PREPARED 'left over'")
	own.Exec(t, name, "SELECT pg_drop_replication_slot('unused')")
	own.Exec(t, name, "VACUUM graphrelay.meta")
	await(t, "all to be well", func() bool { return found() == "" })
}
