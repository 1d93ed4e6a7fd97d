package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// SeenSuffix names what a store was when it was last seen, beside the database.
const SeenSuffix = ".seen"

// seenOutside is where it is kept if there is such a folder: a backup of the store's
// folder that is put back does not bring its own.
func seenOutside(path string) (file string, there bool) {
	dir := filepath.Dir(path) + "-seen"
	info, err := os.Stat(dir)
	return filepath.Join(dir, filepath.Base(path)), err == nil && info.IsDir()
}

// ReadSeen returns what WriteSeen kept of the store at path; "" for nothing. What
// came with a store that was moved counts where nothing is known here.
func ReadSeen(path string) (string, error) {
	if file, there := seenOutside(path); there {
		if b, err := os.ReadFile(file); !errors.Is(err, fs.ErrNotExist) {
			return string(b), err
		}
	}
	b, err := os.ReadFile(path + SeenSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return string(b), err
}

// WriteSeen keeps what the store at path is now.
func WriteSeen(path, seen string) error {
	file, there := seenOutside(path)
	if !there {
		file = path + SeenSuffix
	}
	next := file + ".new"
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = f.WriteString(seen)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(next, file)
	}
	return errors.Join(err, syncFolder(filepath.Dir(file)))
}
