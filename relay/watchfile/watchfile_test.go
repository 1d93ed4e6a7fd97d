package watchfile_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"graphrelay/relay/watchfile"
)

func TestEveryChangeIsSeenOnce(t *testing.T) {
	dir := t.TempDir()
	path, other, link := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "link")
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-time.Hour)
	do(os.WriteFile(other, []byte("same size"), 0o600))
	do(os.Chtimes(other, old, old))
	do(os.Symlink(other, link))
	f := watchfile.New(path, link)
	for _, c := range []struct {
		name   string
		change func() error
	}{
		{"created", func() error { return os.WriteFile(path, []byte("one"), 0o600) }},
		{"grown", func() error { return os.WriteFile(path, []byte("longer"), 0o600) }},
		{"same size, older", func() error { return os.Chtimes(path, old, old) }},
		{"mode", func() error { return os.Chmod(path, 0o640) }},
		{"link turned", func() error { return os.Rename(symlink(t, dir, path), link) }},
		{"removed", func() error { return os.Remove(path) }},
	} {
		if f.Changed() {
			t.Errorf("changed before %q", c.name)
		}
		do(c.change())
		if !f.Changed() {
			t.Errorf("%q was not seen", c.name)
		}
	}
}

func symlink(t *testing.T, dir, to string) string {
	t.Helper()
	name := filepath.Join(dir, "new")
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
	return name
}
