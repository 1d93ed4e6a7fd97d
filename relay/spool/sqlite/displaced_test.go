package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite/disk"
)

// TestDisplacedFile deletes or replaces each file of a store that is open. It takes no
// more mail, says what to do, and whoever does that has all that was accepted.
func TestDisplacedFile(t *testing.T) {
	rename := func(t *testing.T, from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(t *testing.T, path string) { rename(t, path, filepath.Join(t.TempDir(), "gone")) }
	replace := func(t *testing.T, path string) {
		other := newPath(t)
		s := open(t, other)
		accept(t, s, newMessage(t, "other@example.org"), []byte("other"))
		b, err := os.ReadFile(other + strings.TrimPrefix(filepath.Ext(path), ".db"))
		if err != nil {
			t.Fatal(err)
		}
		write(t, other+".copy", b)
		chmod(t, other+".copy", 0o640)
		rename(t, other+".copy", path)
	}
	for name, c := range map[string]struct {
		displace func(t *testing.T, path string)
		suffixes []string
	}{
		"database deleted":         {remove, []string{""}},
		"database replaced":        {replace, []string{""}},
		"log deleted":              {remove, []string{disk.WALSuffix}},
		"log replaced":             {replace, []string{disk.WALSuffix}},
		"lock deleted":             {remove, []string{disk.LockSuffix}},
		"everything deleted":       {remove, []string{"", disk.WALSuffix, "-shm", disk.LockSuffix}},
		"database, log of another": {replace, []string{"", disk.WALSuffix}},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			s := open(t, path)
			kept := accept(t, s, newMessage(t, "box@example.org"), []byte("kept"))
			for _, suffix := range c.suffixes {
				c.displace(t, path+suffix)
			}
			eventually(t, "an unhealthy store", func() bool { return errors.Is(s.Health(), spool.ErrUnhealthy) })
			if err := tryAccept(s, newMessage(t, "box@example.org"), nil); !errors.Is(err, spool.ErrUnhealthy) {
				t.Errorf("mail is accepted: %v", err)
			}
			if why := s.Health().Error(); !strings.Contains(why, "deleted or replaced") ||
				!strings.Contains(why, "systemctl restart graphrelay") ||
				strings.Contains(why, "mv") != (c.suffixes[0] == "") {
				t.Errorf("it says %s", why)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if c.suffixes[0] == "" {
				saved, _ := filepath.Glob(path + ".saved-*")
				if len(saved) != 1 {
					t.Fatalf("saved: %q", saved)
				}
				rename(t, saved[0], path)
				_ = errors.Join(os.Remove(path+disk.WALSuffix), os.Remove(path+"-shm")) // they may be gone
			}
			s = open(t, path)
			wantOnly(t, s, kept.ID)
			if string(readAll(t, s, kept.ID)) != "kept" || s.Health() != nil {
				t.Errorf("started again: %v", s.Health())
			}
		})
	}
}

// TestDisplacedFileComesBack wants a store to go on once its file is at its path again.
func TestDisplacedFileComesBack(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	kept := accept(t, s, newMessage(t, "box@example.org"), []byte("kept"))
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an unhealthy store", func() bool { return s.Health() != nil })
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a healthy store", func() bool { return s.Health() == nil })
	next := accept(t, s, newMessage(t, "box@example.org"), []byte("next"))
	wantOnly(t, s, kept.ID, next.ID)
}

// TestDisplacedFileThatCannotBeSaved wants a store that finds no room for its copy to say
// so, and to make it as soon as there is some.
func TestDisplacedFileThatCannotBeSaved(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	accept(t, s, newMessage(t, "box@example.org"), []byte("kept"))
	away := filepath.Dir(path) + "-away"
	if err := os.Rename(filepath.Dir(path), away); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a warning", func() bool {
		err := s.Health()
		return err != nil && strings.Contains(err.Error(), "do not stop the service before its queue is saved")
	})
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a copy", func() bool { return strings.Contains(s.Health().Error(), "run: mv -f") })
}

// TestLockOutlivesItsFile wants a second daemon to be refused whose first one lost its lock file.
func TestLockOutlivesItsFile(t *testing.T) {
	path := newPath(t)
	open(t, path)
	if err := os.Remove(path + disk.LockSuffix); err != nil {
		t.Fatal(err)
	}
	_, err := disk.Hold(path)
	if !errors.Is(err, spool.ErrLocked) || !strings.Contains(err.Error(), "stop that process") {
		t.Errorf("a second one: %v", err)
	}
}
