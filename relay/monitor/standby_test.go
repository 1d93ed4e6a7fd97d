package monitor

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
)

// A service that stands by is alive and not ready, and a scrape of it works: it is no relay
// that does not answer.
func TestStandbyAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- Standby(ctx, l, func() string { return "relay" }, slog.New(slog.DiscardHandler)) }()
	for path, want := range map[string]struct {
		code int
		text string
	}{
		"/healthz": {http.StatusOK, `"key":"standby"`},
		"/readyz":  {http.StatusServiceUnavailable, `"ready":false`},
		"/metrics": {http.StatusOK, "\ngraphrelay_standby 1\n"},
	} {
		res, err := http.Get("http://" + l.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != want.code || !strings.Contains(string(b), want.text) {
			t.Errorf("%s: %s %s, %v", path, res.Status, b, err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
