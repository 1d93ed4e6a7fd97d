package sqlite

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite/disk"
)

// crashed is a copy of a store's files as a crash leaves them after each of some messages
// was accepted, and where the log ended after each.
func crashed(t *testing.T, bodies ...string) (path string, ids []spool.Message, ends []int64) {
	t.Helper()
	running := newPath(t)
	s := open(t, running)
	for _, b := range bodies {
		ids = append(ids, accept(t, s, newMessage(t, "box@example.org"), []byte(b)))
		info, err := os.Stat(running + disk.WALSuffix)
		must(t, err)
		ends = append(ends, info.Size())
	}
	path = newPath(t)
	for _, suffix := range []string{"", disk.WALSuffix} {
		b, err := os.ReadFile(running + suffix)
		must(t, err)
		write(t, path+suffix, b)
	}
	return path, ids, ends
}

// flip changes a bit of a file.
func flip(t *testing.T, path string, at int64) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	b[at] ^= 4
	write(t, path, b)
}

// TestDamagedLog flips a bit in the log of a store that crashed. Two commits behind it prove
// that the disk did that: the log is kept, and what can be read of it that did not come back.
func TestDamagedLog(t *testing.T) {
	for _, in := range []string{"page", "header"} {
		t.Run(in, func(t *testing.T) {
			path, m, ends := crashed(t, "first", "second", "third", "fourth")
			at := ends[0] + frameOf("page")
			if in == "header" {
				at = 16
			}
			flip(t, path+disk.WALSuffix, at)
			broken, err := os.ReadFile(path + disk.WALSuffix)
			must(t, err)
			s := open(t, path)
			stats, err := s.Stats(t.Context())
			must(t, err)
			folder := stats.Salvaged
			if !strings.HasPrefix(folder, path+".damaged-") {
				t.Fatalf("salvaged to %q", folder)
			}
			kept, err := os.ReadFile(filepath.Join(folder, "damaged-wal"))
			if err != nil || !bytes.Equal(kept, broken) {
				t.Errorf("the log is not kept: %v", err)
			}
			list, err := os.ReadFile(filepath.Join(folder, "list.txt"))
			must(t, err)
			for i, m := range m {
				if _, err := s.Get(t.Context(), m.ID); err == nil {
					continue
				}
				eml, err := os.ReadFile(filepath.Join(folder, string(m.ID)+".eml"))
				want := "X-Envelope-From: <box@example.org>\r\nX-Envelope-To: <to@example.org>\r\n" +
					"X-Envelope-To: <cc@example.org>\r\n" + []string{"first", "second", "third", "fourth"}[i]
				if string(eml) != want && !strings.Contains(string(list), "not read") {
					t.Errorf("message %d: %v %q, and the list says %q", i, err, eml, list)
				}
			}
			if in == "page" && !strings.Contains(string(list), string(m[3].ID)+"\n") {
				t.Errorf("the last message is not saved: %q", list)
			}
			accept(t, s, newMessage(t, "box@example.org"), []byte("next"))
			must(t, os.RemoveAll(folder))
			if stats, err = s.Stats(t.Context()); err != nil || stats.Salvaged != "" {
				t.Errorf("it is moved away: %+v, %v", stats, err)
			}
		})
	}
}

// frameOf is where in a frame something is.
func frameOf(what string) int64 { return map[string]int64{"page": 24 + 100}[what] }

// TestInterruptedCommitIsNoDamage cuts and spoils the last commit only, as a crash does.
func TestInterruptedCommitIsNoDamage(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, path string, ends []int64){
		"whole":   func(*testing.T, string, []int64) {},
		"flipped": func(t *testing.T, path string, ends []int64) { flip(t, path, ends[1]+frameOf("page")) },
		"cut": func(t *testing.T, path string, ends []int64) {
			must(t, os.Truncate(path, ends[1]+5000))
		},
		"empty": func(t *testing.T, path string, _ []int64) { must(t, os.Truncate(path, 0)) },
		"text": func(t *testing.T, path string, _ []int64) {
			write(t, path, bytes.Repeat([]byte("text "), 10_000))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, _, ends := crashed(t, "first", "second", "third")
			spoil(t, path+disk.WALSuffix, ends)
			if name == "empty" || name == "text" { // the tables were in the log
				must(t, os.Remove(path))
			}
			s := open(t, path)
			if stats, err := s.Stats(t.Context()); err != nil || stats.Salvaged != "" {
				t.Errorf("%+v, %v", stats, err)
			}
		})
	}
}

// TestDamagedLogThatCannotBeKept wants a store without room for its damaged log to leave it
// alone.
func TestDamagedLogThatCannotBeKept(t *testing.T) {
	path, _, ends := crashed(t, "first", "second", "third", "fourth")
	flip(t, path+disk.WALSuffix, ends[0]+frameOf("page"))
	folder := path + ".damaged-" + start().UTC().Format("20060102T150405Z")
	write(t, folder, []byte("in the way"))
	before, err := os.ReadFile(path + disk.WALSuffix)
	must(t, err)
	_, err = Open(t.Context(), Options{Path: path, BallastSize: -1, Now: start})
	if err == nil || !strings.Contains(err.Error(), "cannot be kept") {
		t.Errorf("it opens: %v", err)
	}
	if after, err := os.ReadFile(path + disk.WALSuffix); err != nil || !bytes.Equal(before, after) {
		t.Error(fmt.Errorf("the log changed: %w", err))
	}
}
