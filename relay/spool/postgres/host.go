package postgres

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/room"
	"graphrelay/relay/spool/tables"
	"graphrelay/relay/text"
)

var (
	_ tables.Host = (*host)(nil)
	_ room.Disk   = (*host)(nil)
)

// Ours implements tables.Host.
func (h *host) Ours() error { return h.lease.check() }

// Reopen implements tables.Host. The repair is a transaction like those of mail, and so it
// waits for the end of one whose answer was lost.
func (h *host) Reopen(c *db.Conn, repair func(*db.Conn) error) (*db.Conn, error) {
	h.session.Abandon()
	err := db.Retry(func() error { return repair(c) })
	if err == nil {
		h.noted = 0
	}
	return c, err
}

// Ease implements tables.Host. What a full database still takes are changes within pages
// that have room; it is tried again after a while.
func (h *host) Ease(failure error) (full bool) {
	if full = db.Is(failure, db.Full); full {
		h.full.Store(bootTime())
		h.dropBallast()
	}
	return full
}

// Cause implements tables.Host.
func (h *host) Cause(failure error) error {
	cause := h.explain(failure)
	if db.Is(failure, db.Full) {
		cause = fmt.Errorf("%w: %w", spool.ErrFull, cause)
	}
	return cause
}

// explain is a failure of the database as a text.Cause; other errors stay.
func (h *host) explain(err error) error {
	if _, failed := db.KindOf(err); !failed {
		return err
	}
	if errors.Is(err, errDoubtful) {
		return text.Cause{Headline: "PostgreSQL does not say whether it has stored the last messages",
			Remedy: "see whether the database, its standby and the network to them work; " +
				"the clients were asked to try again, and what is stored is removed then",
			Detail: text.Foreign(err.Error(), 500)}
	}
	return h.target.Explain(err)
}

// Note implements tables.Host. There is no other place than the database and the log.
func (h *host) Note(lost []envelope.QueueID) error {
	if len(lost) > h.noted {
		then := "those that it has are removed when it answers"
		if h.lease.isOver.Load() {
			then = "another node sends those that it has, and recipients may get them twice"
		}
		h.log.Warn("it is not known whether PostgreSQL has stored messages that were refused for now; "+then,
			slog.Any("queue_ids", lost[h.noted:]))
		h.noted = len(lost)
	}
	return nil
}

// Committed implements tables.Host.
func (h *host) Committed(tables.Written) {}

// Upkeep implements tables.Host.
func (h *host) Upkeep(tick bool) {
	if tick {
		h.fillBallast()
	}
	if !h.moving && h.share.store.Sick() == nil && h.lease.check() == nil {
		h.share.keep(tick)
	}
}

// Shrink implements tables.Host: PostgreSQL does so by itself.
func (h *host) Shrink(*db.Conn) (more bool, err error) { return false, nil }

// Close implements tables.Host. Another node may have the lanes at once, and the last paces.
func (h *host) Close(c *db.Conn, well bool) error {
	if well && !h.moving {
		h.share.carry()
	}
	return errors.Join(h.lease.release(), c.Close())
}

// Check implements room.Disk.
func (h *host) Check(int64) (short bool, err error) {
	if !h.IsFull() {
		return false, nil
	}
	return false, room.Full("PostgreSQL is full", "free space on the disk of the database", h.target.String())
}

// IsFull implements room.Disk.
func (h *host) IsFull() bool { return h.eased.Load() || h.justFull() }

func (h *host) justFull() bool {
	last := h.full.Load()
	return last > 0 && time.Duration(bootTime()-last) < fullFor
}

// Left implements room.Disk: nobody knows.
func (h *host) Left() int64 { return math.MaxInt64 / 2 }

// Wrote implements room.Disk.
func (h *host) Wrote(int64) {}
