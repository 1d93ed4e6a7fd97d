package sendmail

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"graphrelay/relay/envelope"
)

func dead(t *testing.T, text string) DeadLetter {
	t.Helper()
	to, err := envelope.ParseRecipient("root")
	if err != nil {
		t.Fatal(err)
	}
	return DeadLetter{
		Message: read(t, text, true), From: account.Address(), To: []envelope.Address{to},
		Cause: errors.New("no\r\nBcc: x"), Now: time.Date(2026, 11, 22, 9, 8, 7, 0, time.UTC),
	}
}

const deadHead = "From alice@web01.example.org Sun Nov 22 09:08:07 2026\nX-Graphrelay-Cause: no??Bcc: " +
	"x\nX-Graphrelay-Recipient: root\n"

func TestDeadLetter(t *testing.T) {
	dir := t.TempDir()
	want := ""
	for _, c := range []struct{ in, want string }{
		{"To: a@b\nBcc: c@d\n\nhi\nFrom here\n>From there\nFromage\n",
			"To: a@b\nBcc: c@d\n\nhi\n>From here\n>>From there\nFromage\n\n"},
		{"no header", "\nno header\n\n"},
		{"From root Mon Nov 22 09:18:19 2026\nTo: a@b\n\n", "To: a@b\n\n\n"},
	} {
		path, err := dead(t, c.in).Save(dir)
		if err != nil {
			t.Fatal(err)
		}
		want += deadHead + c.want
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("dead.letter:\n%s\nwant:\n%s", got, want)
		}
	}
	if info, _ := os.Stat(filepath.Join(dir, "dead.letter")); info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

// Whoever can write to the directory must not be able to turn the file into
// another one of the user's.
func TestDeadLetterFollowsNobody(t *testing.T) {
	for name, plant := range map[string]func(path, victim string) error{
		"symbolic link": func(path, victim string) error { return os.Symlink(victim, path) },
		"dangling link": func(path, victim string) error { return os.Symlink(victim+"2", path) },
		"hard link":     func(path, victim string) error { return os.Link(victim, path) },
		"FIFO":          func(path, _ string) error { return syscall.Mkfifo(path, 0o600) },
		"directory":     func(path, _ string) error { return os.Mkdir(path, 0o700) },
		"larger than 64M": func(path,
			_ string) error {
			return os.WriteFile(path, make([]byte, maxDeadLetter+1), 0o600)
		},
	} {
		dir := t.TempDir()
		victim := filepath.Join(dir, "victim")
		if err := os.WriteFile(victim, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := plant(filepath.Join(dir, "dead.letter"), victim); err != nil {
			t.Fatal(err)
		}
		if path, err := dead(t, "x").Save(dir); err == nil {
			t.Errorf("%s: saved in %s", name, path)
		}
		if b, _ := os.ReadFile(victim); string(b) != "x" {
			t.Errorf("%s: the victim was written to", name)
		}
		if info, _ := os.Stat(victim); info.Mode().Perm() != 0o644 {
			t.Errorf("%s: the victim's mode was changed", name)
		}
		if _, err := os.Stat(victim + "2"); err == nil {
			t.Errorf("%s: a file was made elsewhere", name)
		}
	}
}

func TestDeadLetterTightensAnOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "dead.letter")
	if err := os.WriteFile(path, []byte("old\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := dead(t, "x").Save(dir); err != nil {
		t.Fatal(err)
	}
	info, _ := os.Stat(path)
	if b, _ := os.ReadFile(path); !strings.HasPrefix(string(b), "old\nFrom ") || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %q", info.Mode(), b)
	}
}

// Many jobs may fail in the same second.
func TestDeadLettersDoNotMix(t *testing.T) {
	dir := t.TempDir()
	text := "To: a@b\n\n" + strings.Repeat("line\n", 40000)
	var all sync.WaitGroup
	for range 8 {
		d := dead(t, text)
		all.Go(func() {
			if _, err := d.Save(dir); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	b, err := os.ReadFile(filepath.Join(dir, "dead.letter"))
	if err != nil || string(b) != strings.Repeat(deadHead+text+"\n", 8) {
		t.Errorf("%d octets of mixed records, %v", len(b), err)
	}
}

func TestDeadLetterWithoutADirectory(t *testing.T) {
	if _, err := dead(t, "x").Save("/nonexistent"); err == nil {
		t.Error("saved nowhere")
	}
}
