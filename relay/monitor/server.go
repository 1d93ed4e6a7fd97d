package monitor

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"graphrelay/relay/hostheader"
	"graphrelay/relay/socket"
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
// both with the reasons in JSON (state.Outline). It answers GET and HEAD only, and only
// to names that no foreign page can have (hostheader.Local).
func (m *Monitor) Handler() http.Handler {
	mux := http.NewServeMux()
	limits := promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 2 * snapshotLimit}
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, limits))
	mux.HandleFunc("GET /healthz", m.probe(func(h state.Health) bool { return h.Status != state.Dead }))
	mux.HandleFunc("GET /readyz", m.probe(func(h state.Health) bool { return h.Ready }))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hostheader.Local(r, m.cfg.Hostname()) {
			http.Error(w, "This address does not answer to the name in the Host header. Use its IP address, "+
				"localhost, a name without a dot, or the configured hostname.", http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (m *Monitor) snapshot(ctx context.Context) (state.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshotLimit)
	defer cancel()
	return m.cfg.Snapshot(ctx)
}

// health takes a snapshot and judges it.
func (m *Monitor) health(r *http.Request) state.Health {
	s, err := m.snapshot(r.Context())
	if err != nil {
		return state.Health{Status: state.Dead,
			Reasons: []state.Alarm{{Key: "snapshot", Fault: state.Fault{Since: m.cfg.Now()}}}} // the watcher logs why
	}
	return state.Judge(s, m.cfg.Now())
}

// probe answers with the health, and 503 unless well.
func (m *Monitor) probe(well func(state.Health) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := m.health(r)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !well(h) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(h.Outline())
	}
}

// Serve answers on l until ctx ends; then it closes l.
func (m *Monitor) Serve(ctx context.Context, l net.Listener, log *slog.Logger) error {
	return socket.Serve(ctx, l, &http.Server{
		Handler: m.Handler(), ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	})
}
