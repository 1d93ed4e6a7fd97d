package sqlite

import (
	"errors"
	"log/slog"
	"os"

	"graphrelay/relay/spool/sqlite/disk"
)

// The ballast is a file that holds nothing but room. When the disk is full it
// is removed, and the outcomes of what is under way can still be recorded; no
// new mail is taken until there is room for the ballast again.

// easeIfFull frees the ballast if a failure comes of a full disk.
func (s *Store) easeIfFull(cause error) (full bool) {
	full = isFull(cause) || s.space.Exhausted()
	if full {
		s.easeDisk()
	}
	return full
}

// easeDisk frees the ballast.
func (s *Store) easeDisk() {
	s.space.SetFull(true)
	err := os.Truncate(s.ballast, 0)
	if err == nil {
		err = os.Remove(s.ballast)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.log.Error("queue ballast cannot be freed", slog.Any("error", err))
		return
	}
	s.log.Warn("disk is full, queue ballast freed; no mail is accepted until space is freed", slog.String("path", s.opts.Path))
}

// refillBallast makes the ballast anew once there is room, and mail is welcome
// again.
func (s *Store) refillBallast() {
	if !s.space.IsFull() {
		return
	}
	if !s.space.Allows(s.opts.BallastSize) {
		return
	}
	if err := disk.MakeBallast(s.ballast, s.opts.BallastSize); err != nil {
		s.log.Warn("queue ballast cannot be refilled", slog.Any("error", err))
		return
	}
	s.space.SetFull(false)
	s.log.Info("disk has room again, queue ballast refilled")
}
