package loglimit_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/loglimit"
)

// lockedBuffer is a log that is written and read at the same time.
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

func (l *lockedBuffer) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

func TestFloodsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		q := loglimit.New(slog.New(slog.NewTextHandler(&log, nil)), 2)
		a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")
		for i := range 100 {
			q.Log(slog.LevelWarn, "kind", a, "line", slog.Int("i", i))
			q.Log(slog.LevelWarn, "kind", b, "line")
			q.Log(slog.LevelWarn, "kind", b.Next(), "line") // the same /64
		}
		q.Log(slog.LevelWarn, "other kind", a, "line")
		q.Log(slog.LevelDebug, "kind", a, "line")
		if n := strings.Count(log.String(), "msg=line"); n != 5 {
			t.Errorf("%d lines", n)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		for _, want := range []string{
			"kind=kind client_network=10.0.0.1/32 count=98", "kind=kind client_network=2001:db8::/64 count=198",
		} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("no %q in %s", want, log.String())
			}
		}
		counts := strings.Count(log.String(), "more events of this kind")
		if strings.Contains(log.String(), "other kind") || counts != 2 {
			t.Errorf("counted what was no flood: %s", log.String())
		}
		log.Reset()
		q.Log(slog.LevelWarn, "kind", a, "line")
		if !strings.Contains(log.String(), "msg=line") {
			t.Error("a new window begins silent")
		}
	})
}

// An attacker with many addresses can fill neither memory nor the log.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		q := loglimit.New(slog.New(slog.NewTextHandler(&log, nil)), 1)
		for i := range 50_000 {
			q.Log(slog.LevelWarn, "kind", netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), "line")
		}
		if n := strings.Count(log.String(), "msg=line"); n != 1001 {
			t.Errorf("%d lines", n)
		}
		q.Flush()
		if want := fmt.Sprintf("client_network=several count=%d", 50_000-1001); !strings.Contains(log.String(), want) {
			t.Errorf("no %q", want)
		}
		q.Flush()
	})
}
