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
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// The files beside the database; SQLite adds -wal and -shm.
const (
	LockSuffix    = ".lock"
	BallastSuffix = ".ballast"
	LostSuffix    = ".lost"
)

// CheckFolder refuses a folder that is missing, or in which others could replace the database.
func CheckFolder(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("spool: folder %[1]s does not exist; create it for the service's user: "+
			"install -d -m 0750 -o graphrelay -g graphrelay %[1]s", dir)
	}
	if err != nil {
		return fmt.Errorf("spool: %w; give the service's user access to the folder", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("spool: %s is not a folder; name a file inside a folder in queue.store", dir)
	}
	if mode := info.Mode().Perm(); mode&0o002 != 0 {
		return fmt.Errorf("spool: anyone can write to folder %s (mode %04o); run: chmod 0750 %[1]s", dir, mode)
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
	return fmt.Errorf("spool: %s belongs to user %d, this program runs as user %d; "+
		"run it as the owner, or: chown %[3]d %[1]s", path, st.Uid, me)
}

// checkFile refuses a database that is not a plain file of ours, or that
// others may read: it holds mail.
func checkFile(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("spool: %w; give the service's user access to the file", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("spool: %s is not a plain file; name another one in queue.store", path)
	}
	if mode := info.Mode().Perm(); mode&0o027 != 0 {
		return fmt.Errorf("spool: other users can read or change %s (mode %04o); run: chmod 0640 %[1]s", path, mode)
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
		return fmt.Errorf("spool: %w; let the service's user write to the folder", err)
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

// Lock takes the lock that keeps a second daemon out. It is held until the file is
// closed or the process ends. The lock is on a separate file because closing any
// handle of the database file would drop SQLite's locks. how is LOCK_EX for a
// daemon, LOCK_SH for a reader.
func Lock(path string, how int) (*os.File, error) {
	name, flags := path+LockSuffix, os.O_RDWR|os.O_CREATE
	if how == syscall.LOCK_SH {
		flags = os.O_RDONLY
	}
	f, err := os.OpenFile(name, flags, 0o640)
	if err != nil {
		return nil, fmt.Errorf("spool: %w; check that this is a graphrelay store and that this user may open it", err)
	}
	err = tryLock(f, how)
	if err == nil {
		if how == syscall.LOCK_EX {
			writePID(f)
		}
		return f, nil
	}
	defer f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("%w: %s is held by %s; stop that process, or name another file in queue.store",
			spool.ErrLocked, name, lockHolder(name))
	}
	return nil, fmt.Errorf("spool: locking %s: %w; put the store on a local file system", name, err)
}

// tryLock waits a moment where it is this process itself that had the lock: a program that it is just
// starting has the files that were closed meanwhile, until it runs.
func tryLock(f *os.File, how int) (err error) {
	own := fmt.Sprintf("process %d", os.Getpid())
	for range 20 {
		err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) || lockHolder(f.Name()) != own {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	return err
}

// writePID is for the text of ErrLocked; the lock does not depend on it, so its
// errors do not matter.
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

// NoteLost keeps the queue IDs of messages that were refused but may come back
// with the log, in case the program ends before the store recovers: the next start
// removes them. The IDs are random, so the list can never name another message.
func NoteLost(path string, ids []envelope.QueueID) error {
	if len(ids) == 0 {
		return nil
	}
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(string(id) + "\n")
	}
	f, err := os.OpenFile(path+LostSuffix, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = f.WriteString(b.String())
	return errors.Join(err, f.Sync(), f.Close(), syncFolder(filepath.Dir(path)))
}

// ReadLost returns what NoteLost kept.
func ReadLost(path string) ([]envelope.QueueID, error) {
	b, err := os.ReadFile(path + LostSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var ids []envelope.QueueID
	for line := range strings.Lines(string(b)) {
		if id, err := envelope.ParseQueueID(strings.TrimSpace(line)); err == nil {
			ids = append(ids, id)
		}
	}
	return ids, err
}

// ForgetLost removes the list.
func ForgetLost(path string) error {
	err := os.Remove(path + LostSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, syncFolder(filepath.Dir(path)))
}

// MakeBallast allocates size bytes for path, unless it has that size already.
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

// allocate reserves blocks, or writes them if the file system cannot reserve. It
// does not write zeros, which a file system may store in no space at all.
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
