package smtpd_test

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

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd"
)

func TestQuietCountsFloods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		q := smtpd.NewQuiet(slog.New(slog.NewTextHandler(&log, nil)), 2)
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
		for _, want := range []string{"kind=kind client_network=10.0.0.1/32 count=98", "kind=kind client_network=2001:db8::/64 count=198"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("no %q in %s", want, log.String())
			}
		}
		if strings.Contains(log.String(), "other kind") || strings.Count(log.String(), "more of the same") != 2 {
			t.Errorf("counted what was no flood: %s", log.String())
		}
		log.Reset()
		q.Log(slog.LevelWarn, "kind", a, "line")
		if !strings.Contains(log.String(), "msg=line") {
			t.Error("a new window begins silent")
		}
	})
}

// logBuffer is a log that timers write to.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

// An attacker with many addresses takes neither memory nor the log.
func TestQuietIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		q := smtpd.NewQuiet(slog.New(slog.NewTextHandler(&log, nil)), 1)
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

// A refusal that no handler decided leaves a line in the log; one that the
// handler decided is the handler's to log.
func TestRefusalsOfTheDialogAreLogged(t *testing.T) {
	var log logBuffer
	h := &recorder{}
	h.set(hooks{rcpt: func(envelope.Address) error { return reply.New(550, reply.Enhanced{5, 1, 1}, "Not here") }})
	c := open(t, smtpd.Config{MaxMessageSize: 1000, Log: slog.New(slog.NewTextHandler(&log, nil))}, h)
	c.say("EHLO x", "250-")
	for _, d := range [][2]string{{"MAIL FROM:<a@b> SIZE=9999", "552 5.3.4"}, {"HELP", "502"}, {"MAIL FROM:<a@b>", "250"}, {"RCPT TO:<c@d>", "550 5.1.1"}, {"NOOP", "250"}} {
		c.say(d[0], d[1])
	}
	for _, want := range []string{`msg=rejected client_addr=127.0.0.1`, `at=mail reply="552 5.3.4 `, `reply="502 5.5.1 `} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %s in %s", want, log.String())
		}
	}
	if n := strings.Count(log.String(), "msg=rejected"); n != 2 {
		t.Errorf("%d lines, want 2: %s", n, log.String())
	}
}
