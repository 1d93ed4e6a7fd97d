package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"

	"graphrelay/relay/spool"

	"modernc.org/sqlite"
)

// Primary result codes of SQLite that decide what a failure leads to.
const (
	codeCorrupt    = 11
	codeFull       = 13
	codeTooBig     = 18
	codeConstraint = 19
)

// conn is one connection to the database with its prepared statements. It is
// used by one goroutine at a time. The driver is used without database/sql: a
// pool that silently reopens connections has no place below a store that must
// know when its last connection is closed.
type conn struct {
	driver driver.Conn
	stmts  map[string]driver.Stmt
	args   []driver.NamedValue // reused by every statement
}

// sqlError is a failure of the database, as opposed to a refusal of the spool.
type sqlError struct {
	code int // primary result code of SQLite; 0 if unknown
	err  error
}

func (e *sqlError) Error() string { return e.err.Error() }
func (e *sqlError) Unwrap() error { return e.err }

func asSQLError(err error) error {
	if err == nil {
		return nil
	}
	e := &sqlError{err: err}
	var s *sqlite.Error
	if errors.As(err, &s) {
		e.code = s.Code() & 0xff
	}
	return e
}

// sqlCode gives the primary result code in err's chain; ok is false where err
// is no failure of the database.
func sqlCode(err error) (code int, ok bool) {
	var e *sqlError
	if !errors.As(err, &e) {
		return 0, false
	}
	return e.code, true
}

// dial opens a connection. query holds SQLite's and the driver's parameters.
func dial(path, query string) (*conn, error) {
	dsn := (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: query}).String()
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, asSQLError(err)
	}
	d, err := connector.Connect(context.Background())
	if err != nil {
		return nil, asSQLError(err)
	}
	c := &conn{driver: d, stmts: map[string]driver.Stmt{}}
	if err := c.keepWAL(); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// keepWAL leaves the files -wal and -shm in place when the last connection
// closes: reopening after a failed commit must not need a free inode.
func (c *conn) keepWAL() error {
	f, ok := c.driver.(sqlite.FileControl)
	if !ok {
		return errors.New("spool: the SQLite driver offers no file control")
	}
	_, err := f.FileControlPersistWAL("main", 1)
	return asSQLError(err)
}

func (c *conn) close() error {
	if c == nil {
		return nil
	}
	for _, s := range c.stmts {
		_ = s.Close() // the error is that of its last use, which was reported then
	}
	c.stmts = nil
	return asSQLError(c.driver.Close())
}

func (c *conn) prepare(sql string) (driver.Stmt, error) {
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
func (c *conn) bind(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.args
}

// exec runs a statement to its end and returns how many rows it changed. It
// takes no context: a change is not cancelled half-way.
func (c *conn) exec(sql string, args ...any) (int64, error) {
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

// query calls each for every row; the row is valid only during the call.
func (c *conn) query(sql string, args []any, each func(*row) error) (err error) {
	s, err := c.prepare(sql)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(context.Background(), c.bind(args))
	if err != nil {
		return asSQLError(err)
	}
	defer func() { err = errors.Join(err, asSQLError(rows.Close())) }()
	r := row{values: make([]driver.Value, len(rows.Columns()))}
	for {
		switch err := rows.Next(r.values); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return asSQLError(err)
		}
		r.next, r.err = 0, nil
		if err := each(&r); err != nil {
			return err
		}
		if r.err != nil {
			return r.err
		}
	}
}

// number runs a query that gives one integer; no row gives 0.
func (c *conn) number(sql string, args ...any) (int64, error) {
	var n int64
	err := c.query(sql, args, func(r *row) error { n = r.int(); return nil })
	return n, err
}

// text runs a query that gives one string; no row gives "".
func (c *conn) text(sql string, args ...any) (string, error) {
	var s string
	err := c.query(sql, args, func(r *row) error { s = r.str(); return nil })
	return s, err
}

// row reads the columns of a result from left to right. A column of another
// type than expected means a damaged database; the first such error is kept.
type row struct {
	values []driver.Value
	next   int
	err    error
}

func column[T any](r *row) T {
	var zero T
	v := r.values[r.next]
	r.next++
	if v == nil {
		return zero
	}
	t, ok := v.(T)
	if !ok && r.err == nil {
		r.err = fmt.Errorf("%w: column %d holds a %T", spool.ErrDamaged, r.next, v)
	}
	return t
}

func (r *row) int() int64    { return column[int64](r) }
func (r *row) str() string   { return column[string](r) }
func (r *row) bytes() []byte { return column[[]byte](r) }
func (r *row) bool() bool    { return r.int() != 0 }
