package sqlite

import (
	"errors"
	"fmt"
	"os"

	"graphrelay/relay/spool/sqlite/disk"
	"graphrelay/relay/text"
)

// A file of the store that is deleted or replaced stays open, and a commit into it
// succeeds; but the next start does not find it. So the store looks for its files now
// and then. Once one is not at its path any more, it takes no writes until that file
// is back, or the service has started again. What was accepted until then is saved at once: the content
// of a database in a copy beside it, that of a log in the database.

// Ours implements tables.Host: nil, or which file is not at its path any more and what to do.
func (h *host) Ours() error {
	file, store := h.held.Displaced(), h.opts.Path
	if file == "" {
		return nil
	}
	c := text.Cause{Headline: "A file of the queue was deleted or replaced while the service runs",
		Remedy: "restart the service: systemctl restart graphrelay", Detail: file}
	err := h.save(file)
	switch {
	case err != nil:
		c.Remedy = "do not stop the service before its queue is saved: give its folder space and rights for a copy"
		c.Detail += ": " + err.Error()
	case file == store:
		c.Remedy = fmt.Sprintf("to keep what it held, run: mv -f %[1]s %[2]s && rm -f %[2]s-wal %[2]s-shm; "+
			"then restart the service: systemctl restart graphrelay", h.saved, store)
	}
	return c
}

// save keeps what the open files hold where the next start, or an operator, finds it.
func (h *host) save(file string) error {
	c := h.engine.Writer()
	if c == nil {
		return errors.New("the database is not open")
	}
	if file == h.opts.Path && h.saved == "" {
		name := file + ".saved-" + h.engine.Options.Now().UTC().Format("20060102T150405Z")
		if err := disk.EnsureFile(name); err != nil {
			return err
		}
		if err := errors.Join(c.Run("VACUUM INTO ?", name), disk.Sync(name)); err != nil {
			return errors.Join(err, os.Remove(name))
		}
		h.saved = name
	}
	if err := emptyWAL(c); err != nil {
		return err
	}
	if file == h.opts.Path+disk.WALSuffix {
		return disk.SetAside(file) // it is not of this database: the next start must not read it
	}
	return nil
}
