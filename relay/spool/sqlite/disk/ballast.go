package disk

import (
	"errors"
	"os"
	"syscall"
)

// MakeBallast allocates size bytes for path; a ballast of that size stays.
func MakeBallast(path string, size int64) error {
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
