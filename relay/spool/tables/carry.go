package tables

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"graphrelay/relay/spool/db"
	"graphrelay/relay/text"
)

// carriedTable is a table that a move carries, in the order of its key. Chunks of a draft that
// never became a message stay behind, and so does what a start finds out itself.
type carriedTable struct {
	name, columns string
	keys          int // so many of the first columns are the key
	where         string
	rows          int64 // in one commit, at most
}

var carriedTables = []carriedTable{
	{"hold", holdColumns, 1, "", moveRows},
	{"refusal", "k, " + refusalColumns, 1, "", moveRows},
	{"message", `n, id, state, lane, mailbox, sender, sender_hash, reverse_path, recipients, utf8, client, client_addr,
		helo, login, sender_fixed, report_of, report_delay, message_id, subject, header_size, size, accepted, attempts,
		settled, crashes, unknown, next, last, held_for, held_since, status, text, request, finished, body_gone, report,
		warned, events, unreported, local_user, turn, automatic, bounces, bounces_reported, report_bounces, implied,
		http, duration`, 1, "", moveRows},
	{"event", "n, seq, " + eventColumns, 2, "", moveRows},
	{"word", "k", 1, "", moveRows},
	{"chunk", "id, crc, data", 1, fmt.Sprintf("(id >> %d) IN (SELECT n FROM message)", chunkBits), moveChunks},
}

// How much goes into one commit of a move, and so into its memory.
const (
	moveRows   = 2000
	moveChunks = 16 // 4 MiB
	moveBytes  = 4 << 20
)

// ownMeta are the rows of meta that are a store's own.
const ownMeta = "('mark', 'version', 'probe', 'incarnation', 'count', 'move', 'move_cursor')"

// carry brings what is not in the target yet, and gives up the source.
func (m *move) carry() error {
	at, err := m.cursor()
	if err != nil {
		return err
	}
	for i, t := range carriedTables {
		if i < at.table {
			continue
		}
		after := at.key
		if i > at.table || after == nil {
			after = t.first()
		}
		if err := m.carryTable(i, after); err != nil {
			return err
		}
	}
	if err := m.carryMeta(); err != nil {
		return err
	}
	if err := m.compare(); err != nil {
		return err
	}
	if err := m.from.setMark(m.ctx, moveMark{left, m.id, m.to.Name}); err != nil {
		return err
	}
	return m.step(m.carried)
}

func (m *move) carryTable(i int, after []any) error {
	t := carriedTables[i]
	insert := "INSERT INTO " + t.name + " (" + t.columns + ") VALUES (?" +
		strings.Repeat(", ?", strings.Count(t.columns, ",")) + ")"
	for {
		rows, err := m.read(t, after)
		if err != nil || len(rows) == 0 {
			return err
		}
		after = rows[len(rows)-1][:t.keys]
		err = m.to.Store.Change(m.ctx, false, func(tx *Tx) error {
			for _, row := range rows {
				if body, ok := row[len(row)-1].([]byte); ok {
					tx.bodyBytes += int64(len(body))
				}
			}
			if err := tx.Many(insert, rows); err != nil {
				return err
			}
			return tx.Run(putMeta, cursorKey, fmt.Sprintln(append([]any{i}, after...)...))
		})
		if err != nil {
			return text.Cause{Headline: "Queue cannot be written where it is to be moved to",
				Remedy: mend,
				Detail: t.name + " after " + fmt.Sprint(after...) + ": " + text.Foreign(err.Error(), 500)}
		}
		m.note(t, rows)
		if err := m.step(m.carried); err != nil {
			return err
		}
	}
}

const mend = "mend what the detail says and run it again, or undo it with --abort"

// read returns the next rows of the source.
func (m *move) read(t carriedTable, after []any) (rows [][]any, err error) {
	err = m.from.Store.Readers.With(m.ctx, func(c *db.Conn) (err error) {
		if t.name == "chunk" {
			rows, err = m.readChunks(c, t, after)
			return err
		}
		rows, err = readRows(c, t.columns, t, after)
		return err
	})
	if err != nil {
		err = text.Cause{Headline: "Queue cannot be read to move it", Remedy: mend,
			Detail: m.from.Name + ": " + text.Foreign(err.Error(), 500)}
	}
	return rows, err
}

var errBatch = errors.New("enough for one commit")

func readRows(c *db.Conn, columns string, t carriedTable, after []any) (rows [][]any, err error) {
	names := strings.Split(t.columns, ", ")[:t.keys]
	key := strings.Join(names, ", ")
	where := "(" + key + ") > (?" + strings.Repeat(", ?", t.keys-1) + ")"
	if t.where != "" {
		where += " AND " + t.where
	}
	sql := "SELECT " + columns + " FROM " + t.name + " WHERE " + where + " ORDER BY " + key + " LIMIT ?"
	size := 0
	err = c.Query(sql, append(slices.Clone(after), t.rows), func(r *db.Row) error {
		row := make([]any, 0, len(r.Values))
		for _, v := range r.Values {
			switch v := v.(type) {
			case []byte:
				row = append(row, bytes.Clone(v))
			case string:
				size += len(v)
				row = append(row, strings.Clone(v))
			case int64:
				row = append(row, v)
			default:
				return fmt.Errorf("%s %v: a column holds a %T", t.name, row, v)
			}
		}
		if rows = append(rows, row); size > moveBytes {
			return errBatch
		}
		return nil
	})
	if errors.Is(err, errBatch) {
		err = nil
	}
	return rows, err
}

