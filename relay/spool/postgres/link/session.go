// Package link is the connection to a PostgreSQL server: where it is (Target), and a
// db.Session to it on pgx's pgconn, without database/sql.
//
// A session opens its connection when it needs one, and another where the server has
// closed it meanwhile. It never repeats what may have changed something. The package
// knows no table and no mail, and what it says of an error names no password.
package link

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"graphrelay/relay/spool/db"
)

// Session is a db.Session. Limit is how long a statement may take before the connection
// counts as lost. Level is the least synchronous_commit of its transactions; "": that of the
// server.
type Session struct {
	Limit time.Duration
	Level string

	target  *Target
	conn    *pgconn.PgConn // nil: not open
	known   map[string]*prepared
	writing bool // inside a transaction
	warned  bool // the server has warned since this was cleared
}

var _ db.Session = (*Session)(nil)

// Session returns one whose connection is opened by its first statement.
func (t *Target) Session(limit time.Duration) *Session { return &Session{Limit: limit, target: t} }

// maxPrepared bounds the statements of one connection: a list in a statement (IN) gives it
// many forms.
const maxPrepared = 300

type prepared struct {
	*pgconn.StatementDescription
	formats []int16 // of the columns
}

// Dial opens the connection, if it is not open.
func (s *Session) Dial() error {
	if s.conn != nil && !s.conn.IsClosed() {
		return nil
	}
	s.conn, s.known = nil, map[string]*prepared{}
	ctx, cancel := context.WithTimeout(context.Background(), min(s.Limit, s.target.dialLimit()))
	defer cancel()
	conn, err := s.target.dial(ctx, func() { s.warned = true })
	if err != nil {
		return failed(err)
	}
	s.conn = conn
	return nil
}

// Close closes the connection; the next statement would open another.
func (s *Session) Close() error {
	s.writing = false
	if s.conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.conn.Close(ctx) // nobody waits for the server to say goodbye
	s.conn = nil
	return nil
}

// Abandon closes the connection without a word to the server.
func (s *Session) Abandon() {
	s.writing = false
	if s.conn != nil {
		_ = s.conn.Conn().Close()
		s.conn = nil
	}
}

// Exec implements db.Session.
func (s *Session) Exec(sql string, args []any) (changed int64, err error) {
	err = s.run(sql, args, func(p *prepared, values [][]byte, formats []int16, ctx context.Context) error {
		r := s.conn.ExecStatement(ctx, p.StatementDescription, values, formats, p.formats).Read()
		changed = r.CommandTag.RowsAffected()
		return failed(r.Err)
	})
	return changed, err
}

// Many runs a statement with each list of arguments, without waiting in between. It is for
// transactions: after an error nobody knows which were done.
func (s *Session) Many(sql string, lists [][]any) error {
	if len(lists) == 0 {
		return nil
	}
	return s.run(sql, lists[0], func(p *prepared, _ [][]byte, _ []int16, ctx context.Context) error {
		line := s.conn.StartPipeline(ctx)
		for _, args := range lists {
			values, formats, _ := bind(args)
			line.SendQueryStatement(p.StatementDescription, values, formats, nil)
		}
		err := line.Sync()
		for range lists {
			result, failure := line.GetResults()
			if r, ok := result.(*pgconn.ResultReader); ok && failure == nil {
				_, failure = r.Close()
			}
			if err == nil {
				err = failure
			}
		}
		closed := line.Close()
		if err == nil {
			err = closed
		}
		return failed(err)
	})
}

// Query implements db.Session. A query in an order that has no limit is read in portions:
// its caller stops when a page is full.
func (s *Session) Query(sql string, args []any, each func(*db.Row) error) error {
	if portions(sql) {
		return s.inPortions(sql, args, each)
	}
	begun := false
	once := func(row *db.Row) error { begun = true; return each(row) }
	read := func() error {
		return s.run(sql, args, func(p *prepared, values [][]byte, formats []int16, ctx context.Context) error {
			return s.read(s.conn.ExecStatement(ctx, p.StatementDescription, values, formats, p.formats), once)
		})
	}
	return s.again(func() bool { return !begun }, read)
}

// again does what changes nothing once more where the connection had been open for others:
// the server may have closed it while nobody used it.
func (s *Session) again(may func() bool, do func() error) error {
	used := s.conn != nil && !s.writing
	err := do()
	if used && may() && db.Is(err, db.Lost) && !pgconn.Timeout(err) && (s.conn == nil || s.conn.IsClosed()) {
		err = do()
	}
	return err
}

