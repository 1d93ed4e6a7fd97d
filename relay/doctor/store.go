package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"graphrelay/config"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/postgres"
	"graphrelay/relay/spool/sqlite"
	"graphrelay/relay/text"
	"graphrelay/relay/wiring"
)

// ErrNoStore means that there is no store yet.
var ErrNoStore = errors.New("the service creates it at its first start (systemctl start graphrelay); " +
	"if the service runs with another configuration, name that with -c FILE")

// Stopped is the queue without the service that works on it.
type Stopped interface {
	spool.Reader
	Close() error
}

// OpenStopped opens the store of a service that is not running, read-only;
// ErrNoStore where none was ever created. A database can be read whichever node works on it.
func OpenStopped(ctx context.Context, c *config.Config) (Stopped, error) {
	if file := c.Queue.StoreURLFile; file != "" {
		url, _, err := postgres.ReadURL(string(file))
		if err != nil {
			return nil, err
		}
		s, err := postgres.OpenReadOnly(ctx, url)
		if errors.Is(err, postgres.ErrNoQueue) {
			return nil, fmt.Errorf("there is no queue in the database: %w", ErrNoStore)
		}
		return orNil(s, err)
	}
	s, err := openFile(ctx, c)
	return orNil(s, err)
}

// usable returns why the service could not work on its store.
func usable(ctx context.Context, c *config.Config) error {
	if c.Queue.StoreURLFile != "" {
		_, err := examineDatabase(c)
		return err
	}
	s, err := openFile(ctx, c)
	switch {
	case err == nil:
		err = s.Close()
	case errors.Is(err, ErrNoStore), errors.Is(err, spool.ErrLocked):
		err = nil
	}
	return err
}

func orNil[S Stopped](s S, err error) (Stopped, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

func openFile(ctx context.Context, c *config.Config) (*sqlite.ReadOnly, error) {
	path := c.Queue.Store.Path
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no store at %s: %w", path, ErrNoStore)
	}
	return sqlite.OpenReadOnly(ctx, path)
}

// store looks for damage. A running service holds the store and watches it
// itself.
func (d *examiner) store(ctx context.Context) {
	if d.c.Queue.StoreURLFile != "" {
		d.database()
		return
	}
	path := d.c.Queue.Store.Path
	s, err := openFile(ctx, d.c)
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

// examineDatabase asks the server that keeps the queue whether it can keep it safe.
func examineDatabase(c *config.Config) (postgres.Examined, error) {
	url, _, err := postgres.ReadURL(string(c.Queue.StoreURLFile))
	if err != nil {
		return postgres.Examined{}, err
	}
	return postgres.Examine(url)
}

func (d *examiner) database() {
	is, err := examineDatabase(d.c)
	if err != nil {
		c := text.ReadCause(err.Error())
		d.fail("spool", c.Headline+detail(c.Detail), c.Remedy)
		return
	}
	switch {
	case is.Empty:
		d.ok("spool", "%s; the first start makes the tables", is.Server)
	case len(is.Nodes) == 0:
		d.ok("spool", "%s; no node works on the queue now", is.Server)
	default:
		var names []string
		for _, n := range is.Nodes {
			names = append(names, n.Name)
		}
		d.ok("spool", "%s; nodes that work on the queue: %s", is.Server, strings.Join(names, ", "))
	}
	for _, c := range is.Troubles {
		d.warn("spool", c.Headline+detail(c.Detail), c.Remedy)
	}
	if is.Alone {
		c := text.ReadCause(postgres.Unprotected)
		d.warn("spool", c.Headline, c.Remedy)
	}
}

func detail(s string) string {
	if s == "" {
		return ""
	}
	return " [" + s + "]"
}

// disk looks at the free space for the store.
func (d *examiner) disk() {
	if path, _ := wiring.Disk(d.c); path == "" {
		return
	}
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
