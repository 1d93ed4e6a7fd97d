package tables

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
)

const refusalColumns = "hour, addr, client, login, sender, domain, code, status, reason, first, last, count"

// keyOfRefusal hashes a key; the letter case of an address does not matter.
func keyOfRefusal(k spool.RefusalKey) int64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%s\n%q\n%q\n%s\n%q\n%d %s\n%s", k.Hour.Unix(), k.Addr, k.Client, k.Login,
		k.Sender.Key(), k.Domain, k.Code, k.Status, k.Reason))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// AddRefusals implements spool.Refusals.
func (s *Store) AddRefusals(ctx context.Context, list []spool.Refusal) (dropped int, err error) {
	if err := s.Room.Small(); err != nil {
		return 0, err
	}
	rows := make([][]any, 0, len(list))
	for _, r := range list {
		rows = append(rows, refusalArgs(r))
	}
	err = s.big(ctx, func(t *Tx) (err error) {
		if err := t.Many(addRefusal, rows); err != nil {
			return err
		}
		dropped, err = dropRefusals(t.Conn)
		return err
	})
	return dropped, err
}

const addRefusal = "INSERT INTO refusal (k, " + refusalColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT (k) DO UPDATE SET count = refusal.count + excluded.count,
		first = CASE WHEN excluded.first < refusal.first THEN excluded.first ELSE refusal.first END,
		last = CASE WHEN excluded.last > refusal.last THEN excluded.last ELSE refusal.last END`

func refusalArgs(r spool.Refusal) []any {
	addr := ""
	if r.Addr.IsValid() {
		addr = r.Addr.String()
	}
	return []any{keyOfRefusal(r.RefusalKey), nanos(r.Hour), addr, r.Client, r.Login, r.Sender.String(), r.Domain,
		int64(r.Code), statusCode(r.Status), r.Reason, nanos(r.First), nanos(r.Last), int64(r.Count)}
}

// dropRefusals keeps the number of rows and returns how many refusals those counted
// that it dropped.
func dropRefusals(c *db.Conn) (int, error) {
	rows, err := c.Number("SELECT count(*) FROM refusal")
	if err != nil || rows <= spool.MaxRefusals {
		return 0, err
	}
	const oldest = " FROM refusal ORDER BY last, k LIMIT ?"
	const counted = "SELECT CAST(sum(count) AS BIGINT) FROM (SELECT count" + oldest + ") AS dropped"
	n, err := c.Number(counted, rows-spool.MaxRefusals)
	if err != nil {
		return 0, err
	}
	return int(n), c.Run("DELETE FROM refusal WHERE k IN (SELECT k"+oldest+")", rows-spool.MaxRefusals)
}

// sweepRefusals deletes some refusals whose last was before a time.
func sweepRefusals(t *Tx, before time.Time) (more bool, err error) {
	n, err := t.Exec("DELETE FROM refusal WHERE k IN (SELECT k FROM refusal WHERE last < ? LIMIT ?)",
		nanos(before), int64(sweepRows))
	return n == sweepRows, err
}

// Refusals implements spool.Reader. All rows are small and few, so nothing but the
// order has an index.
func (v *Reader) Refusals(ctx context.Context, f spool.RefusalFilter) (found []spool.Refusal, err error) {
	skip, limit := f.Skip, f.PageSize()
	err = v.Readers.With(ctx, func(c *db.Conn) error {
		return c.Query("SELECT "+refusalColumns+" FROM refusal ORDER BY last DESC, k", nil, func(row *db.Row) error {
			r, err := readRefusal(row)
			switch {
			case err != nil:
				return err
			case !f.Matches(r):
			case skip > 0:
				skip--
			default:
				found = append(found, r)
			}
			if len(found) >= limit {
				return errEnough
			}
			return ctx.Err()
		})
	})
	if errors.Is(err, errEnough) || err != nil && strings.Contains(err.Error(), "no such table: refusal") {
		err = nil // only an older program has opened this store for writing
	}
	return found, err
}

func readRefusal(row *db.Row) (r spool.Refusal, err error) {
	r.Hour = timeOf(row.Int())
	if addr := row.Str(); addr != "" {
		if r.Addr, err = netip.ParseAddr(addr); err != nil {
			row.Fail(fmt.Errorf("%w: %w", spool.ErrDamaged, err))
		}
	}
	r.Client, r.Login, r.Sender, r.Domain = row.Str(), row.Str(), readAddress(row), row.Str()
	r.Code, r.Status, r.Reason = int(row.Int()), statusOf(row.Int()), row.Str()
	r.First, r.Last, r.Count = timeOf(row.Int()), timeOf(row.Int()), int(row.Int())
	return r, row.Err
}
