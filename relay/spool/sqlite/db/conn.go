// Package db is one SQLite database file: connections with prepared statements,
// and a fixed pool of them. It uses the driver without database/sql, because a
// store must know when its last connection is closed.
//
// Errors of the database are an Error with SQLite's code. The package knows no
// table and no mail.
package db

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"

	"modernc.org/sqlite"

	"graphrelay/relay/spool"
)

// Primary result codes of SQLite that decide what a failure leads to.
const (
	Corrupt    = 11
	Full       = 13
	TooBig     = 18
	Constraint = 19
	NotADB     = 26
)

// Conn is one connection to the database with its prepared statements, for one
// goroutine at a time.
type Conn struct {
	driver driver.Conn
	stmts  map[string]driver.Stmt
	args   []driver.NamedValue // reused by every statement
}

// Error is a failure of the database, as opposed to a refusal of the spool.
type Error struct {
	Code int // primary result code of SQLite; 0 if unknown
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

func asSQLError(err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Err: err}
	var s *sqlite.Error
	if errors.As(err, &s) {
		e.Code = s.Code() & 0xff
	}
	return e
}

// Code gives the primary result code in err's chain; ok is false where err
// is not a failure of the database.
func Code(err error) (code int, ok bool) {
	var e *Error
	if ok = errors.As(err, &e); ok {
		code = e.Code
	}
	return code, ok
}

// Is returns whether err is a failure of the database with one of these codes.
func Is(err error, codes ...int) bool {
	code, ok := Code(err)
	return ok && slices.Contains(codes, code)
}

// Dial opens a connection. query holds SQLite's and the driver's parameters.
func Dial(path, query string) (*Conn, error) {
	dsn := (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: query}).String()
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, asSQLError(err)
	}
	d, err := connector.Connect(context.Background())
	if err != nil {
		return nil, asSQLError(err)
	}
	c := &Conn{driver: d, stmts: map[string]driver.Stmt{}}
	if err := c.keepWAL(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// keepWAL leaves the files -wal and -shm in place when the last connection
// closes: reopening after a failed commit must not need a free inode.
func (c *Conn) keepWAL() error {
	f, ok := c.driver.(sqlite.FileControl)
	if !ok {
		return errors.New("spool: the SQLite driver offers no file control")
	}
	_, err := f.FileControlPersistWAL("main", 1)
	return asSQLError(err)
}

// Close closes the connection and its statements. A nil Conn is closed.
func (c *Conn) Close() error {
	if c == nil {
		return nil
	}
	for _, s := range c.stmts {
		_ = s.Close() // the error is that of its last use, which was reported then
	}
	c.stmts = nil
	return asSQLError(c.driver.Close())
}

func (c *Conn) prepare(sql string) (driver.Stmt, error) {
	if s, ok := c.stmts[sql]; ok {
		return s, nil
	}
	s, err := c.driver.Prepare(sql)
	if err != nil {
		return nil, asSQLError(fmt.Errorf("%w, preparing %q", err, sql))
	}
	c.stmts[sql] = s
	return s, nil
}

// bind puts args, of type int64, string, []byte or bool, into the shared buffer.
func (c *Conn) bind(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.args
}

// Exec runs a statement to its end and returns how many rows it changed. It
// takes no context: a change is not cancelled half-way.
func (c *Conn) Exec(sql string, args ...any) (int64, error) {
	s, err := c.prepare(sql)
	if err != nil {
		return 0, err
	}
	r, err := s.(driver.StmtExecContext).ExecContext(context.Background(), c.bind(args))
	if err != nil {
		return 0, asSQLError(err)
	}
	n, err := r.RowsAffected()
	return n, asSQLError(err)
}

// Run is Exec for a caller who does not count rows.
func (c *Conn) Run(sql string, args ...any) error {
	_, err := c.Exec(sql, args...)
	return err
}

// Query calls each for every row; the row is valid only during the call.
func (c *Conn) Query(sql string, args []any, each func(*Row) error) (err error) {
	s, err := c.prepare(sql)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(context.Background(), c.bind(args))
	if err != nil {
		return asSQLError(err)
	}
	defer func() { err = errors.Join(err, asSQLError(rows.Close())) }()
	r := Row{values: make([]driver.Value, len(rows.Columns()))}
	for {
		switch err := rows.Next(r.values); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return asSQLError(err)
		}
		r.next, r.Err = 0, nil
		if err := each(&r); err != nil {
			return err
		}
		if r.Err != nil {
			return r.Err
		}
	}
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
	values []driver.Value
	next   int
	Err    error
}

func column[T any](r *Row) T {
	var zero T
	v := r.values[r.next]
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
	if err := c.Run("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := do(); err != nil {
		c.Rollback()
		return err
	}
	return c.Run("COMMIT")
}

// Rollback leaves no transaction open. SQLite ends it by itself after some
// errors; then there is none to end, which is what is wanted.
func (c *Conn) Rollback() { _ = c.Run("ROLLBACK") }

// AsCaller is what a caller learns of a failed statement on its own message.
func AsCaller(err error) error {
	if Is(err, Corrupt) {
		return fmt.Errorf("%w: %w", spool.ErrDamaged, err)
	}
	return err
}
