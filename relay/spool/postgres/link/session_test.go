//go:build postgres

package link_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/postgres/link"
	"graphrelay/relay/spool/postgres/pgtest"
)

var server *pgtest.Server

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, &server)) }

func connect(t *testing.T, s *pgtest.Server) *db.Conn {
	t.Helper()
	target, err := link.Parse(s.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	session := target.Session(time.Minute)
	t.Cleanup(func() { _ = session.Close() })
	c := &db.Conn{Session: session}
	must(t, c.Run("CREATE SCHEMA graphrelay"))
	must(t, c.Run("CREATE TABLE message (n bigint PRIMARY KEY, s text, b bytea)"))
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What is written is read again, of each type; a sum is a number, and nothing is zero.
func TestTypes(t *testing.T) {
	c := connect(t, server)
	for n, s := range []string{"", "Bär", "zero \x00 and \xff", "\U0010FF00"} {
		must(t, c.Run("INSERT INTO message VALUES (?, ?, ?)", int64(n), s, []byte(s)))
		got, err := c.Text("SELECT s FROM message WHERE n = ? AND s = ?", int64(n), s)
		if err != nil || got != s {
			t.Errorf("%q is read as %q, %v", s, got, err)
		}
		must(t, c.Query("SELECT b, n = 1, ? FROM message WHERE n = ?", []any{true, int64(n)}, func(r *db.Row) error {
			if b := r.Bytes(); !bytes.Equal(b, []byte(s)) || r.Bool() != (n == 1) || !r.Bool() {
				t.Errorf("%q has the bytes %q", s, b)
			}
			return r.Err
		}))
	}
	for sql, want := range map[string]int64{
		"SELECT sum(n) FROM message": 6, "SELECT max(n) FROM message": 3, "SELECT count(*) FROM message": 4,
		"SELECT sum(n) FROM message WHERE n > 9": 0, "SELECT n FROM message WHERE n > 9": 0,
		"SELECT CAST(-5 AS integer)": -5,
	} {
		if got, err := c.Number(sql); err != nil || got != want {
			t.Errorf("%s is %d, %v", sql, got, err)
		}
	}
}

// Each failure has the kind that decides what becomes of it, and the session goes on.
func TestKinds(t *testing.T) {
	c := connect(t, server)
	must(t, c.Run("INSERT INTO message VALUES (1, '', '')"))
	for sql, want := range map[string]db.Kind{
		"INSERT INTO message VALUES (1, '', '')":              db.Constraint,
		"SELECT no_such_column FROM message":                  db.Other,
		"SELECT pg_terminate_backend(pg_backend_pid())":       db.Lost,
		"DO $$ BEGIN RAISE disk_full; END $$":                 db.Full,
		"DO $$ BEGIN RAISE data_corrupted; END $$":            db.Corrupt,
		"DO $$ BEGIN RAISE program_limit_exceeded; END $$":    db.TooBig,
		"DO $$ BEGIN RAISE read_only_sql_transaction; END $$": db.Lost,
	} {
		for range 2 {
			if err := c.Run(sql); !db.Is(err, want) {
				t.Errorf("%s: %v is not %d", sql, err, want)
			}
			if n, err := c.Number("SELECT count(*) FROM message"); err != nil || n != 1 {
				t.Errorf("after %s: %d, %v", sql, n, err)
			}
		}
	}
}

// A long list is read as far as somebody wants it, also inside a transaction.
func TestPortions(t *testing.T) {
	c := connect(t, server)
	must(t, c.Run("INSERT INTO message SELECT generate_series(1, 1000), '', ''"))
	enough := errors.New("enough")
	read := func(upTo int) (read int, err error) {
		err = c.Query("SELECT n FROM message WHERE n > ? ORDER BY n", []any{int64(0)}, func(r *db.Row) error {
			if read++; r.Int() != int64(read) {
				t.Errorf("row %d is another", read)
			}
			if read == upTo {
				return enough
			}
			return r.Err
		})
		return read, err
	}
	both := func() error {
		if n, err := read(150); n != 150 || !errors.Is(err, enough) {
			t.Errorf("read %d, %v", n, err)
		}
		if n, err := read(0); n != 1000 || err != nil {
			t.Errorf("read %d, %v", n, err)
		}
		return nil
	}
	must(t, both())
	must(t, c.Transaction(both))
}

// A session whose server was restarted while nobody used it opens another connection; a
// transaction under way is lost and said to be.
func TestRestart(t *testing.T) {
	own := pgtest.For(t)
	c := connect(t, own)
	must(t, c.Run("INSERT INTO message VALUES (1, '', '')"))
	restart := func() error {
		must(t, own.Kill())
		must(t, own.Launch())
		return nil
	}
	must(t, restart())
	if n, err := c.Number("SELECT count(*) FROM message"); err != nil || n != 1 {
		t.Errorf("after a restart: %d, %v", n, err)
	}
	must(t, restart())
	must(t, c.Transaction(func() error { return c.Run("INSERT INTO message VALUES (2, '', '')") }))
	err := c.Transaction(func() error {
		must(t, c.Run("INSERT INTO message VALUES (3, '', '')"))
		must(t, restart())
		return c.Run("INSERT INTO message VALUES (4, '', '')")
	})
	if n, _ := c.Number("SELECT count(*) FROM message"); !db.Is(err, db.Lost) || n != 2 {
		t.Errorf("a transaction over a restart: %v, and %d rows", err, n)
	}
}

// Nothing that is said of a connection that fails has the password.
func TestNoPasswordInErrors(t *testing.T) {
	const password = "hidden-7261"
	for _, url := range []string{
		"postgres://nobody:" + password + "@127.0.0.1:1/queue?connect_timeout=1",
		strings.Replace(server.URL("none"), "postgres@", "nobody:"+password+"@", 1),
		"postgres://nobody:" + password + "@localhost:" + fmt.Sprint(server.Port) + "/queue?sslmode=verify-full",
	} {
		target, err := link.Parse(url)
		must(t, err)
		err = target.Session(time.Second).Dial()
		if explained := target.Explain(err); err == nil || strings.Contains(err.Error()+explained.Error(), password) {
			t.Errorf("%s: %v", url, explained)
		}
	}
}

// A warning after a commit means that no standby may have it; that the server has crashed means nothing
// of the kind.
func TestWarned(t *testing.T) {
	s := connect(t, server).Session.(*link.Session)
	for code, want := range map[string]bool{"01000": true, "57P01": true, "57P02": false} {
		must(t, s.Script("DO $$ BEGIN RAISE WARNING 'a warning' USING ERRCODE = '"+code+"'; END $$"))
		if got := s.Warned(); got != want {
			t.Errorf("%s: warned %t, want %t", code, got, want)
		}
	}
}
