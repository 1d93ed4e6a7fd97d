package main

import (
	"errors"
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
