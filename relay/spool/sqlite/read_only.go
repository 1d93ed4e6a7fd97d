package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/sqlite/disk"
	"graphrelay/relay/spool/sqlite/file"
	"graphrelay/relay/spool/tables"
)

// ReadOnly is the spool.Reader of a store whose service is stopped.
type ReadOnly struct {
	*tables.Reader
	path string
	lock *os.File
}

// OpenReadOnly opens the store at path for reading. It changes nothing, so messages
// whose attempt was interrupted still show as Sending. ErrLocked while a service
// uses it; several readers may open it at once, and meanwhile no service can start.
func OpenReadOnly(_ context.Context, path string) (*ReadOnly, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	lock, err := disk.Lock(path, syscall.LOCK_SH)
	if err != nil {
		return nil, err
	}
	r := &ReadOnly{Reader: tables.NewReader(file.NewPool(path, viewerParams, 1)), path: path, lock: lock}
	err = r.Readers.With(context.Background(), func(c *db.Conn) error {
		mark, err := c.Text("SELECT v FROM meta WHERE k = 'mark'")
		if err != nil {
			return err
		}
		if err := checkSchema(c, mark == markOf(true)); err != nil {
			return err
		}
		return r.Count(c)
	})
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Stats implements spool.Reader.
func (r *ReadOnly) Stats(ctx context.Context) (spool.Stats, error) {
	stats, err := r.Reader.Stats(ctx)
	stats.Salvaged = salvaged(r.path)
	return stats, err
}

// Close releases the store.
func (r *ReadOnly) Close() error {
	r.Readers.Close()
	return r.lock.Close()
}

// Check reads the whole database file and looks for damage.
func (r *ReadOnly) Check(ctx context.Context) error {
	return r.Readers.With(ctx, func(c *db.Conn) error {
		verdict, err := c.Text("PRAGMA quick_check(1)")
		if err == nil && verdict != "ok" {
			err = fmt.Errorf("the database is damaged: %s; check the disk, stop the service "+
				"and copy the file away before anything else", verdict)
		}
		if err != nil {
			return err
		}
		mode, err := c.Text("PRAGMA journal_mode")
		if err == nil && mode != "wal" {
			err = errors.New("the database is not in WAL mode, so something else has written to it: " +
				"find out what, and keep other programs away from it")
		}
		return err
	})
}
