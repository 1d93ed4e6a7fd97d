// Package disk is what a store needs of the file system: a folder and a file that
// nobody else can change, a lock against a second daemon, a measure of the free
// space, a ballast file to free when there is none, and the list of messages that
// were refused but may come back with SQLite's log.
//
// Each error of opening ends with what to do. The package knows no SQL.
package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"graphrelay/relay/spool"
)

// The files beside the database; SQLite adds -wal and -shm.
const (
	LockSuffix    = ".lock"
	BallastSuffix = ".ballast"
	LostSuffix    = ".lost"
)

// CheckFolder refuses a folder that is missing or that others could replace
// the database in.
func CheckFolder(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("spool: folder %s does not exist; create it for the user of the service: install -d -m 0750 -o graphrelay -g graphrelay %s", dir, dir)
	}
	if err != nil {
		return fmt.Errorf("spool: %w; let the user of the service reach the folder", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("spool: %s is not a folder; name a file inside a folder in queue.store", dir)
	}
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("spool: everybody may write in folder %s (mode %04o); run: chmod 0750 %s", dir, info.Mode().Perm(), dir)
	}
	return checkOwner(dir, info, true)
}

// checkOwner wants a file of our own; a folder may also be root's.
func checkOwner(path string, info fs.FileInfo, orRoot bool) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	me := uint32(os.Geteuid())
	if !ok || st.Uid == me || orRoot && st.Uid == 0 {
		return nil
	}
	return fmt.Errorf("spool: %s belongs to user %d, this program runs as user %d; run it as the owner, or: chown %d %s", path, st.Uid, me, me, path)
}

// checkFile refuses a database that is not a plain file of ours, or that
// others may read: it holds mail.
func checkFile(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("spool: %w; let the user of the service reach the file", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("spool: %s is not a plain file; name another one in queue.store", path)
	}
	if info.Mode().Perm()&0o027 != 0 {
		return fmt.Errorf("spool: others may read or change %s (mode %04o); run: chmod 0640 %s", path, info.Mode().Perm(), path)
	}
	return checkOwner(path, info, false)
}

// EnsureFile creates an empty database file, or checks the one that is there.
// SQLite gives -wal and -shm the mode of the database.
func EnsureFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o640)
	if errors.Is(err, fs.ErrExist) {
		return checkFile(path)
	}
	if err != nil {
		return fmt.Errorf("spool: %w; let the user of the service write in the folder", err)
	}
	return errors.Join(f.Chmod(0o640), f.Close(), syncFolder(filepath.Dir(path)))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Lock takes the lock that keeps a second daemon out. It is held until
// the file is closed, or the process ends in whatever way. The lock is on a
// file of its own because closing any handle of the database file would drop
// SQLite's locks. how is LOCK_EX for a daemon, LOCK_SH for one who only reads.
func Lock(path string, how int) (*os.File, error) {
	name, flags := path+LockSuffix, os.O_RDWR|os.O_CREATE
	if how == syscall.LOCK_SH {
		flags = os.O_RDONLY
	}
	f, err := os.OpenFile(name, flags, 0o640)
	if err != nil {
		return nil, fmt.Errorf("spool: %w; is this a store of graphrelay, and may this user open it?", err)
	}
	err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	if err == nil {
		if how == syscall.LOCK_EX {
			writePID(f)
		}
		return f, nil
	}
	defer f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("%w: %s is held by %s; stop that one, or name another file in queue.store", spool.ErrLocked, name, lockHolder(name))
	}
	return nil, fmt.Errorf("spool: locking %s: %w; put the store on a local file system", name, err)
}

// writePID helps the reader of an ErrLocked; the lock does not depend on it,
// and so its errors do not matter.
func writePID(f *os.File) {
	_ = f.Truncate(0)
	_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
}

func lockHolder(name string) string {
	b, _ := os.ReadFile(name)
	if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
		return fmt.Sprintf("process %d", pid)
	}
	return "another process"
}
