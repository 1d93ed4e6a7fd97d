package db_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/sqlite/file"
)

func dial(t *testing.T) *db.Conn {
	t.Helper()
	c, err := file.Dial(filepath.Join(t.TempDir(), "test.db"), "_journal_mode=WAL")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Run("CREATE TABLE t (n INTEGER PRIMARY KEY, s)"); err != nil {
		t.Fatal(err)
	}
	return c
}

func insert(c *db.Conn, numbers ...int64) error {
	for _, n := range numbers {
		if err := c.Run("INSERT INTO t VALUES (?, 'text')", n); err != nil {
			return err
		}
	}
	return nil
}

func numbers(t *testing.T, c *db.Conn) []int64 {
	t.Helper()
	list, err := db.All(c, "SELECT n FROM t ORDER BY n", nil, func(r *db.Row) (int64, error) { return r.Int(), nil })
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A transaction that fails leaves nothing behind, and the next one works.
func TestTransaction(t *testing.T) {
	c := dial(t)
	refused := errors.New("refused")
	for _, want := range []error{refused, nil} {
		err := c.Transaction(func() error { return errors.Join(insert(c, 1, 2), want) })
		if !errors.Is(err, want) {
			t.Fatalf("error %v, want %v", err, want)
		}
		if got := numbers(t, c); (want == nil) != slices.Equal(got, []int64{1, 2}) {
			t.Errorf("after %v the table has %v", want, got)
		}
	}
}

// An error of the database has its kind; an error of the caller has none.
func TestKinds(t *testing.T) {
	c := dial(t)
	err := insert(c, 1, 1)
	if !db.Is(err, db.Full, db.Constraint) || db.Is(err, db.Full) {
		t.Errorf("a duplicate: %v", err)
	}
	if _, ok := db.KindOf(spool.ErrFull); ok || db.Is(nil, db.Constraint) {
		t.Error("an error of the caller has a kind")
	}
	if err := db.AsCaller(&db.Error{Kind: db.Corrupt, Err: errors.New("bad page")}); !errors.Is(err, spool.ErrDamaged) {
		t.Errorf("a damaged page: %v", err)
	}
}

// A column of another type than expected is damage, and the first error stays.
func TestRowOfAnotherType(t *testing.T) {
	c := dial(t)
	if err := insert(c, 7); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Number("SELECT s FROM t"); !errors.Is(err, spool.ErrDamaged) {
		t.Errorf("a text as a number: %v", err)
	}
	r, first := db.Row{}, errors.New("first")
	r.Fail(nil)
	r.Fail(first)
	r.Fail(errors.New("second"))
	if !errors.Is(r.Err, first) {
		t.Errorf("kept %v", r.Err)
	}
}

// While a pool is shut its callers wait; once it is closed they get an error.
func TestPool(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	p := file.NewPool(path, "", 2)
	one := func(c *db.Conn) (int64, error) { return c.Number("SELECT 1") }
	if n, err := db.Read(t.Context(), p, one); err != nil || n != 1 {
		t.Fatalf("read %d, %v", n, err)
	}
	p.Shut()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.Read(ctx, p, one); !errors.Is(err, context.Canceled) {
		t.Errorf("while shut: %v", err)
	}
	p.Reopen()
	if _, err := db.Read(t.Context(), p, one); err != nil {
		t.Errorf("reopened: %v", err)
	}
	p.Close()
	if _, err := db.Read(t.Context(), p, one); !errors.Is(err, spool.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
