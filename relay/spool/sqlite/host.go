package sqlite

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/room"
	"graphrelay/relay/spool/sqlite/disk"
	"graphrelay/relay/spool/tables"
	"graphrelay/relay/text"
)

// host is the tables.Host of a store: the database file and the files beside it.
type host struct {
	engine *tables.Store
	opts   Options
	log    *slog.Logger
	held   *disk.Held
	space  *disk.Space

	ballast string // path
	saved   string // where the content of a database that is not at its path is kept; the writer's

	checkpointer     *db.Pool
	walGrowth        int64 // bytes since the last checkpoint, estimated; the writer's
	checkpointing    atomic.Bool
	firstStepOver    chan struct{} // of the checkpoint under way, closed at its end; the writer's
	stalled          atomic.Bool   // the writer waits for it
	finishWAL        atomic.Bool
	checkpointFailed atomic.Pointer[error]

	own     seen        // what is remembered of the store outside it
	changed atomic.Bool // a message changed since that was counted
}

// Cause implements tables.Host.
func (h *host) Cause(failure error) error {
	detail := text.Foreign(failure.Error(), 500)
	if h.space.IsFull() || db.Is(failure, db.Full) { // room may have come since
		return room.Full("Disk of the queue is full", "free space on the disk of queue.store", detail)
	}
	return text.Cause{
		Headline: "Queue cannot be written: the disk fails", Remedy: "repair the disk of queue.store, " +
			"or free space on it; the queue then recovers by itself",
		Detail: h.opts.Path + ": " + detail,
	}
}

// Note implements tables.Host.
func (h *host) Note(lost []envelope.QueueID) error { return disk.NoteLost(h.opts.Path, lost) }

// Reopen implements tables.Host.
//
// After a failed write or fsync nobody knows what the disk holds: the kernel
// may have dropped the pages and call them clean, and the frames of the failed
// transaction may still come back when the log is read again. So nothing more is
// appended to this log: close every connection, open again (which reads the log
// as the disk has it), move it into the database with an fsync and read the row
// that says whether all of it was moved, wipe the marks of the failed transactions,
// and prove by a commit in a fresh log that the disk accepts writes again.
func (h *host) Reopen(c *db.Conn, repair func(*db.Conn) error) (*db.Conn, error) {
	h.held.ForgetLog()
	h.checkpointer.Shut()
	defer h.checkpointer.Reopen()
	_ = c.Close() // nil proves nothing, and an error changes nothing
	if err := h.engine.Fault("reopen"); err != nil {
		return nil, err
	}
	c, err := dialWriter(h.opts.Path)
	if err != nil {
		return nil, fmt.Errorf("opening again: %w", err)
	}
	if err := emptyWAL(c); err != nil {
		return c, err
	}
	if err := repair(c); err != nil {
		return c, err
	}
	if err := c.Run("UPDATE meta SET v = CAST(v AS INTEGER) + 1 WHERE k = 'probe'"); err != nil {
		return c, fmt.Errorf("committing a probe: %w", err)
	}
	return c, errors.Join(disk.ForgetLost(h.opts.Path), h.held.NoteLog())
}

// Committed implements tables.Host.
func (h *host) Committed(w tables.Written) {
	if w.Moved {
		h.changed.Store(true)
	}
	if w.Freed {
		if free, err := freeInside(h.engine.Writer()); err == nil {
			h.space.SetInside(free)
		}
	}
	h.noteGrowth(w.Bytes, w.Changes)
}

// Upkeep implements tables.Host.
func (h *host) Upkeep(tick bool) {
	if tick {
		h.giveBack()
		h.refillBallast()
	}
	if h.engine.Sick() == nil {
		h.finishCheckpoint()
	}
}

// Close implements tables.Host. It moves the log into the database and releases the files.
func (h *host) Close(c *db.Conn, well bool) (err error) {
	h.checkpointer.Close()
	if c != nil && well {
		h.own.count++
		if err = errors.Join(c.Run(countUp, h.own.count), emptyWAL(c)); err == nil {
			h.remember()
		}
	}
	return errors.Join(err, c.Close(), h.held.Close())
}
