//go:build torture

package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite/disk"
)

// These tests need root and strace. They fail where these are missing: to
// leave them out, run without the tag.

// traced runs a child under strace.
func traced(mode, path, trace string, args ...string) *exec.Cmd {
	cmd := childCommand(mode, path)
	cmd.Args = append(append([]string{"strace", "-f", "-qq", "-y", "-o", trace}, args...), cmd.Path)
	cmd.Path = "/usr/bin/strace"
	return cmd
}

// TestSyncBeforeAnswer wants an fsync of the log between the last write of
// each message and the moment its Commit returned.
func TestSyncBeforeAnswer(t *testing.T) {
	path, trace, l := newPath(t), filepath.Join(t.TempDir(), "trace"), newLedger()
	cmd := traced("commits", path, trace, "-e", "trace=pwrite64,fsync,fdatasync,write")
	l.run(t, cmd, func(int) bool { return false })
	b, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	answers, dirty := 0, true
	for _, call := range calls(string(b)) {
		wal := strings.Contains(call, "-wal")
		switch {
		case wal && strings.Contains(call, "pwrite64("):
			dirty = true
		case wal && strings.Contains(call, "sync(") && strings.HasSuffix(call, "= 0"):
			dirty = false
		case strings.Contains(call, `"accepted `):
			if answers++; dirty {
				t.Errorf("answered before the log was synced: %s", call)
			}
			dirty = true // the next answer needs a sync of its own
		}
	}
	if answers != 20 {
		t.Errorf("saw %d answers in the trace, want 20", answers)
	}
}

// calls joins the two halves that strace makes of a call during which another
// thread did something. A write of the answer counts from its beginning, the
// others from their end.
func calls(trace string) []string {
	var list []string
	begun := map[string]string{}
	for line := range strings.Lines(trace) {
		line = strings.TrimSpace(line)
		thread, call, _ := strings.Cut(line, " ")
		head, unfinished := strings.CutSuffix(call, "<unfinished ...>")
		switch _, tail, resumed := strings.Cut(call, "resumed>"); {
		case unfinished && strings.Contains(head, `"accepted `):
			list = append(list, head)
		case unfinished:
			begun[thread] = head
		case resumed:
			list = append(list, begun[thread]+tail)
			delete(begun, thread)
		default:
			list = append(list, call)
		}
	}
	return list
}

// TestSystemCallFails lets the Nth call of each kind that a commit makes fail,
// once and from then on, for every N. After one failure the store recovers and
// mail is taken again. Whatever was accepted is there after a
// restart, whatever was refused is not.
func TestSystemCallFails(t *testing.T) {
	for _, c := range []struct {
		call, err        string
		first, last, gap int
	}{
		{"fsync", "EIO", 1, 34, 1},
		{"pwrite64", "EIO", 1, 560, 37},
		{"pwrite64", "ENOSPC", 3, 560, 41},
		{"ftruncate", "EIO", 1, 6, 1},
	} {
		for ever, mode := range map[string]string{"": "patient", "+": "commits"} {
			failed, refused := 0, 0
			for n := c.first; n <= c.last; n += c.gap {
				path, l := newPath(t), newLedger()
				inject := fmt.Sprintf("inject=%s:error=%s:when=%d%s", c.call, c.err, n, ever)
				trace := filepath.Join(filepath.Dir(path), "trace")
				cmd := traced(mode, path, trace, "-e", "trace="+c.call, "-e", inject)
				if !runInjected(t, l, cmd) {
					refused++
					continue
				}
				if len(l.failed) > 0 {
					failed++
				}
				if len(l.accepted)+len(l.failed) != 20 {
					t.Errorf("%s: %d accepted, %d failed, %q", inject, len(l.accepted), len(l.failed), l.other)
				}
				// strace counts in each thread, so one failure may be several.
				if injected := injectedIn(t, trace); ever == "" && len(l.failed) > 3*injected {
					t.Errorf("%s: %d failures refused %d messages, %q", inject, injected, len(l.failed), l.other)
				}
				wantLedger(t, path, l)
			}
			t.Logf("%s %s%s: %d runs lost a commit, %d did not start", c.call, c.err, ever, failed, refused)
			if failed == 0 && c.call != "ftruncate" {
				t.Errorf("%s %s%s: no commit failed; the test tests nothing", c.call, c.err, ever)
			}
		}
	}
}