// run prepares a statement and runs it.
func (s *Session) run(
	sql string, args []any, do func(p *prepared, values [][]byte, formats []int16, ctx context.Context) error,
) error {
	values, formats, oids := bind(args)
	ctx, cancel := context.WithTimeout(context.Background(), s.Limit)
	defer cancel()
	p, err := s.prepare(ctx, sql, oids)
	if err != nil {
		return err
	}
	return do(p, values, formats, ctx)
}

// prepare opens the connection where none is open.
func (s *Session) prepare(ctx context.Context, sql string, oids []uint32) (p *prepared, err error) {
	if s.writing {
		return s.prepareOnce(ctx, sql, oids)
	}
	err = s.again(func() bool { return true }, func() error {
		if err := s.Dial(); err != nil {
			return err
		}
		p, err = s.prepareOnce(ctx, sql, oids)
		return err
	})
	return p, err
}

func (s *Session) prepareOnce(ctx context.Context, sql string, oids []uint32) (*prepared, error) {
	key := sql + fmt.Sprint(oids)
	if p, ok := s.known[key]; ok {
		return p, nil
	}
	if s.conn == nil {
		return nil, &db.Error{Kind: db.Lost, Err: pgconn.ErrConnClosed}
	}
	if len(s.known) >= maxPrepared {
		if _, err := s.conn.Exec(ctx, "DEALLOCATE ALL").ReadAll(); err != nil {
			return nil, failed(err)
		}
		clear(s.known)
	}
	described, err := s.conn.Prepare(ctx, "s"+strconv.Itoa(len(s.known)), rewrite(sql), oids)
	if err != nil {
		return nil, failed(fmt.Errorf("%w, preparing %q", err, sql))
	}
	p := &prepared{StatementDescription: described}
	for _, f := range described.Fields {
		p.formats = append(p.formats, formatOf(f.DataTypeOID))
	}
	s.known[key] = p
	return p, nil
}

// read hands over each row of a result, up to the first error.
func (s *Session) read(r *pgconn.ResultReader, each func(*db.Row) error) (err error) {
	row := db.Row{}
	for r.NextRow() {
		row.Values = row.Values[:0]
		for i, raw := range r.Values() {
			v, bad := value(r.FieldDescriptions()[i].DataTypeOID, raw)
			row.Fail(bad)
			row.Values = append(row.Values, v)
		}
		if err = each(&row); err != nil {
			break
		}
	}
	_, closed := r.Close()
	if err == nil {
		err = failed(closed)
	}
	return err
}

const portion = 100 // rows

// inPortions reads with a cursor, for which the server chooses a way that soon gives the
// first rows.
func (s *Session) inPortions(sql string, args []any, each func(*db.Row) error) (err error) {
	if !s.writing {
		if err := s.Begin(); err != nil {
			return err
		}
		defer func() {
			s.writing = false
			_, _ = s.simple("ROLLBACK") // there is nothing to keep
		}()
	}
	values, formats, oids := bind(args)
	ctx, cancel := context.WithTimeout(context.Background(), s.Limit)
	defer cancel()
	r := s.conn.ExecParams(ctx, "DECLARE portion CURSOR FOR "+rewrite(sql), values, oids, formats, nil).Read()
	if r.Err != nil {
		return failed(fmt.Errorf("%w, preparing %q", r.Err, sql))
	}
	for count := portion; err == nil && count == portion; {
		count = 0
		fetch := s.conn.ExecParams(ctx, "FETCH "+strconv.Itoa(portion)+" FROM portion", nil, nil, nil, []int16{1})
		err = s.read(fetch, func(row *db.Row) error {
			count++
			return each(row)
		})
	}
	if _, closed := s.simple("CLOSE portion"); err == nil {
		err = closed
	}
	return err
}

// simple runs statements without arguments, and returns how many rows the last changed.
func (s *Session) simple(sql string) (changed int64, err error) {
	if s.conn == nil {
		return 0, &db.Error{Kind: db.Lost, Err: pgconn.ErrConnClosed}
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.Limit)
	defer cancel()
	results, err := s.conn.Exec(ctx, sql).ReadAll()
	if n := len(results); n > 0 {
		changed = results[n-1].CommandTag.RowsAffected()
	}
	return changed, failed(err)
}

