package postgres

import (
	"errors"

	"graphrelay/relay/spool/db"
)

// heedMark holds what is queued if the database has the mark that an administrator sets
// after it was put back to an earlier time (two-machines.md), and removes the mark. Nothing
// outside the database remembers what it was.
func (s *Store) heedMark(c *db.Conn) error {
	marks, err := c.Number("SELECT count(*) FROM meta WHERE k = 'put_back'")
	if err != nil || marks == 0 {
		return err
	}
	return errors.Join(s.HoldRestored(c), c.Run("DELETE FROM meta WHERE k = 'put_back'"))
}
