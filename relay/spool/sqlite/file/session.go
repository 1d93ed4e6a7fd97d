// Package file is one SQLite database file: a db.Session to it, and its log (WAL) as it is on
// the disk.
//
// It knows no table and no mail.
package file

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"

	"modernc.org/sqlite"

	"graphrelay/relay/spool/db"
)

// kinds are the primary result codes of SQLite that decide what a failure leads to.
var kinds = map[int]db.Kind{
	11: db.Corrupt, 13: db.Full, 18: db.TooBig, 19: db.Constraint, 26: db.NotADatabase,
}

func asError(err error) error {
	if err == nil {
		return nil
	}
	e := &db.Error{Err: err}
	var s *sqlite.Error
	if errors.As(err, &s) {
		e.Kind = kinds[s.Code()&0xff]
	}
	return e
}

// session is a connection with its prepared statements.
type session struct {
	driver driver.Conn
	stmts  map[string]driver.Stmt
	args   []driver.NamedValue // reused by every statement
}

// Dial opens a connection. query holds SQLite's and the driver's parameters.
func Dial(path, query string) (*db.Conn, error) {
	dsn := (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: query}).String()
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, asError(err)
	}
	d, err := connector.Connect(context.Background())
	if err != nil {
		return nil, asError(err)
	}
	s := &session{driver: d, stmts: map[string]driver.Stmt{}}
	if err := s.keepWAL(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &db.Conn{Session: s}, nil
}

// NewPool lends out size connections to the database at path.
func NewPool(path, query string, size int) *db.Pool {
	return db.NewPool(func() (*db.Conn, error) { return Dial(path, query) }, size)
}

// keepWAL leaves the files -wal and -shm in place when the last connection
// closes: reopening after a failed commit must not need a free inode.
func (s *session) keepWAL() error {
	f, ok := s.driver.(sqlite.FileControl)
	if !ok {
		return errors.New("spool: the SQLite driver offers no file control")
	}
	_, err := f.FileControlPersistWAL("main", 1)
	return asError(err)
}

// Close implements db.Session.
func (s *session) Close() error {
	for _, stmt := range s.stmts {
		_ = stmt.Close() // the error is that of its last use, which was reported then
	}
	s.stmts = nil
	return asError(s.driver.Close())
}

func (s *session) prepare(sql string) (driver.Stmt, error) {
	if stmt, ok := s.stmts[sql]; ok {
		return stmt, nil
	}
	stmt, err := s.driver.Prepare(sql)
	if err != nil {
		return nil, asError(fmt.Errorf("%w, preparing %q", err, sql))
	}
	s.stmts[sql] = stmt
	return stmt, nil
}

// bind puts args into the shared buffer.
func (s *session) bind(args []any) []driver.NamedValue {
	s.args = s.args[:0]
	for i, a := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return s.args
}

// Exec implements db.Session.
func (s *session) Exec(sql string, args []any) (int64, error) {
	stmt, err := s.prepare(sql)
	if err != nil {
		return 0, err
	}
	r, err := stmt.(driver.StmtExecContext).ExecContext(context.Background(), s.bind(args))
	if err != nil {
		return 0, asError(err)
	}
	n, err := r.RowsAffected()
	return n, asError(err)
}

// Query implements db.Session.
func (s *session) Query(sql string, args []any, each func(*db.Row) error) (err error) {
	stmt, err := s.prepare(sql)
	if err != nil {
		return err
	}
	rows, err := stmt.(driver.StmtQueryContext).QueryContext(context.Background(), s.bind(args))
	if err != nil {
		return asError(err)
	}
	defer func() { err = errors.Join(err, asError(rows.Close())) }()
	r := db.Row{Values: make([]driver.Value, len(rows.Columns()))}
	for {
		switch err := rows.Next(r.Values); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return asError(err)
		}
		if err := each(&r); err != nil {
			return err
		}
	}
}

// Begin implements db.Session.
func (s *session) Begin() error { return s.run("BEGIN IMMEDIATE") }

// Commit implements db.Session.
func (s *session) Commit() error { return s.run("COMMIT") }

// Rollback implements db.Session. SQLite ends a transaction by itself after some
// errors; then there is none to end, which is what is wanted.
func (s *session) Rollback() { _ = s.run("ROLLBACK") }

func (s *session) run(sql string) error {
	_, err := s.Exec(sql, nil)
	return err
}