// Warned returns whether the server has warned of something since the last call: a commit that
// did not wait for the standby.
func (s *Session) Warned() bool {
	warned := s.warned
	s.warned = false
	return warned
}

// Script runs several statements without arguments.
func (s *Session) Script(sql string) error {
	_, err := s.simple(sql)
	return err
}

// Begin implements db.Session.
func (s *Session) Begin() error {
	_, err := s.BeginWith("")
	return err
}

// BeginWith is Begin and a first statement, without arguments, in one go; it returns how
// many rows that changed.
func (s *Session) BeginWith(sql string) (changed int64, err error) {
	begin := "BEGIN"
	if s.Level != "" {
		begin += "; SET LOCAL synchronous_commit = " + s.Level
	}
	if sql != "" {
		begin += "; " + sql
	}
	err = s.again(func() bool { return true }, func() (err error) {
		if err = s.Dial(); err == nil {
			changed, err = s.simple(begin)
		}
		return err
	})
	s.writing = true
	if err != nil {
		s.Rollback()
	}
	return changed, err
}

// Commit implements db.Session. Lost: nobody knows whether it was done.
func (s *Session) Commit() error {
	s.writing, s.warned = false, false
	ctx, cancel := context.WithTimeout(context.Background(), s.Limit)
	defer cancel()
	if s.conn == nil {
		return &db.Error{Kind: db.Lost, Err: pgconn.ErrConnClosed}
	}
	results, err := s.conn.Exec(ctx, "COMMIT").ReadAll()
	switch {
	case err != nil:
		return failed(err)
	case len(results) != 1 || results[0].CommandTag.String() != "COMMIT":
		return &db.Error{Err: fmt.Errorf("the transaction had failed before its end")}
	case s.warned: // it is done, but no standby has it
		return &db.Error{Kind: db.Lost, Err: fmt.Errorf("the commit did not wait for the synchronous standby")}
	}
	return nil
}

// Rollback implements db.Session.
func (s *Session) Rollback() {
	if !s.writing {
		return
	}
	s.writing = false
	if _, err := s.simple("ROLLBACK"); err != nil {
		s.Abandon()
	}
}

// The types of arguments and columns, by the numbers that each server gives them.
const (
	oidBool, oidBytes, oidInt8, oidInt2, oidInt4, oidText = 16, 17, 20, 21, 23, 25
	asText, asBinary                                      = int16(0), int16(1)
)

// bind writes arguments, of type int64, string, []byte or bool, in the binary format.
func bind(args []any) (values [][]byte, formats []int16, oids []uint32) {
	for _, a := range args {
		var oid uint32 = oidInt8
		var v []byte
		switch a := a.(type) {
		case int64:
			v = binary.BigEndian.AppendUint64(nil, uint64(a))
		case bool:
			if v = make([]byte, 8); a {
				v[7] = 1
			}
		case string:
			oid, v = oidText, escape(a)
		case []byte:
			if oid, v = oidBytes, a; v == nil {
				v = []byte{}
			}
		default:
			panic("link: an argument of another type") // a mistake in a statement of ours
		}
		values, formats, oids = append(values, v), append(formats, asBinary), append(oids, oid)
	}
	return values, formats, oids
}

// formatOf is binary for the types that value reads, and text for all others.
func formatOf(oid uint32) int16 {
	switch oid {
	case oidBool, oidBytes, oidInt8, oidInt2, oidInt4, oidText:
		return asBinary
	}
	return asText
}

// value is a column as a db.Row has it: int64, string, []byte or nil. The sum of integers
// comes as text, for it could be greater than any of them.
func value(oid uint32, raw []byte) (driver.Value, error) {
	if raw == nil {
		return nil, nil
	}
	switch oid {
	case oidBool:
		return int64(raw[0]), nil
	case oidInt2:
		return int64(int16(binary.BigEndian.Uint16(raw))), nil
	case oidInt4:
		return int64(int32(binary.BigEndian.Uint32(raw))), nil
	case oidInt8:
		return int64(binary.BigEndian.Uint64(raw)), nil
	case oidBytes:
		return append([]byte{}, raw...), nil
	case oidNumeric:
		n, err := strconv.ParseInt(string(raw), 10, 64)
		return n, err
	}
	return unescape(raw), nil
}

const oidNumeric = 1700
