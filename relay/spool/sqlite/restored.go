package sqlite

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/sqlite/disk"
)

// A backup that is put in the place of a store has mail queued that may have been
// sent since. So a store has a name of its own, its incarnation, and a count, which
// grows at each start and orderly stop, and every minute in which a message changed.
// Both are remembered outside the store, always after the store has them. A store
// that is behind that, or another one, has gone back: it begins a new incarnation,
// and holds what it has queued, each message for an operator or a lookup to decide.
// What happened less than a minute before a kill and is lost with it goes unnoticed.

const countEvery = time.Minute

// restoredText is why a message of a store that went back is held.
const restoredText = "Restored from an older copy, may have been sent; release it if it was not, else delete it"

// seen is what a store is at one time.
type seen struct {
	incarnation string
	count       int64
}

func (w seen) String() string { return fmt.Sprintf("%s %d\n", w.incarnation, w.count) }

// wentBack reports whether a store is not what was last seen, nor a later state of it.
// A store without an incarnation is new, or an older program's.
func (w seen) wentBack(last seen) bool {
	return w.incarnation != last.incarnation || w.count < last.count
}

// recognize counts a start, and holds what is queued if the store went back. It runs
// in the transaction that repairs the contents.
func (s *Store) recognize(c *db.Conn) error {
	text, unread := disk.ReadSeen(s.opts.Path)
	if unread != nil {
		s.log.Warn("cannot find out whether the queue was restored", slog.Any("error", unread))
	}
	var last, own seen
	var err error
	_, _ = fmt.Sscanf(text, "%s %d", &last.incarnation, &last.count)
	if own.incarnation, err = c.Text("SELECT coalesce(max(v), '') FROM meta WHERE k = 'incarnation'"); err != nil {
		return err
	}
	if own.count, err = c.Number("SELECT max(CAST(v AS INTEGER)) FROM meta WHERE k = 'count'"); err != nil {
		return err
	}
	back := unread == nil && own.wentBack(last)
	if back {
		if err := s.holdQueued(c); err != nil {
			return err
		}
	}
	if back || own.incarnation == "" {
		own = seen{incarnation: rand.Text()}
	}
	own.count++
	s.own = own
	if err := s.readKey(c); err != nil {
		return err
	}
	return c.Run("INSERT OR REPLACE INTO meta VALUES ('incarnation', ?), ('count', ?)", own.incarnation, own.count)
}

// readKey reads the key of the store, or makes it.
func (s *Store) readKey(c *db.Conn) error {
	_, _ = rand.Read(s.key[:]) // never fails since Go 1.24
	if err := c.Run("INSERT OR IGNORE INTO meta VALUES ('key', ?)", hex.EncodeToString(s.key[:])); err != nil {
		return err
	}
	text, err := c.Text("SELECT v FROM meta WHERE k = 'key'")
	if err != nil {
		return err
	}
	key, err := hex.DecodeString(text)
	copy(s.key[:], key)
	return err
}

// Key implements spool.Intake.
func (s *Store) Key() [16]byte { return s.key }

// holdQueued holds every message that waits.
func (s *Store) holdQueued(c *db.Conn) error {
	waiting := "SELECT " + briefColumns + " FROM message INDEXED BY by_state WHERE state = 0"
	list, err := db.All(c, waiting, nil, readBrief)
	if err != nil {
		return err
	}
	t, now := &tx{Conn: c}, s.opts.Now()
	why := set{", unknown = 1, status = 0, text = ?", []any{restoredText}}
	for _, b := range list {
		e := spool.Event{At: now, Kind: spool.EventHeld, Text: restoredText, Unknown: true}
		if err := enter(t, b, codeHeld, time.Time{}, &e, why); err != nil {
			return err
		}
	}
	s.tally.apply(t.shifts)
	s.log.Error("queue was restored from an older copy; what was queued is held", slog.Int("messages", len(list)))
	return c.Run("INSERT OR REPLACE INTO meta VALUES ('restored', ?)", nanos(now))
}

// remember keeps outside the store what it is now.
func (s *Store) remember() {
	if err := disk.WriteSeen(s.opts.Path, s.own.String()); err != nil {
		s.log.Warn("cannot remember the state of the queue; a restored copy may go unnoticed", slog.Any("error", err))
	}
}

const countUp = "UPDATE meta SET v = ? WHERE k = 'count'"

// countMinutes counts the minutes in which a message changed, until the store closes.
func (s *Store) countMinutes() {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.countChanges()
		case <-s.stop:
			return
		}
	}
}

func (s *Store) countChanges() {
	if !s.changed.Swap(false) {
		return
	}
	next := s.own.count + 1
	if s.small(context.Background(), true, func(t *tx) error { return t.Run(countUp, next) }) == nil {
		s.own.count = next
		s.remember()
	}
}

// countRestored counts what a store that went back still holds.
func (v *view) countRestored(c *db.Conn, s *spool.Stats) error {
	if v.decided.Load() {
		return nil
	}
	held, err := c.Number("SELECT count(*) FROM message INDEXED BY by_state WHERE state = ? AND text = ?",
		codeHeld, restoredText)
	if err != nil || held == 0 {
		v.decided.Store(err == nil)
		return err
	}
	at, err := c.Number("SELECT CAST(v AS INTEGER) FROM meta WHERE k = 'restored'")
	s.Restored, s.RestoredAt = int(held), timeOf(at)
	return err
}