// readChunks reads each chunk on its own: one that the database cannot read becomes one that
// does not match its checksum, so that its message is damaged there as it is here.
func (m *move) readChunks(c *db.Conn, t carriedTable, after []any) (rows [][]any, err error) {
	ids, err := readRows(c, "id", t, after)
	for _, id := range ids {
		if err != nil {
			return nil, err
		}
		row := []any{id[0], int64(1), []byte{}}
		err = c.Query("SELECT crc, data FROM chunk WHERE id = ?", id, func(r *db.Row) error {
			row = []any{id[0], r.Int(), bytes.Clone(r.Bytes())}
			return nil
		})
		if db.Is(err, db.Corrupt) {
			err = nil
			m.carried.Unreadable++
		}
		rows = append(rows, row)
	}
	return rows, err
}

// carryMeta brings the notes, the key and what else is not a store's own.
func (m *move) carryMeta() error {
	rows, err := db.Read(m.ctx, m.from.Store.Readers, func(c *db.Conn) ([][2]string, error) {
		return db.All(c, "SELECT k, v FROM meta WHERE k NOT IN "+ownMeta, nil, func(r *db.Row) ([2]string, error) {
			return [2]string{r.Str(), r.Str()}, nil
		})
	})
	if err != nil {
		return err
	}
	err = m.to.Store.Change(m.ctx, false, func(t *Tx) error {
		for _, row := range rows {
			if err := t.Run(putMeta, row[0], row[1]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return m.step(m.carried)
}

// position is how far the target has come.
type position struct {
	table int
	key   []any // nil: at the beginning
}

func (m *move) cursor() (p position, err error) {
	v, err := db.Read(m.ctx, m.to.Store.Readers, func(c *db.Conn) (string, error) {
		return c.Text("SELECT v FROM meta WHERE k = ?", cursorKey)
	})
	if err != nil || v == "" {
		return p, err
	}
	table, key, _ := strings.Cut(strings.TrimSuffix(v, "\n"), " ")
	if p.table, err = strconv.Atoi(table); err != nil || p.table >= len(carriedTables) {
		return p, fmt.Errorf("spool: the cursor of the move is %q", v)
	}
	if carriedTables[p.table].name == "hold" {
		p.key = []any{key}
		return p, nil
	}
	for _, word := range strings.Fields(key) {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return p, err
		}
		p.key = append(p.key, n)
	}
	return p, nil
}

// first is before every key.
func (t carriedTable) first() []any {
	if t.name == "hold" {
		return []any{""}
	}
	return slices.Repeat([]any{int64(math.MinInt64)}, t.keys)
}

func (m *move) note(t carriedTable, rows [][]any) {
	switch t.name {
	case "message":
		m.carried.Messages += len(rows)
	case "chunk":
		for _, row := range rows {
			m.carried.Bytes += int64(len(row[2].([]byte)))
		}
	}
}

// compare wants as many rows in the target as in the source.
func (m *move) compare() error {
	for _, t := range carriedTables {
		var rows [2]int64
		for i, side := range []Side{m.from, m.to} {
			err := side.Store.Readers.With(m.ctx, func(c *db.Conn) (err error) {
				sql := "SELECT count(*) FROM " + t.name
				if t.where != "" {
					sql += " WHERE " + t.where
				}
				rows[i], err = c.Number(sql)
				return err
			})
			if err != nil {
				return err
			}
		}
		if rows[0] != rows[1] {
			return text.Cause{Headline: "Queue did not arrive whole, so it stays where it was",
				Remedy: "undo the move with --abort, and begin it again",
				Detail: fmt.Sprintf("%s: %d rows, and %d have arrived", t.name, rows[0], rows[1])}
		}
	}
	return nil
}

// count says what a store has.
func (m *move) count(in Side, c *Carried) error {
	return in.Store.Readers.With(m.ctx, func(conn *db.Conn) error {
		for _, count := range []struct {
			into *int
			sql  string
		}{
			{&c.Messages, "SELECT count(*) FROM message"},
			{&c.Queued, fmt.Sprintf("SELECT count(*) FROM message WHERE state <= %d", codeHeld)},
			{&c.Events, "SELECT count(*) FROM event"},
			{&c.Holds, "SELECT count(*) FROM hold"},
			{&c.Refusals, "SELECT count(*) FROM refusal"},
		} {
			n, err := conn.Number(count.sql)
			if *count.into = int(n); err != nil {
				return err
			}
		}
		n, err := conn.Number(fmt.Sprintf("SELECT CAST(coalesce(sum(size), 0) AS BIGINT) FROM message "+
			"WHERE body_gone = 0 AND state <= %d", codeDamaged))
		c.Bytes = n
		return err
	})
}

// clear empties the target.
func (m *move) clear() error {
	for _, t := range carriedTables {
		key, _, _ := strings.Cut(t.columns, ",")
		sql := "DELETE FROM " + t.name + " WHERE " + key + " IN (SELECT " + key + " FROM " + t.name + " LIMIT ?)"
		for more := true; more; {
			err := m.to.Store.Change(m.ctx, false, func(tx *Tx) error {
				tx.freed = true
				gone, err := tx.Exec(sql, t.rows)
				more = gone > 0
				return err
			})
			if err != nil {
				return err
			}
			if err := m.step(m.carried); err != nil {
				return err
			}
		}
	}
	return m.to.Store.Change(m.ctx, false, func(t *Tx) error {
		if err := t.Run("DELETE FROM meta WHERE k NOT IN " + ownMeta); err != nil {
			return err
		}
		return t.Run("INSERT INTO meta VALUES ('words', '0')")
	})
}

// CarriedColumns are the columns of a table that a move carries.
func CarriedColumns(table string) []string {
	for _, t := range carriedTables {
		if t.name == table {
			return strings.Split(t.columns, ",")
		}
	}
	return nil
}
