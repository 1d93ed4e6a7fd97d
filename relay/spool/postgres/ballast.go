package postgres

import (
	"crypto/rand"
	"log/slog"

	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/postgres/link"
)

// The ballast is a table that only takes up space. When the disk of the database is full it is
// dropped, which needs no page more, so that the outcomes of attempts under way can still be
// recorded. No new mail is accepted until there is room for the ballast again.
const (
	ballastRows = 8
	ballastRow  = 512 << 10
)

// dropBallast gives its files back to the system at once.
func (h *host) dropBallast() {
	h.eased.Store(true)
	c := &db.Conn{Session: h.session}
	if err := c.Transaction(func() error { return c.Run("DROP TABLE IF EXISTS ballast") }); err != nil {
		h.log.Error("cannot free the queue ballast", slog.Any("error", err))
		return
	}
	h.log.Warn("the disk of PostgreSQL is full, queue ballast freed; no mail is accepted until space is freed")
}

// fillBallast makes it, if it is not there and may fit: of several nodes one does. A try that
// fails leaves nothing.
func (h *host) fillBallast() {
	if !h.eased.Load() || h.justFull() || h.lease.check() != nil {
		return
	}
	err := h.session.plain(func(c *db.Conn) error {
		if err := c.Run("SELECT pg_advisory_xact_lock(1735551099)"); err != nil { // "grl{"
			return err
		}
		there, err := c.Number("SELECT count(*) FROM pg_class WHERE relname = 'ballast' AND relnamespace = "+
			"(SELECT oid FROM pg_namespace WHERE nspname = ?)", link.Schema)
		if err != nil || there > 0 {
			return err
		}
		var rows [][]any
		for range ballastRows {
			b := make([]byte, ballastRow)
			_, _ = rand.Read(b) // never fails since Go 1.24
			rows = append(rows, []any{b})
		}
		err = c.Run("CREATE TABLE ballast (data bytea NOT NULL)")
		if err == nil {
			err = c.Many("INSERT INTO ballast VALUES (?)", rows)
		}
		return err
	})
	switch {
	case err == nil:
		h.eased.Store(false)
		h.log.Info("PostgreSQL has room, queue ballast filled")
	case h.Ease(err):
	default:
		h.log.Warn("cannot refill the queue ballast", slog.Any("error", err))
		h.full.Store(bootTime())
	}
}
