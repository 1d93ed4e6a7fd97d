package e2e_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"graphrelay/relay/e2e/harness"
)

// A command that waits for a file which is a pipe, or for its input, ends on SIGTERM.
func TestABlockedCommandEndsOnSIGTERM(t *testing.T) {
	for _, args := range [][]string{
		{"check", "-c"}, {"check", "--show", "-c"}, {"doctor", "-c"}, {"status", "-c"}, {"queue", "list", "-c"},
		{"serve", "-c"}, {"cert", "show"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			fifo := filepath.Join(t.TempDir(), "fifo")
			if err := unix.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			p := harness.Start(t, exec.Command(harness.Binary(t), append(args, fifo)...))
			var w *os.File
			defer func() { w.Close() }()
			harness.Until(t, time.Minute, "the command to read", func() (reads bool) {
				var err error
				w, err = os.OpenFile(fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0)
				return err == nil
			})
			endedBy(t, p.Stop(time.Minute), syscall.SIGTERM)
		})
	}
}

func endedBy(t *testing.T, err error, signal syscall.Signal) {
	t.Helper()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		t.Fatalf("it ended with %v", err)
	}
	if status := exit.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != signal || status.CoreDump() {
		t.Errorf("it ended with %v", err)
	}
}

// A service that crashes or is aborted leaves no core, which would hold secrets and
// mail, whatever the limits are, and prints no secret.
func TestNoCore(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: limit.Max, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Setrlimit(unix.RLIMIT_CORE, &limit) }()
	for _, signal := range []syscall.Signal{syscall.SIGABRT, syscall.SIGQUIT} {
		d := harness.StartDouble(t)
		r := harness.StartRelay(t, d, harness.Env("GOTRACEBACK=crash"))
		sendOne(t, r, "before the crash")
		d.WaitFor(t, 1, time.Minute)
		if err := syscall.Kill(r.PID(), signal); err != nil {
			t.Fatal(err)
		}
		endedBy(t, r.Wait(time.Minute), map[syscall.Signal]syscall.Signal{
			syscall.SIGABRT: syscall.SIGABRT, syscall.SIGQUIT: syscall.SIGABRT}[signal])
		if cores, _ := filepath.Glob(filepath.Join(r.Dir, "core*")); len(cores) > 0 {
			t.Errorf("%v leaves %q", signal, cores)
		}
		for _, word := range []string{d.Secret(), "eyJ", "before the crash"} {
			if strings.Contains(r.Output(), word) {
				t.Errorf("%v: %q is printed", signal, word)
			}
		}
	}
}
