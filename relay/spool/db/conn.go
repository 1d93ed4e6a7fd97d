// Package db is a connection to a database, whatever its engine is: statements by their
// text, transactions, rows that are read from left to right, and a fixed pool of
// connections. An engine gives it a Session. It does without database/sql, because a
// store must know when its last connection is closed.
//
// Statements are written once, in the SQL that SQLite and PostgreSQL both understand, with ?
// for an argument. A hint for SQLite (INDEXED BY) stays in them; another engine takes it out.
//
// Errors of the database are an Error of a Kind. The package knows no table and no mail.
package db

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"graphrelay/relay/spool"
)

// Session is one connection as an engine has it, for one goroutine at a time. It
// prepares each statement once. Arguments are an int64, string, []byte or bool; a bool is
// stored as the integer 0 or 1. Its errors are an Error.
type Session interface {
	// Exec runs a statement to its end and returns how many rows it changed. It takes
	// no context: a change is not cancelled half-way.
	Exec(sql string, args []any) (changed int64, err error)
	// Query calls each for every row with its Values set, up to the first error.
	Query(sql string, args []any, each func(*Row) error) error
	// Begin begins a transaction that writes.
	Begin() error
	// Commit returns nil only when the transaction is durable.
	Commit() error
	// Rollback leaves no transaction open, if there is one.
	Rollback()
	Close() error
}

// Kind is what a failure of the database leads to.
type Kind int

// The kinds of failures.
const (
	Other        Kind = iota
	Corrupt           // stored data are damaged
	Full              // there is no room to write
	TooBig            // a value is longer than the engine stores
	Constraint        // e.g. a key that is there already
	NotADatabase      // what was opened is none
	Lost              // the connection is gone
	Conflict          // another node changed the same: the transaction is to be run again
)

// Error is a failure of the database, as opposed to a refusal of the spool.
type Error struct {
	Kind Kind
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// KindOf gives the kind in err's chain; ok is false where err is not a failure of
// the database.
func KindOf(err error) (kind Kind, ok bool) {
	var e *Error
	if ok = errors.As(err, &e); ok {
		kind = e.Kind
	}
	return kind, ok
}

// Is returns whether err is a failure of the database of one of these kinds.
func Is(err error, kinds ...Kind) bool {
	kind, ok := KindOf(err)
	return ok && slices.Contains(kinds, kind)
}

// Conn is one connection to the database, for one goroutine at a time.
type Conn struct{ Session }

// Close closes the connection. A nil Conn is closed.
func (c *Conn) Close() error {
	if c == nil {
		return nil
	}
	return c.Session.Close()
}

// Exec runs a statement to its end and returns how many rows it changed.
func (c *Conn) Exec(sql string, args ...any) (int64, error) { return c.Session.Exec(sql, args) }

// Run is Exec for a caller who does not count rows.
func (c *Conn) Run(sql string, args ...any) error {
	_, err := c.Session.Exec(sql, args)
	return err
}

// Many is Run for each list of arguments. A session that can makes it one question.
func (c *Conn) Many(sql string, lists [][]any) error {
	if s, can := c.Session.(interface{ Many(string, [][]any) error }); can {
		return s.Many(sql, lists)
	}
	for _, args := range lists {
		if err := c.Run(sql, args...); err != nil {
			return err
		}
	}
	return nil
}

// Query calls each for every row; the row is valid only during the call.
func (c *Conn) Query(sql string, args []any, each func(*Row) error) error {
	return c.Session.Query(sql, args, func(r *Row) error {
		r.next, r.Err = 0, nil
		if err := each(r); err != nil {
			return err
		}
		return r.Err
	})
}

// All reads a list of what read makes of each row.
func All[T any](c *Conn, sql string, args []any, read func(*Row) (T, error)) ([]T, error) {
	var list []T
	err := c.Query(sql, args, func(r *Row) error {
		item, err := read(r)
		if err == nil {
			list = append(list, item)
		}
		return err
	})
	return list, err
}

// Number runs a query that gives one integer; no row gives 0.
func (c *Conn) Number(sql string, args ...any) (int64, error) {
	return scalar(c, sql, args, (*Row).Int)
}

// Text runs a query that gives one string; no row gives "".
func (c *Conn) Text(sql string, args ...any) (string, error) { return scalar(c, sql, args, (*Row).Str) }

func scalar[T any](c *Conn, sql string, args []any, read func(*Row) T) (value T, err error) {
	err = c.Query(sql, args, func(r *Row) error {
		value = read(r)
		return nil
	})
	return value, err
}

// Row reads the columns of a result from left to right. A column of another
// type than expected means a damaged database; the first such error is kept.
type Row struct {
	Values []driver.Value // as the session has them
	Err    error
	next   int
}

func column[T any](r *Row) T {
	var zero T
	v := r.Values[r.next]
	r.next++
	if v == nil {
		return zero
	}
	t, ok := v.(T)
	if !ok {
		r.Fail(fmt.Errorf("%w: column %d holds a %T", spool.ErrDamaged, r.next, v))
	}
	return t
}

// Fail records what is wrong with a row, unless something was wrong before.
func (r *Row) Fail(err error) {
	if r.Err == nil {
		r.Err = err
	}
}

func (r *Row) Int() int64    { return column[int64](r) }
func (r *Row) Str() string   { return column[string](r) }
func (r *Row) Bytes() []byte { return column[[]byte](r) }
func (r *Row) Bool() bool    { return r.Int() != 0 }

// Transaction runs do in a transaction, and rolls back where it fails.
func (c *Conn) Transaction(do func() error) error {
	if err := c.Begin(); err != nil {
		return err
	}
	if err := do(); err != nil {
		c.Rollback()
		return err
	}
	return c.Commit()
}

// Retry runs a transaction again as long as another node changed the same, for a while. What do
// has done besides, it must do anew each time.
func Retry(do func() error) (err error) {
	for pause := time.Millisecond; pause < time.Second; pause *= 2 {
		if err = do(); !Is(err, Conflict) {
			return err
		}
		time.Sleep(pause/2 + rand.N(pause))
	}
	return err
}

// AsCaller is what a caller learns of a failed statement on its own message.
func AsCaller(err error) error {
	if Is(err, Corrupt) {
		return fmt.Errorf("%w: %w", spool.ErrDamaged, err)
	}
	return err
}
