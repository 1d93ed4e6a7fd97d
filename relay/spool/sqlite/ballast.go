package sqlite

import (
	"errors"
	"log/slog"
	"os"

	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/sqlite/disk"
	"graphrelay/relay/spool/tables"
)

// How much one step of the sweeper gives back.
const (
	vacuumPages = 128
	pageSize    = 4096
	// keepPages stay free inside the database for future mail: giving them back
	// and taking them again would be wasted work.
	keepPages = 4096
)

// freeInside is how many bytes of the database hold nothing.
func freeInside(c *db.Conn) (int64, error) {
	pages, err := c.Number("PRAGMA freelist_count")
	return pages * pageSize, err
}

// Shrink implements tables.Host. It gives some free pages at the end of the file back to the
// system; the ballast, if it is gone, is made again at last.
func (h *host) Shrink(c *db.Conn) (more bool, err error) {
	free, err := c.Number("PRAGMA freelist_count")
	if err == nil && free > keepPages {
		err = c.Run("PRAGMA incremental_vacuum(128)")
		more = free > keepPages+vacuumPages
	}
	if err != nil || more {
		return err == nil, err
	}
	h.refillBallast()
	inside, err := freeInside(c)
	h.space.SetInside(inside)
	return false, err
}

// giveBack makes room at once where the disk has none for new mail: what is free inside
// the database counts, and an empty queue returns that and its log to the system. It
// runs in the writer.
func (h *host) giveBack() {
	if h.engine.Sick() != nil || h.engine.Room.Small() == nil {
		return
	}
	free, err := freeInside(h.engine.Writer())
	if err != nil {
		return // the next commit finds out more
	}
	if h.space.SetInside(free); h.engine.Queued() > 0 || free == 0 && h.walGrowth == 0 || h.checkpointing.Load() {
		return
	}
	for range 16 {
		if h.engine.Apply(func(t *tables.Tx) error { return t.Run("PRAGMA incremental_vacuum(1024)") }) != nil {
			return
		}
	}
	if emptyWAL(h.engine.Writer()) == nil { // else somebody reads, and the next time will do
		h.walGrowth = 0
		h.space.SetInside(0)
	}
}

// The ballast is a file that only takes up space. When the disk is full it is
// removed, so that the outcomes of attempts under way can still be recorded. No
// new mail is accepted until there is room for the ballast again.

// Ease implements tables.Host: it frees the ballast if a failure was caused by a full disk.
func (h *host) Ease(cause error) (full bool) {
	if !db.Is(cause, db.Full) && !h.space.Exhausted() {
		return false
	}
	h.space.SetFull(true)
	err := os.Truncate(h.ballast, 0)
	if err == nil {
		err = os.Remove(h.ballast)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		h.log.Error("cannot free the queue ballast", slog.Any("error", err))
		return true
	}
	h.log.Warn("disk is full, queue ballast freed; no mail is accepted until space is freed",
		slog.String("path", h.opts.Path))
	return true
}

// refillBallast makes the ballast again once there is room, and mail is accepted again.
func (h *host) refillBallast() {
	if !h.space.IsFull() || !h.space.Allows(h.opts.BallastSize) {
		return
	}
	if err := disk.MakeBallast(h.ballast, h.opts.BallastSize); err != nil {
		h.log.Warn("cannot refill the queue ballast", slog.Any("error", err))
		return
	}
	h.space.SetFull(false)
	h.log.Info("disk has space again, queue ballast refilled")
}
