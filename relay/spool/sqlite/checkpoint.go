package sqlite

import (
	"context"
	"fmt"
	"log/slog"

	"graphrelay/relay/spool/db"
)

// The log is moved into the database in two steps, so that no commit waits
// for the bulk of it. A separate connection moves pages while the writer
// continues (PASSIVE takes no lock that the writer needs); then the writer,
// between two transactions, moves the little that was added meanwhile. Only then
// is everything in the database, and the next commit starts the log again:
// without the second step it would grow for as long as mail arrives.
const (
	// maxWALStart is the estimated growth of the log, in bytes, that starts a
	// checkpoint. Checkpointing costs two fsyncs, so not too small.
	maxWALStart = 8 << 20
	minWALStart = 256 << 10
	// Pages of tables and indexes that a batch and each of its changes touch.
	batchCost  = 40 << 10
	changeCost = 8 << 10
	// When the first step is done: after so many passes, or with so few
	// pages (1 MiB) added during the last.
	maxPasses   = 4
	littlePages = 256
)

// walStartFor keeps the log smaller than the ballast: to recover on a full disk
// the log must go into the database, with no more room than the ballast gave.
func walStartFor(ballast int64) int64 { return walLimit(ballast, ballast/2) }

// walMostFor is how much may be added to the log while a checkpoint is under
// way. Both and one more batch must fit into the ballast.
func walMostFor(ballast int64) int64 { return walLimit(ballast, ballast/4) }

func walLimit(ballast, part int64) int64 {
	if ballast == 0 {
		return maxWALStart
	}
	return min(max(part, minWALStart), maxWALStart)
}

// checkpointRow is the result of PRAGMA wal_checkpoint, in pages.
type checkpointRow struct {
	busy      bool
	log, done int64
}

func checkpoint(c *db.Conn, mode string) (checkpointRow, error) {
	var r checkpointRow
	err := c.Query("PRAGMA wal_checkpoint("+mode+")", nil, func(row *db.Row) error {
		r = checkpointRow{row.Bool(), row.Int(), row.Int()}
		return nil
	})
	return r, err
}

// noteGrowth estimates what a batch added to the log and starts the first step.
func (h *host) noteGrowth(bytes int64, changes int) {
	h.walGrowth += bytes + batchCost + int64(changes)*changeCost
	if h.walGrowth < walStartFor(h.opts.BallastSize) || h.checkpointing.Load() {
		return
	}
	h.walGrowth = 0
	h.checkpointing.Store(true)
	h.firstStepOver = make(chan struct{})
	over := h.firstStepOver
	h.engine.Go(func() { h.firstStep(over) })
}

func (h *host) firstStep(over chan<- struct{}) {
	defer close(over)
	err := h.checkpointer.With(context.Background(), moveBulk)
	if err == nil {
		err = h.engine.Fault("checkpoint")
	}
	if err != nil {
		h.checkpointFailed.Store(&err)
	}
	h.finishWAL.Store(true)
	h.engine.Wake()
}

// moveBulk checkpoints until little was added meanwhile, or until it sees that pages
// arrive faster than it moves them: the writer moves the rest, while mail waits.
func moveBulk(c *db.Conn) error {
	before := int64(0)
	for range maxPasses {
		r, err := checkpoint(c, "PASSIVE")
		if err != nil || r.log-before < littlePages {
			return err
		}
		before = r.log
	}
	return nil
}

// finishCheckpoint makes the second step once the first is over. It runs in the writer
// after each batch.
func (h *host) finishCheckpoint() {
	if h.checkpointing.Load() && h.walGrowth >= walMostFor(h.opts.BallastSize) {
		h.stalled.Store(true)
		<-h.firstStepOver // else the log would outgrow the ballast
		h.stalled.Store(false)
	}
	if h.finishWAL.Swap(false) {
		h.secondStep()
		h.checkpointing.Store(false)
	}
}

// secondStep ends the checkpoint. A failure of either step is treated like a
// failed commit: nobody knows any more what the disk holds.
func (h *host) secondStep() {
	var err error
	if failed := h.checkpointFailed.Swap(nil); failed != nil {
		err = *failed
	} else {
		_, err = checkpoint(h.engine.Writer(), "PASSIVE")
	}
	if err == nil {
		return
	}
	h.log.Error("queue checkpoint failed", slog.Any("error", err))
	h.engine.Recover(err)
}

// emptyWAL moves the whole log into the database, and fails if anything stayed behind.
func emptyWAL(c *db.Conn) error {
	r, err := checkpoint(c, "TRUNCATE")
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if r.busy || r.log != r.done {
		return fmt.Errorf("checkpoint moved %d of %d pages (busy %v)", r.done, r.log, r.busy)
	}
	return nil
}
