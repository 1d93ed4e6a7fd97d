package entra

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/outcome"
	"graphrelay/relay/sandbox"
)

// TestChangedFileIsLoaded replaces a file as Kubernetes does, by turning a
// symbolic link; the identity logs in with it at once, and OnChange is called.
func TestChangedFileIsLoaded(t *testing.T) {
	d, cfg := imitated(t, sandbox.Options{})
	dir := t.TempDir()
	put := func(version, secret string) {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, version, "secret"), []byte(secret))
		link := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(version, link); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	put("v1", "the-expired-secret")
	cfg.SecretFile = filepath.Join(dir, "..data", "secret")
	var log lockedBuffer
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	changed := make(chan struct{}, 10)
	cfg.OnChange = func() { changed <- struct{}{} }
	c := mustNew(t, cfg)
	c.every = time.Millisecond
	if a := refusedLogin(t, c); a.Outcome != outcome.Hold {
		t.Fatalf("%+v", a)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go c.Run(ctx)

	put("v2", d.Secret())
	<-changed
	// Without the pause that follows a failed login.
	delivers(t, c)
	for _, word := range []string{"the-expired-secret", d.Secret()} {
		if strings.Contains(log.String(), word) {
			t.Errorf("a secret is in the log:\n%s", log.String())
		}
	}
}

// A file that was touched, or is half written, changes nothing.
func TestReloadKeepsWhatWorks(t *testing.T) {
	d, cfg := imitated(t, sandbox.Options{})
	cfg.SecretFile = filepath.Join(t.TempDir(), "secret")
	writeFile(t, cfg.SecretFile, []byte(testSecret))
	var log bytes.Buffer
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	cfg.OnChange = func() { t.Error("nothing has changed") }
	c := mustNew(t, cfg)
	writeFile(t, cfg.SecretFile, []byte("\n"+testSecret+"\n"))
	c.reload()
	writeFile(t, cfg.SecretFile, nil)
	if c.reload(); c.current().secret != testSecret ||
		!strings.Contains(log.String(), "keeping the previous credential") {
		t.Errorf("%s", &log)
	}
	if logins := len(d.Stats().Answers["token"]); logins != 0 {
		t.Errorf("%d logins", logins)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
