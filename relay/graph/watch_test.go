package graph

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
)

func TestExpiryStage(t *testing.T) {
	const day = 24 * time.Hour
	for left, want := range map[time.Duration]int{
		31 * day: -1, 30 * day: 30, 15 * day: 30, 14 * day: 14, 8 * day: 14, 7 * day: 7, 3*day + 1: 7, 3 * day: 3, 25 * time.Hour: 3, day: 1, 1: 1, 0: 0, -day: 0,
	} {
		if got := expiryStage(noon, noon.Add(left)); got != want {
			t.Errorf("%v left: %d, want %d", left, got, want)
		}
	}
	if got := expiryStage(noon, time.Time{}); got != -1 {
		t.Errorf("nobody knows: %d", got)
	}
}

// What the operator reads has the date, what is left, and what to do.
func TestExpiryText(t *testing.T) {
	end := noon.AddDate(0, 0, 40)
	for days, want := range map[int][3]string{
		9: {"", "", ""}, 10: {"30 days", "in 30 days; ", "put its Value into the file"}, 27: {"14 days", "in 13 days; ", ""}, 39: {"1 days", "in 24 hours; ", ""}, 40: {Expired, "has expired on ", ""},
	} {
		stage, text := CredentialInfo{Kind: KindSecret, NotAfter: end}.Expiry(noon.AddDate(0, 0, days))
		if stage != want[0] || !strings.Contains(text, want[1]) || !strings.Contains(text, want[2]) || (text == "") != (stage == "") || stage != "" && !strings.Contains(text, end.UTC().Format(time.DateOnly)) {
			t.Errorf("day %d: %s, %s", days, stage, text)
		}
	}
}

// TestChangedFileIsTakenOver replaces a file as Kubernetes does, by turning a
// symbolic link; the identity logs in with it at once, and those who hold mail
// are told.
func TestChangedFileIsTakenOver(t *testing.T) {
	d := newDouble(t)
	cfg := d.config()
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
	cfg.OnCredentialChange = func() { changed <- struct{}{} }
	c := mustNew(t, cfg)
	c.every = time.Millisecond
	d.login = loginFails(401, "invalid_client", 7000222)
	if a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample)); a.Outcome != outcome.Hold {
		t.Fatalf("%+v", a)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go c.Run(ctx)

	d.mu.Lock()
	d.login = nil
	d.mu.Unlock()
	put("v2", testSecret)
	<-changed
	// Without the pause that follows a failed login.
	if a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample)); a.Outcome != outcome.Delivered {
		t.Errorf("%+v", a)
	}
	for _, word := range []string{"the-expired-secret", testSecret} {
		if strings.Contains(log.String(), word) {
			t.Errorf("a secret is in the log:\n%s", log.String())
		}
	}
}

// A file that was touched, or is half written, changes nothing.
func TestReloadKeepsWhatWorks(t *testing.T) {
	d := newDouble(t)
	cfg := d.config()
	var log bytes.Buffer
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	cfg.OnCredentialChange = func() { t.Error("nothing has changed") }
	c := mustNew(t, cfg)
	told := c.secretsInUse()
	writeFile(t, cfg.SecretFile, []byte("\n"+testSecret+"\n"))
	told = c.reload(told)
	writeFile(t, cfg.SecretFile, nil)
	if c.reload(told); c.current().secret != testSecret || !strings.Contains(log.String(), "not taken over") {
		t.Errorf("%s", &log)
	}
	if logins, _ := d.counts(); logins != 0 {
		t.Errorf("%d logins", logins)
	}
}

// A login that began with the old credential says nothing about the new one.
func TestRestartDuringALogin(t *testing.T) {
	began, end := make(chan int, 10), make(chan struct{})
	n := 0
	tokens := &tokens{now: time.Now, log: slog.New(slog.DiscardHandler)}
	tokens.login = func(context.Context, string) (token, error) {
		n++
		began <- n
		if n == 1 {
			<-end
			return token{}, &LoginError{outcome.Answer{Outcome: outcome.Hold, Text: "old secret"}}
		}
		return newToken("new", time.Now(), time.Now().Add(time.Hour), time.Time{}), nil
	}
	go func() { _, _ = tokens.get(t.Context()) }()
	<-began
	tokens.restart()
	close(end)
	<-began
	if tok, err := tokens.get(within10s(t)); err != nil || tok.value != "new" {
		t.Errorf("%+v, %v", tok, err)
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
