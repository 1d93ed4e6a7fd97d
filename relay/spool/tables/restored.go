package tables

import (
	"log/slog"
	"strconv"
	"time"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
)

// RestoredText is why a message of a store that went back is held.
const RestoredText = "Restored from an older copy, may have been sent; release it if it was not, else delete it"

// HoldRestored holds every message that waits, as the store went back to an older state: it
// may have been sent. It runs in the transaction of Prepare.
func (s *Store) HoldRestored(c *db.Conn) error {
	waiting := "SELECT " + briefColumns + " FROM message INDEXED BY by_state WHERE state = 0"
	list, err := db.All(c, waiting, nil, readBrief)
	if err != nil {
		return err
	}
	t, now := &Tx{Conn: c}, s.Options.Now()
	why := set{columns: ", unknown = 1, status = 0, text = ?", values: []any{RestoredText}}
	for _, b := range list {
		e := spool.Event{At: now, Kind: spool.EventHeld, Text: RestoredText, Unknown: true}
		if err := enter(t, b, codeHeld, time.Time{}, &e, why); err != nil {
			return err
		}
	}
	s.tally.apply(t.shifts)
	s.Options.Log.Error("queue was restored from an older copy; what was queued is held",
		slog.Int("messages", len(list)))
	return c.Run(putMeta, "restored", strconv.FormatInt(nanos(now), 10))
}

// countRestored counts what a store that went back still holds.
func (v *Reader) countRestored(c *db.Conn, s *spool.Stats) error {
	if v.decided.Load() {
		return nil
	}
	held, err := c.Number("SELECT count(*) FROM message INDEXED BY by_state WHERE state = ? AND text = ?",
		codeHeld, RestoredText)
	if err != nil || held == 0 {
		v.decided.Store(err == nil)
		return err
	}
	at, err := c.Number("SELECT CAST(v AS BIGINT) FROM meta WHERE k = 'restored'")
	s.Restored, s.RestoredAt = int(held), timeOf(at)
	return err
}
