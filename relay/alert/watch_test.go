package alert

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/state"
)

func firing(b *Board) string {
	var keys []string
	for _, a := range b.Firing() {
		keys = append(keys, a.Key)
	}
	slices.Sort(keys)
	return strings.Join(keys, " ")
}

// An identity that a reload took out leaves no alarm behind.
func TestAlarmsOfAnIdentityThatIsGone(t *testing.T) {
	b := filled(Config{})
	for _, key := range []string{
		"audit:contoso", "audit:fabrikam", "lookup:contoso", "lookup:fabrikam", "hold:identity:fabrikam", "disk",
	} {
		b.Alarm(key, "something; do this", true)
	}
	w := NewWatcher(WatchConfig{Board: b, HasIdentity: func(name string) bool { return name == "contoso" }})
	w.clearOrphans()
	if got := firing(b); got != "audit:contoso disk hold:identity:fabrikam lookup:contoso" {
		t.Errorf("left: %s", got)
	}
}

// Follow clears what it raised, and nothing that others raised.
func TestFollow(t *testing.T) {
	b := filled(Config{})
	b.Alarm("report", "stuck; do this", true)
	for _, c := range []struct {
		found map[string]state.Fault
		want  string
	}{
		{map[string]state.Fault{"disk": {Headline: "full"}, "damaged": {Headline: "bad"}}, "damaged disk report"},
		{map[string]state.Fault{"disk": {Headline: "fuller"}}, "disk report"},
		{nil, "report"},
	} {
		b.Follow(c.found)
		if got := firing(b); got != c.want {
			t.Errorf("after %v: %s, want %s", c.found, got, c.want)
		}
	}
}

// watched is a Watcher of a service that a test changes.
func watched(t *testing.T, look func() (state.Snapshot, error)) (w *Watcher, looks *int) {
	looks = new(int)
	w = NewWatcher(WatchConfig{
		Board: filled(Config{}), Sampled: func(state.Snapshot) {}, HasIdentity: func(string) bool { return true },
		Snapshot: func(context.Context) (state.Snapshot, error) { *looks++; return look() },
		Log:      slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return w, looks
}

// Each sent message costs a snapshot only while there is a fault that it may
// have mended, and then one a second.
func TestGoodNewsIsLookedAtOnlyDuringAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s state.Snapshot
		w, looks := watched(t, func() (state.Snapshot, error) { return s, nil })
		synctest.Wait()
		for range 1000 {
			w.Notice(false)
		}
		time.Sleep(10 * time.Second)
		if *looks != 1 {
			t.Errorf("%d looks at a service that is well, want the first alone", *looks)
		}
		s.Held = 1
		w.Notice(true)
		time.Sleep(1500 * time.Millisecond)
		if got := firing(w.Board); got != "queue:held" || *looks != 2 {
			t.Errorf("after bad news: %q, %d looks", got, *looks)
		}
		s.Held = 0
		for range 1000 {
			w.Notice(false)
		}
		time.Sleep(1500 * time.Millisecond)
		if got := firing(w.Board); got != "" || *looks > 4 {
			t.Errorf("after good news: %q, %d looks", got, *looks)
		}
	})
}

// A snapshot that fails changes no alarm.
func TestAlarmsOutliveAFailedSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failing atomic.Bool
		w, _ := watched(t, func() (state.Snapshot, error) {
			if failing.Load() {
				return state.Snapshot{}, errors.New("disk I/O error")
			}
			return state.Snapshot{Held: 1}, nil
		})
		synctest.Wait()
		failing.Store(true)
		time.Sleep(time.Minute)
		if got := firing(w.Board); got != "queue:held" {
			t.Errorf("firing: %q", got)
		}
	})
}

// An outage is a fault at once, and an alert after some minutes: most are over by then.
func TestAnOutageIsAnAlertAfterMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := state.Outage{Identity: "contoso", Since: time.Now(), Attempts: 5, Text: "No connection; wait"}
		w, _ := watched(t, func() (state.Snapshot, error) { return state.Snapshot{Outages: []state.Outage{out}}, nil })
		time.Sleep(2*time.Minute + 59*time.Second)
		if got := firing(w.Board); got != "" {
			t.Errorf("before three minutes: %q", got)
		}
		time.Sleep(watchEvery + 2*time.Second)
		if got := firing(w.Board); got != "outage" {
			t.Errorf("after three minutes: %q", got)
		}
	})
}
