package spool

import (
	"context"
	"errors"
	"fmt"
)

// Check looks for damage in the database file. It reads all of it.
func (r *ReadOnly) Check(ctx context.Context) error {
	return r.readers.with(ctx, func(c *conn) error {
		verdict, err := c.text("PRAGMA quick_check(1)")
		if err == nil && verdict != "ok" {
			err = fmt.Errorf("the database is damaged: %s; check the disk, stop the service and copy the file away before anything else", verdict)
		}
		if err != nil {
			return err
		}
		mode, err := c.text("PRAGMA journal_mode")
		if err == nil && mode != "wal" {
			err = errors.New("the database is not in WAL mode, so something else has written to it: find out what, and keep other programs away from it")
		}
		return err
	})
}
