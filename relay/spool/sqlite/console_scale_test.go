//go:build bench

package sqlite_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/relay/console"
	"graphrelay/relay/monitor"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite"
	"graphrelay/relay/state"
)

// idle is an operator who does nothing.
type idle struct{ console.Operator }

// TestConsoleScale holds each page of the console over 100,000 queued messages
// and 1,000,000 of history against 300 ms.
func TestConsoleScale(t *testing.T) {
	o := sqlite.Options{Path: filepath.Join(t.TempDir(), "queue.db"), BallastSize: -1}
	s, err := sqlite.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	sqlite.FillSent(t, s, history(), time.Now().Add(-28*24*time.Hour))
	sqlite.FillQueued(t, s, 100_000, time.Now().Add(-100_000*2*time.Second))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = sqlite.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	browser, site := signIn(t, s)
	queued, err := s.List(t.Context(), spool.Filter{States: []spool.State{spool.Queued}, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	id := string(queued[0].ID)
	for _, page := range []string{
		"/", "/?range=30d", "/clients", "/setup", "/test",
		"/messages", "/messages?state=waiting", "/messages?state=sent", "/messages?state=held",
		"/messages?q=all@example.net", "/messages?q=to17@example.net", "/messages?q=nobody@example.net",
		"/messages?q=client3", "/messages?state=waiting&q=all@example.net", "/messages?q=10.0.0.1",
		"/messages?mailbox=" + queued[0].Mailbox.String(), "/messages?after=" + id,
		"/messages/" + id, "/messages/" + id + "/delete",
	} {
		var took []time.Duration
		for range 5 {
			took = append(took, load(t, browser, site+page))
		}
		slices.Sort(took)
		t.Logf("%-50s median %4d ms, at most %4d ms", page, took[2].Milliseconds(), took[4].Milliseconds())
		if took[2] > 300*time.Millisecond {
			t.Logf("OVER 300 ms: %s", page)
		}
	}
}

// load returns how long a page takes.
func load(t *testing.T, browser *http.Client, page string) time.Duration {
	t.Helper()
	began := time.Now()
	res, err := browser.Get(page)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s = %s, %v: %s", page, res.Status, err, b)
	}
	return time.Since(began)
}

// signIn serves the console of a store and returns a browser that is logged in.
func signIn(t *testing.T, s *sqlite.Store) (browser *http.Client, site string) {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("hunter2"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	c := console.New(console.Config{
		Hostname:     func() string { return "relay" },
		PasswordHash: func() string { return string(hash) },
		Store:        s,
		Operator:     idle{},
		Seen:         monitor.New(monitor.Config{}),
		Snapshot:     func(ctx context.Context) (state.Snapshot, error) { return look(ctx, s) },
		Setup:        func() console.Setup { return console.Setup{} },
		Now:          time.Now,
		Log:          slog.New(slog.DiscardHandler),
	})
	srv := httptest.NewServer(c.Handler())
	t.Cleanup(srv.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser = &http.Client{Jar: jar}
	res, err := browser.PostForm(srv.URL+"/login", url.Values{"password": {"hunter2"}})
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(err, res)
	}
	return browser, srv.URL
}

// history is how many messages have ended: GRAPHRELAY_HISTORY, or a million.
func history() int {
	if n, err := strconv.Atoi(os.Getenv("GRAPHRELAY_HISTORY")); err == nil {
		return n
	}
	return 1_000_000
}

// look asks the store for what the overview shows at each look; delivery keeps
// count of what the mailboxes have sent.
func look(ctx context.Context, s *sqlite.Store) (snap state.Snapshot, err error) {
	st, err := s.Stats(ctx)
	if err != nil {
		return snap, err
	}
	snap.Queued, snap.Held = st.Queued, st.Held
	lanes, err := s.Lanes(ctx)
	if err != nil {
		return snap, err
	}
	for _, l := range lanes {
		snap.Lanes = append(snap.Lanes, state.Lane{Mailbox: l.Mailbox.String(), Queued: l.Queued, Oldest: l.Oldest})
	}
	_, err = s.Holds(ctx)
	return snap, err
}