func injectedIn(t *testing.T, trace string) int {
	t.Helper()
	b, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(b, []byte("(INJECTED)"))
}

// runInjected is run for a child that may fail to start because its calls do.
// Where strace itself loses the child, what the child said still counts.
func runInjected(t *testing.T, l *ledger, cmd *exec.Cmd) (started bool) {
	t.Helper()
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	for line := range strings.Lines(string(out)) {
		l.note(strings.TrimSpace(line))
	}
	if strings.Contains(complaint.String(), "ptrace(") {
		t.Logf("strace failed: %s", complaint.String())
		return false
	}
	if err != nil && (len(l.accepted) > 0 || len(l.other) == 0) {
		t.Fatalf("%v: %v, %q, %s", cmd.Args, err, l.other, complaint.String())
	}
	return err == nil
}

// TestKilledAtSystemCall kills the program at the Nth write or sync of a commit.
func TestKilledAtSystemCall(t *testing.T) {
	for _, call := range []string{"fsync", "pwrite64"} {
		gap := map[string]int{"fsync": 1, "pwrite64": 29}[call]
		for n := 1; n < 34*gap && n < 560; n += gap {
			path, l := newPath(t), newLedger()
			cmd := traced("commits", path, "/dev/null", "-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, n))
			out, _ := cmd.Output() // it is killed
			for line := range strings.Lines(string(out)) {
				l.note(strings.TrimSpace(line))
			}
			s := open(t, path)
			for id := range l.accepted {
				if string(readAll(t, s, envelope.QueueID(id))) != string(childBody(envelope.QueueID(id), false)) {
					t.Errorf("killed at %s %d: message %s changed", call, n, id)
				}
			}
			// The one whose commit was under way may be there or not.
			if stats, _ := s.Stats(t.Context()); stats.Queued > len(l.accepted)+1 {
				t.Errorf("killed at %s %d: %d accepted, %d stored", call, n, len(l.accepted), stats.Queued)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// mountSmall makes a small file system for a test.
func mountSmall(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options+",mode=0750"); err != nil {
		t.Fatalf("mounting a small file system: %v; run as root", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	return dir
}

// TestRealFullDisk fills a file system to the last block. What is queued can
// still be delivered and its outcome recorded; new mail is refused before and
// welcome after.
func TestRealFullDisk(t *testing.T) {
	dir := mountSmall(t, "size=6m")
	s, err := Open(t.Context(), Options{Path: filepath.Join(dir, "queue.db"), BallastSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var queued []spool.Message
	for range 20 {
		queued = append(queued, accept(t, s, newMessage(t, "box@example.org"), bytes.Repeat([]byte("x"), 10<<10)))
	}
	filler := filepath.Join(dir, "filler")
	fill(t, filler)
	s.host.space.SetFull(false) // forget the last statfs
	if err := s.Admit("", 10<<10); !errors.Is(err, spool.ErrFull) {
		t.Errorf("Admit on a full disk: %v", err)
	}
	if err := tryAccept(s, newMessage(t, "box@example.org"), []byte("new")); !errors.Is(err, spool.ErrFull) {
		t.Errorf("new mail on a full disk: %v", err)
	}
	for range queued {
		got, err := s.Claim(t.Context(), spool.Claim{Mailbox: queued[0].Mailbox, Now: start(), Limit: 1})
		if err != nil || len(got) != 1 {
			t.Fatalf("Claim on a full disk: %v, %v", got, err)
		}
		if b := readAll(t, s, got[0].ID); len(b) != 10<<10 {
			t.Fatalf("body of %d bytes", len(b))
		}
		o := spool.Settlement{ID: got[0].ID, Attempt: 1, State: spool.Sent, At: start()}
		if err := s.Settle(t.Context(), o); err != nil {
			t.Fatalf("Settle on a full disk: %v", err)
		}
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	// Not Health: with nothing to stay free it is content with the last second's measure.
	eventually(t, "room", func() bool { return s.Admit("", 10<<10) == nil })
	accept(t, s, newMessage(t, "box@example.org"), []byte("new"))
}

// TestDiskFillsInDraft fills the file system amid messages, with nothing kept
// free: Write or Commit says so, and nothing of the message stays.
func TestDiskFillsInDraft(t *testing.T) {
	dir := mountSmall(t, "size=24m")
	opts := Options{Path: filepath.Join(dir, "queue.db"), BallastSize: 6 << 20}
	s, err := openStore(t.Context(), opts, func(s *Store) {
		// The disk is full as a surprise.
		s.host.space.Measure = func(string) (disk.Free, error) { return disk.Free{Bytes: 1 << 40, Inodes: -1}, nil }
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var kept []envelope.QueueID
	full := 0
	for range 24 {
		m := newMessage(t, "box@example.org")
		switch err := tryAccept(s, m, bytes.Repeat([]byte("x"), 1<<20)); {
		case err == nil:
			kept = append(kept, m.ID)
		case errors.Is(err, spool.ErrFull):
			full++
		default:
			t.Errorf("%v, want ErrFull", err)
		}
	}
	if full == 0 || len(kept) == 0 {
		t.Fatalf("%d kept, %d refused", len(kept), full)
	}
	wantOnly(t, s, kept...)
}

func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// TestNoInodes uses up the inodes: new mail is refused, outcomes are recorded,
// and even a failed commit is recovered from, which opens every file again.
func TestNoInodes(t *testing.T) {
	dir := mountSmall(t, "size=20m,nr_inodes=30")
	f := newFaults()
	s := open(t, filepath.Join(dir, "queue.db"), func(s *Store) {
		s.Fault = func(at string) error {
			if at == "reopen" { // others are waiting for every inode
				takeInodes(dir, "late")
			}
			return f.fault(at)
		}
	})
	m := accept(t, s, newMessage(t, "box@example.org"), []byte("body"))
	takeInodes(dir, "filler")
	s.host.space.SetFull(false) // forget the last statfs
	if err := s.Admit("", 1); !errors.Is(err, spool.ErrFull) || !strings.Contains(err.Error(), "inodes") {
		t.Errorf("Admit without inodes: %v", err)
	}
	if _, err := s.Begin(t.Context(), "", 1); !errors.Is(err, spool.ErrFull) {
		t.Errorf("Begin without inodes: %v", err)
	}
	f.set("after commit", errDisk, 1)
	claim := spool.Claim{Mailbox: m.Mailbox, Now: start(), Limit: 1}
	if _, err := s.Claim(t.Context(), claim); err == nil {
		t.Fatal("the failed commit went unseen")
	}
	if got, err := s.Claim(t.Context(), claim); err != nil || len(got) != 1 {
		t.Fatalf("no recovery without inodes: %v, %v", got, err)
	}
	o := spool.Settlement{ID: m.ID, Attempt: 1, State: spool.Sent, At: start()}
	if err := s.Settle(t.Context(), o); err != nil {
		t.Error(err)
	}
}

func takeInodes(dir, name string) {
	for i := 0; ; i++ {
		file, err := os.Create(filepath.Join(dir, fmt.Sprint(name, i)))
		if err != nil {
			return
		}
		_ = file.Close()
	}
}

// TestWrongOwner opens a store that belongs to another user.
func TestWrongOwner(t *testing.T) {
	path := newPath(t)
	if err := tryOpen(t, Options{Path: path}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatalf("%v; run as root", err)
	}
	if err := tryOpen(t, Options{Path: path}); err == nil || !strings.Contains(err.Error(), "chown") {
		t.Errorf("opened another user's store: %v", err)
	}
}
