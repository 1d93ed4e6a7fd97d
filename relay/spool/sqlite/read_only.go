package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"graphrelay/relay/spool/sqlite/db"
	"graphrelay/relay/spool/sqlite/disk"
)

// ReadOnly is a store whose service is stopped, opened to look at it.
type ReadOnly struct {
	view
	lock *os.File
}

// OpenReadOnly opens the store at path for reading: Get, List, ByMessageID,
// Open, History, Lanes, Stats and Holds. Nothing is changed, so messages whose attempt was
// interrupted still show as Active. ErrLocked while a service runs on it;
// several readers may look at once, and meanwhile no service can start.
func OpenReadOnly(_ context.Context, path string) (*ReadOnly, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	lock, err := disk.Lock(path, syscall.LOCK_SH)
	if err != nil {
		return nil, err
	}
	r := &ReadOnly{lock: lock, view: view{readers: db.NewPool(path, viewerParams, 1), sparse: defaultSparse}}
	err = r.readers.With(context.Background(), func(c *db.Conn) error {
		mark, err := c.Text("SELECT v FROM meta WHERE k = 'mark'")
		if err != nil {
			return err
		}
		if err := checkSchema(c, mark == markOf(true)); err != nil {
			return err
		}
		r.tally, err = countAll(c)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Close lets go of the store.
func (r *ReadOnly) Close() error {
	r.readers.Close()
	return r.lock.Close()
}

// Check looks for damage in the database file. It reads all of it.
func (r *ReadOnly) Check(ctx context.Context) error {
	return r.readers.With(ctx, func(c *db.Conn) error {
		verdict, err := c.Text("PRAGMA quick_check(1)")
		if err == nil && verdict != "ok" {
			err = fmt.Errorf("the database is damaged: %s; check the disk, stop the service and copy the file away before anything else", verdict)
		}
		if err != nil {
			return err
		}
		mode, err := c.Text("PRAGMA journal_mode")
		if err == nil && mode != "wal" {
			err = errors.New("the database is not in WAL mode, so something else has written to it: find out what, and keep other programs away from it")
		}
		return err
	})
}
