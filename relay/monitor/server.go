package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"graphrelay/relay/state"
)

// snapshotLimit is how long a snapshot may take.
const snapshotLimit = 5 * time.Second

// Handler serves
//
//	/metrics  for Prometheus
//	/healthz  200 while the service is alive, degraded or not; 503 when dead
//	/readyz   200 while mail is accepted, else 503
//
// both with the reasons in JSON (Health). It answers GET and HEAD only, and only
// to names of this host (knownHost).
func (m *Monitor) Handler() http.Handler {
	mux := http.NewServeMux()
	limits := promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 2 * snapshotLimit}
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, limits))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		h := m.health(r)
		answerHealth(w, h, h.Status != state.Dead)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		h := m.health(r)
		answerHealth(w, h, h.Ready)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !m.knownHost(r.Host) {
			http.Error(w, "This address does not answer to the name in the Host header. Ask by its IP address, localhost, a name without a dot, or the name in hostname of the configuration.", http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// knownHost tells whether a Host header may be one of ours. There is no
// password here, and a page elsewhere can make a name of its own lead to us (DNS
// rebinding): the browser would let it read. It cannot do so with an address,
// nor with a name without a dot, which only the local network resolves; so
// whoever scrapes and probes by those, or without any Host, is served.
func (m *Monitor) knownHost(host string) bool {
	name := strings.TrimSuffix((&url.URL{Host: host}).Hostname(), ".")
	_, err := netip.ParseAddr(name)
	return err == nil || !strings.Contains(name, ".") || strings.EqualFold(name, m.cfg.Hostname())
}

// health takes a snapshot and judges it.
func (m *Monitor) health(r *http.Request) state.Health {
	ctx, cancel := context.WithTimeout(r.Context(), snapshotLimit)
	defer cancel()
	s, err := m.cfg.Snapshot(ctx)
	if err != nil {
		return state.Health{Status: state.Dead, Reasons: []state.Reason{{Key: "snapshot", Text: "the store does not answer: " +
			err.Error() + "; see the log, and restart the service if it does not recover"}}}
	}
	return state.Judge(s)
}

func answerHealth(w http.ResponseWriter, h state.Health, well bool) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !well {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(h)
}

// Serve answers on l until ctx ends; then it closes l.
func (m *Monitor) Serve(ctx context.Context, l net.Listener, log *slog.Logger) error {
	srv := &http.Server{
		Handler: m.Handler(), ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
