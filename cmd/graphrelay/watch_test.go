package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"graphrelay/relay/watchfile"
)

// A file is reloaded once it has stayed the same for a look: a half-written one and
// one that is missing for a moment are not. A refused one is tried again, ever less
// often, until it is right.
func TestWatchedFileIsReloadedWhenItHasSettled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	w := &configWatch{files: watchfile.New(path)}
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	look := func(name string, after time.Duration, want bool) {
		t.Helper()
		now = now.Add(after)
		if w.due(now) != want {
			t.Errorf("%s: due is %v", name, !want)
		}
	}
	look("nothing has changed", lookEvery, false)
	write("half")
	look("half-written", lookEvery, false)
	write("half and half")
	look("written further", lookEvery, false)
	look("whole", lookEvery, true)
	w.reloaded(nil, now)
	look("in force", 24*time.Hour, false)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	look("missing", lookEvery, false)
	write("another")
	look("there again", lookEvery, false)
	look("the other one", lookEvery, true)

	for _, pause := range []time.Duration{10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600} {
		w.reloaded(errors.New("refused"), now)
		look("too early", (pause-1)*time.Second, false)
		look("a retry", time.Second, true)
	}
	w.reloaded(errors.New("refused"), now)
	write("corrected")
	look("corrected", time.Hour, false) // in spite of the retry, which is due
	look("corrected and settled", lookEvery, true)
	w.reloaded(errors.New("refused"), now)
	look("pauses begin anew", 10*time.Second, true)
	w.reloaded(nil, now)
	look("in force again", 24*time.Hour, false)
}

// A mistake in the configuration of an installed service does not hide the service,
// which goes on by what was there before; in any other file it is the answer, for the
// service at the usual socket may be another one.
func TestAMistakeDoesNotHideTheInstalledService(t *testing.T) {
	mistake := errors.New("config.yaml:1: a mistake")
	socket := filepath.Join(t.TempDir(), "admin.sock")
	if _, err := dialAt(t.Context(), socket, mistake, true); !errors.Is(err, mistake) {
		t.Errorf("no service: %v", err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if service, err := dialAt(t.Context(), socket, mistake, true); err != nil || service == nil {
		t.Errorf("the installed service: %v", err)
	}
	if _, err := dialAt(t.Context(), socket, mistake, false); !errors.Is(err, mistake) {
		t.Errorf("another file: %v", err)
	}
}
