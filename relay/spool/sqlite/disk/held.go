package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"graphrelay/relay/spool"
)

// WALSuffix is of the log that SQLite keeps beside the database.
const WALSuffix = "-wal"

// Held is a store that this process has locked, and the files that it has open: they
// may be deleted or replaced, and what is then written to them is lost with the process.
type Held struct {
	path     string
	lock     *os.File
	database *os.File
	log      fs.FileInfo
}

// Hold locks a store against other daemons until Close. Its database must be there.
// It is locked, too: without its lock file a second daemon would find none.
func Hold(path string) (*Held, error) {
	lock, err := Lock(path, syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	h := &Held{path: path, lock: lock}
	if err := EnsureFile(path); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	if h.database, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	if syscall.Flock(int(h.database.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		err := fmt.Errorf("%w: %s is in use by a process whose lock file was deleted; "+
			"stop that process (ps -C graphrelay), or name another file in queue.store", spool.ErrLocked, path)
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// NoteLog is called when the log has just been opened.
func (h *Held) NoteLog() (err error) {
	h.log, err = os.Stat(h.path + WALSuffix)
	return err
}

// ForgetLog is called before the log is closed: SQLite may delete it then, and begin
// another, until NoteLog is called.
func (h *Held) ForgetLog() { h.log = nil }

// Displaced returns which of the open files is not at its path any more: the database,
// its log or its lock; "" if all are there. It looks for the database last: who deletes
// all of them meanwhile has taken that first, and that is what must be saved.
func (h *Held) Displaced() (file string) {
	if lock, err := h.lock.Stat(); err != nil || !isAt(h.path+LockSuffix, lock) {
		file = h.path + LockSuffix
	}
	if h.log != nil && !isAt(h.path+WALSuffix, h.log) {
		file = h.path + WALSuffix
	}
	if database, err := h.database.Stat(); err != nil || !isAt(h.path, database) {
		file = h.path
	}
	return file
}

func isAt(path string, open fs.FileInfo) bool {
	info, err := os.Stat(path)
	return err == nil && os.SameFile(info, open)
}

// Close ends it, after the last connection to the database: closing any handle of that
// file drops SQLite's own locks.
func (h *Held) Close() error {
	var err error
	if h.database != nil {
		err = h.database.Close()
	}
	return errors.Join(err, h.lock.Close())
}

// Sync flushes a file that was written by other means, and its folder.
func Sync(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), syncFolder(filepath.Dir(path)))
}

// SetAside renames a file, if it is there, so that nobody takes it for what its name says.
func SetAside(path string) error {
	err := os.Rename(path, path+".aside-"+time.Now().UTC().Format("20060102T150405Z"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, syncFolder(filepath.Dir(path)))
}

// Copy copies a file to a new one of the same mode.
func Copy(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
