package sqlite

import (
	"errors"
	"log/slog"
	"os"
	"syscall"
)

// The ballast is a file that holds nothing but room. When the disk is full it
// is removed, and the outcomes of what is under way can still be recorded; no
// new mail is taken until there is room for the ballast again.

// easeIfFull frees the ballast if a failure comes of a full disk.
func (s *Store) easeIfFull(cause error) (full bool) {
	full = isFull(cause) || s.room.exhausted()
	if full {
		s.easeDisk()
	}
	return full
}

// easeDisk frees the ballast.
func (s *Store) easeDisk() {
	s.room.setFull(true)
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
	if !s.room.isFull() {
		return
	}
	if !s.room.allows(s.opts.BallastSize) {
		return
	}
	if err := makeBallast(s.ballast, s.opts.BallastSize); err != nil {
		s.log.Warn("queue ballast cannot be refilled", slog.Any("error", err))
		return
	}
	s.room.setFull(false)
	s.log.Info("disk has room again, queue ballast refilled")
}

// makeBallast allocates size octets for path; a ballast of that size stays.
func makeBallast(path string, size int64) error {
	if info, err := os.Stat(path); err == nil && info.Size() == size {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = allocate(f, size)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(path) // half a ballast helps nobody
	}
	return err
}

// allocate reserves blocks, or writes them where the file system cannot. What
// is written is not all zeros, for a file system may keep those for nothing.
func allocate(f *os.File, size int64) error {
	if size == 0 {
		return nil
	}
	err := syscall.Fallocate(int(f.Fd()), 0, 0, size)
	if !errors.Is(err, syscall.EOPNOTSUPP) && !errors.Is(err, syscall.ENOSYS) {
		return err
	}
	block, x := make([]byte, 64<<10), uint32(1)
	for written := int64(0); written < size; written += int64(len(block)) {
		for i := range block {
			x = x*1664525 + 1013904223
			block[i] = byte(x >> 24)
		}
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
	return f.Truncate(size)
}
