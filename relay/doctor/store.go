package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"graphrelay/config"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite"
)

// ErrNoStore means that there is no store yet.
var ErrNoStore = errors.New("the service creates it at its first start (systemctl start graphrelay); " +
	"if the service runs with another configuration, name that with -c FILE")

// OpenStopped opens the store of a service that is not running, read-only;
// ErrNoStore where none was ever created.
func OpenStopped(ctx context.Context, c *config.Config) (*sqlite.ReadOnly, error) {
	path := c.Queue.Store.Path
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no store at %s: %w", path, ErrNoStore)
	}
	return sqlite.OpenReadOnly(ctx, path)
}

// store looks for damage. A running service holds the store and watches it
// itself.
func (d *examiner) store(ctx context.Context) {
	path := d.c.Queue.Store.Path
	s, err := OpenStopped(ctx, d.c)
	switch {
	case errors.Is(err, ErrNoStore):
		d.ok("spool", "%s does not exist yet; the first start creates it", path)
		return
	case errors.Is(err, spool.ErrLocked):
		d.ok("spool", "a running service uses it (WAL, synchronous=FULL) and marks damaged messages; "+
			"stop the service to have every page checked")
		return
	case err != nil:
		d.fail("spool", err.Error(), "see the service's log; copy the file to a safe place before anything else")
		return
	}
	defer s.Close()
	if err := s.Check(ctx); err != nil {
		d.fail("spool", err.Error(),
			"copy the file to a safe place before anything else; to accept mail again soon, start with a new store")
		return
	}
	d.ok("spool", "%s is intact, in WAL mode; the service writes it with synchronous=FULL", path)
}

// disk looks at the free space for the store.
func (d *examiner) disk() {
	dir := filepath.Dir(d.c.Queue.Store.Path)
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		d.fail("disk", "cannot examine "+dir+": "+err.Error(),
			"if it does not exist, create it: install -d -o graphrelay -g graphrelay -m 750 "+dir+
				"; else run this as root")
		return
	}
	free, least := int64(fs.Bavail)*fs.Bsize, int64(d.c.Queue.MinFreeSpace)
	text := fmt.Sprintf("%d MiB free at %s; below %d MiB no mail is accepted", free>>20, dir, least>>20)
	switch {
	case free < least:
		d.fail("disk", text, "free space, or lower queue.min_free_space")
	case free < 2*least:
		d.warn("disk", text, "free space")
	default:
		d.ok("disk", "%s", text)
	}
	if network := networkFS(int64(fs.Type)); network != "" {
		d.fail("disk", dir+" is on "+network+", where SQLite cannot rely on locks and flushes",
			"move queue.store to a local disk")
	}
}

// networkFS names the file systems that are mounted over a network, by statfs(2).
func networkFS(kind int64) string {
	return map[int64]string{0x6969: "NFS", 0xff534d42: "SMB", 0xfe534d42: "SMB", 0x01021997: "9p"}[kind]
}
