package sqlite

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/sqlite/disk"
	"graphrelay/relay/spool/tables"
)

// A backup that is put in the place of a store has mail queued that may have been
// sent since. So a store has a name of its own, its incarnation, and a count, which
// grows at each start and orderly stop, and every minute in which a message changed.
// Both are remembered outside the store, always after the store has them. A store
// that is behind that, or another one, has gone back: it begins a new incarnation,
// and holds what it has queued, each message for an operator or a lookup to decide.
// What happened less than a minute before a kill and is lost with it goes unnoticed.

const countEvery = time.Minute

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
func (h *host) recognize(c *db.Conn) error {
	text, unread := disk.ReadSeen(h.opts.Path)
	if unread != nil {
		h.log.Warn("cannot find out whether the queue was restored", slog.Any("error", unread))
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
		if err := h.engine.HoldRestored(c); err != nil {
			return err
		}
	}
	if back || own.incarnation == "" {
		own = seen{incarnation: rand.Text()}
	}
	own.count++
	h.own = own
	return c.Run("INSERT OR REPLACE INTO meta VALUES ('incarnation', ?), ('count', ?)", own.incarnation, own.count)
}

// remember keeps outside the store what it is now.
func (h *host) remember() {
	if err := disk.WriteSeen(h.opts.Path, h.own.String()); err != nil {
		h.log.Warn("cannot remember the state of the queue; a restored copy may go unnoticed", slog.Any("error", err))
	}
}

const countUp = "UPDATE meta SET v = ? WHERE k = 'count'"

// countMinutes counts the minutes in which a message changed, until the store closes.
func (h *host) countMinutes() {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.countChanges()
		case <-h.engine.Stopping():
			return
		}
	}
}

func (h *host) countChanges() {
	if !h.changed.Swap(false) {
		return
	}
	next := h.own.count + 1
	if h.engine.Change(context.Background(), true, func(t *tables.Tx) error { return t.Run(countUp, next) }) == nil {
		h.own.count = next
		h.remember()
	}
}
