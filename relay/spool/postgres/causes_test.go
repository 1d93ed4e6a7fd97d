package postgres

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/postgres/link"
)

// The tables are those of SQLite, column by column: the statements are the same.
func TestTablesAreThoseOfSQLite(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "sqlite", "schema.go"))
	if err != nil {
		t.Fatal(err)
	}
	want, got := tablesIn(string(b)), tablesIn(schema)
	if len(want) < 8 {
		t.Fatalf("found only the tables %v", want)
	}
	for table, columns := range want {
		for _, c := range columns {
			if !slices.Contains(got[table], c) {
				t.Errorf("table %s has no column %s in PostgreSQL", table, c)
			}
		}
	}
}

// tablesIn lists the columns of each table that a text creates.
func tablesIn(text string) map[string][]string {
	all := map[string][]string{}
	create := regexp.MustCompile(`CREATE TABLE (?:IF NOT EXISTS )?([a-z_]+) \(((?s).*?)\)[^,)]*;`)
	for _, m := range create.FindAllStringSubmatch(text, -1) {
		for _, c := range regexp.MustCompile(`(?:^|,)\s*([a-z_0-9]+) (?:INTEGER|TEXT|BLOB|bigint|text|bytea)`).
			FindAllStringSubmatch(m[2], -1) {
			all[m[1]] = append(all[m[1]], c[1])
		}
	}
	return all
}

