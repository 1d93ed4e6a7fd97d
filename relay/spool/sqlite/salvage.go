package sqlite

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/sqlite/disk"
	"graphrelay/relay/spool/sqlite/file"
	"graphrelay/relay/spool/tables"
	"graphrelay/relay/text"
)

// A log that the disk has damaged loses, with a crash, accepted mail behind the damage: SQLite
// stops reading there. Before that, the log is kept in a folder beside the store, and
// what can be read of the messages that did not come back goes there as files, for
// the administrator to judge: never back into the queue, for it may have been sent.

// salvageSuffix begins the names of these folders.
const salvageSuffix = ".damaged-"

// salvage is such a folder, and a copy of the database that has all whole pages.
type salvage struct{ folder, copy string }

// keepDamagedLog looks at the log before SQLite does; nil if it is well.
func (h *host) keepDamagedLog() (*salvage, error) {
	path := h.opts.Path
	log, err := file.ReadLog(path + disk.WALSuffix)
	if err != nil || !log.Damaged() {
		return nil, err
	}
	v := &salvage{folder: path + salvageSuffix + h.engine.Options.Now().UTC().Format("20060102T150405Z")}
	v.copy = filepath.Join(v.folder, "copy.db")
	err = os.Mkdir(v.folder, 0o750)
	if err == nil {
		err = os.WriteFile(filepath.Join(v.folder, "damaged-wal"), log.Bytes(), 0o640)
	}
	if err == nil {
		err = disk.Copy(path, v.copy)
	}
	if err = errors.Join(err, disk.Sync(filepath.Join(v.folder, "damaged-wal"))); err == nil {
		err = log.Apply(v.copy)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("spool: the log of the queue is damaged, and cannot be kept: %w; "+
			"free space on the disk of queue.store, then start again", err), os.RemoveAll(v.folder))
	}
	return v, nil
}

// writeSalvaged writes each message of the copy that did not come back to a file, with its
// envelope, and a list of them and of what could not be read.
func (h *host) writeSalvaged(writer *db.Conn, v *salvage) {
	if v == nil {
		return
	}
	var list strings.Builder
	c, err := file.Dial(v.copy, existing)
	if err == nil {
		err = errors.Join(eachLost(c, writer, func(n int64, id string) {
			err := saveLost(c, n, filepath.Join(v.folder, id+".eml"))
			if list.WriteString(id); err != nil {
				list.WriteString(" not read: " + text.Line(err.Error()))
			}
			list.WriteString("\n")
		}), c.Close())
	}
	if err != nil {
		list.WriteString("not everything was read: " + text.Line(err.Error()) + "\n")
	}
	for _, suffix := range []string{"", disk.WALSuffix, "-shm"} {
		_ = os.Remove(v.copy + suffix)
	}
	name := filepath.Join(v.folder, "list.txt")
	if err := errors.Join(os.WriteFile(name, []byte(list.String()), 0o640), disk.Sync(name)); err != nil {
		h.log.Error("cannot write the list of messages that the damaged log held", slog.Any("error", err))
	}
	h.log.Error("queue log was damaged; accepted mail may be missing from the queue", slog.String("path", v.folder))
}

// eachLost hands over the messages of the copy that are not in the store.
func eachLost(c, writer *db.Conn, do func(n int64, id string)) error {
	type row struct {
		n  int64
		id string
	}
	rows, err := db.All(c, "SELECT n, id FROM message NOT INDEXED ORDER BY n", nil, func(r *db.Row) (row, error) {
		return row{r.Int(), r.Str()}, r.Err
	})
	for _, r := range rows {
		known, err := writer.Number("SELECT count(*) FROM message WHERE id = ?", r.id)
		if err != nil {
			return err
		}
		if known == 0 {
			do(r.n, filepath.Base(r.id))
		}
	}
	return err
}

// saveLost writes one message with its envelope.
func saveLost(c *db.Conn, n int64, name string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	err = tables.Export(c, n, f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		if info, unknown := os.Stat(name); unknown == nil && info.Size() == 0 {
			return errors.Join(err, os.Remove(name))
		}
		err = errors.Join(err, os.Rename(name, name+".part"))
	}
	return err
}

// salvaged returns the latest folder that nobody has moved away; "" for none.
func salvaged(path string) string {
	folders, _ := filepath.Glob(path + salvageSuffix + "*")
	if len(folders) == 0 {
		return ""
	}
	return folders[len(folders)-1]
}
