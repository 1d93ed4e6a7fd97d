package sqlite

import (
	"context"
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
func (s *Store) noteGrowth(bytes int64, changes int) {
	s.walGrowth += bytes + batchCost + int64(changes)*changeCost
	if s.walGrowth < walStartFor(s.opts.BallastSize) || s.checkpointing.Load() {
		return
	}
	s.walGrowth = 0
	s.checkpointing.Store(true)
	s.firstStepOver = make(chan struct{})
	s.background.Add(1)
	go s.firstStep(s.firstStepOver)
}

func (s *Store) firstStep(over chan<- struct{}) {
	defer s.background.Done()
	defer close(over)
	err := s.checkpointer.With(context.Background(), moveBulk)
	if err == nil {
		err = s.fault("checkpoint")
	}
	if err != nil {
		s.checkpointFailed.Store(&err)
	}
	s.finishWAL.Store(true)
	s.wake()
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

// maintain runs in the writer after each batch.
func (s *Store) maintain() {
	if s.sick() != nil {
		return
	}
	if s.checkpointing.Load() && s.walGrowth >= walMostFor(s.opts.BallastSize) {
		s.stalled.Store(true)
		<-s.firstStepOver // else the log would outgrow the ballast
		s.stalled.Store(false)
	}
	if s.finishWAL.Swap(false) {
		s.secondStep()
		s.checkpointing.Store(false)
	}
	s.reap()
}

// secondStep ends the checkpoint. A failure of either step is treated like a
// failed commit: nobody knows any more what the disk holds.
func (s *Store) secondStep() {
	var err error
	if failed := s.checkpointFailed.Swap(nil); failed != nil {
		err = *failed
	} else {
		_, err = checkpoint(s.writer, "PASSIVE")
	}
	if err == nil {
		return
	}
	s.log.Error("queue checkpoint failed", slog.Any("error", err))
	s.easeIfFull(err)
	_ = s.recover(marks{}) // Health returns its error
}

// wake makes the writer run its loop once.
func (s *Store) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}