// What a start refuses, with what to do.
func TestServersThatAreRefused(t *testing.T) {
	good := found{version: "15.2", commits: "on", fsync: "on", pages: "on", coding: "UTF8", waits: "2s",
		number: 150002}
	if err := good.refuse(); err != nil {
		t.Errorf("a good server: %v", err)
	}
	for want, change := range map[string]func(*found){
		"PostgreSQL 12.1 is too old; install PostgreSQL 13 or later": func(f *found) {
			f.version, f.number = "12.1", 120001
		},
		"PostgreSQL runs with fsync = off: a power cut loses the database; " +
			"set fsync = on in postgresql.conf and restart it": func(f *found) { f.fsync = "off" },
		"PostgreSQL runs with full_page_writes = off: a power cut damages the database; " +
			"set full_page_writes = on in postgresql.conf and reload it": func(f *found) { f.pages = "off" },
		`Database of the queue has the encoding "LATIN1" instead of UTF8; ` +
			"create another: createdb -T template0 -E UTF8": func(f *found) { f.coding = "LATIN1" },
		"PostgreSQL only reads: it is a standby, or set to read-only; " +
			"name the primary in the URL, or every host of the cluster": func(f *found) { f.reads = 1 },
		"A connection pooler such as PgBouncer is in front of PostgreSQL; name the server itself in the URL: " +
			"a pooler cannot pass on what keeps the queue safe": func(f *found) { f.waits = "0" },
	} {
		bad := good
		change(&bad)
		if err := bad.refuse(); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// Mail is committed with what is configured, and never with less than on.
func TestLevel(t *testing.T) {
	for configured, want := range map[string]string{
		"off": "on", "local": "on", "remote_write": "on", "on": "on", "remote_apply": "remote_apply",
	} {
		if got := (found{commits: configured}).level(); got != want {
			t.Errorf("%s gives %s, want %s", configured, got, want)
		}
	}
}

// Each failure names its cause first, and what to do.
func TestCausesSayWhatToDo(t *testing.T) {
	target, err := link.Parse("postgres://u:hidden@127.0.0.1/queue")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{target: target}
	answer := func(state string) error { return &pgconn.PgError{Code: state, Message: "the server's words"} }
	for _, c := range []struct {
		err  error
		kind db.Kind
		want string
	}{
		{errors.New("connection refused"), db.Lost, "PostgreSQL cannot be reached; start it, or correct host and " +
			"port in the URL of queue.store_url_file ["},
		{errors.New("tls: x509: unknown"), db.Lost, "Certificate of PostgreSQL cannot be verified; name its CA with " +
			"sslrootcert=FILE in the URL, and the host as the certificate does ["},
		{errors.New("read only connection"), db.Lost, "PostgreSQL only reads: it is a standby, or set to read-only; " +
			"name the primary in the URL, or every host of the cluster ["},
		{errors.New("127.0.0.1: dial error; 127.0.0.2: read only connection"), db.Lost,
			"No host of queue.store_url_file can be written: the primary cannot be reached; " +
				"start the primary, or promote a standby that the URL names ["},
		{answer("42P05"), db.Other, "A connection pooler such as PgBouncer is in front of PostgreSQL; "},
		{answer("42704"), db.Lost, "PostgreSQL does not know a parameter of the URL in queue.store_url_file; " +
			"correct what follows the ? in the URL, as sslmode ["},
		{answer("28P01"), db.Lost, "PostgreSQL refuses the user of queue.store_url_file; " +
			"correct user and password in the URL, or pg_hba.conf on the server ["},
		{answer("3D000"), db.Lost, "Database of queue.store_url_file does not exist; " +
			"create it, owned by the user of the URL ["},
		{answer("42501"), db.Other, "User of queue.store_url_file lacks rights in its database; " +
			"let the user own the database, or GRANT CREATE on it ["},
		{answer("53300"), db.Lost, "PostgreSQL has no free connection; raise max_connections on the server; " +
			"graphrelay needs 8 ["},
		{answer("53100"), db.Full, "PostgreSQL is full; free space on the disk of the database ["},
		{answer("XX001"), db.Corrupt, "PostgreSQL found damaged data; " +
			"examine the disk of the database; restore it, or fail over ["},
		{answer("XX002"), db.Corrupt, "PostgreSQL found a damaged index; " +
			"examine the disk of the database; REINDEX, or fail over ["},
		{answer("58030"), db.Other, "PostgreSQL cannot read or write its files; examine the disk of the database ["},
		{answer("08P01"), db.Lost, "A connection pooler such as PgBouncer is in front of PostgreSQL; " +
			"name the server itself in the URL: a pooler cannot pass on what keeps the queue safe ["},
		{answer("42P01"), db.Other, "PostgreSQL refuses a statement; see its log, and what the detail says ["},
		{errDoubtful, db.Lost, "PostgreSQL does not say whether it has stored the last messages; see whether the " +
			"database, its standby and the network to them work; the clients were asked to try again, and what is " +
			"stored is removed then ["},
	} {
		err := h.Cause(&db.Error{Kind: c.kind, Err: c.err})
		text := strings.TrimPrefix(err.Error(), spool.ErrFull.Error()+": ")
		if !strings.HasPrefix(text, c.want) || strings.Contains(text, "hidden") ||
			errors.Is(err, spool.ErrFull) != (c.kind == db.Full) {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
}

// A lease that is not confirmed, and one that another node has.
func TestLeaseSaysWhatToDo(t *testing.T) {
	l := &lease{over: make(chan struct{})}
	want := "PostgreSQL does not confirm this node's lease; see whether the database, its " +
		"standby and the network to them work; mail is accepted again once it does [last confirmed "
	if err := l.check(); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("an old lease: %v", err)
	}
	l.confirmed.Store(bootTime())
	if err := l.check(); err != nil {
		t.Errorf("a fresh one: %v", err)
	}
	want = "Synchronous standby of PostgreSQL does not confirm what is committed; start the standby, or remove it " +
		"from synchronous_standby_names"
	if errUnconfirmed.Error() != want {
		t.Errorf("%v", errUnconfirmed)
	}
	l.isOver.Store(true)
	want = "Another node has the lanes of this one, which did not confirm its lease in time; " +
		"nothing to do: the service restarts and joins again"
	if err := l.check(); !errors.Is(err, spool.ErrDisplaced) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("another node's: %v", err)
	}
}

// The file with the URL.
func TestReadURL(t *testing.T) {
	_, _, err := ReadURL(t.TempDir() + "/none")
	want := "File of queue.store_url_file cannot be read; write the URL into it, and let the service read it ["
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("no file: %v", err)
	}
}
