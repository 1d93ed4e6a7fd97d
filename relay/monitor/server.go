package monitor

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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
	return pages(m.registry, m.cfg.Hostname, m.probe(func(h state.Health) bool { return h.Status != state.Dead }),
		m.probe(func(h state.Health) bool { return h.Ready }))
}

func pages(metrics *prometheus.Registry, hostname func() string, alive, ready http.HandlerFunc) http.Handler {
	mux := http.NewServeMux()
	limits := promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 2 * snapshotLimit}
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, limits))
	mux.HandleFunc("GET /healthz", alive)
	mux.HandleFunc("GET /readyz", ready)
	return local(mux, hostname)
}

// local keeps foreign pages away from a handler.
func local(h http.Handler, hostname func() string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hostheader.Local(r, hostname()) {
			http.Error(w, "This address does not answer to the name in the Host header. Use its IP address, "+
				"localhost, a name without a dot, or the configured hostname.", http.StatusMisdirectedRequest)
			return
		}
		h.ServeHTTP(w, r)
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
		answer(w, h.Outline(), well(h))
	}
}

func answer(w http.ResponseWriter, o state.Outline, well bool) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !well {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(o)
}

// Serve answers on l until ctx ends; then it closes l.
func (m *Monitor) Serve(ctx context.Context, l net.Listener, log *slog.Logger) error {
	return serve(ctx, l, m.Handler(), log)
}

// Standby answers on l until ctx ends for a service that waits while another node has the queue:
// it is alive and not ready, and of our metrics has the one that says so.
func Standby(ctx context.Context, l net.Listener, hostname func() string, log *slog.Logger) error {
	waits := state.Health{Status: state.OK, Reasons: []state.Alarm{{Key: "standby",
		Fault: state.Fault{Since: time.Now()}}}}
	says := func(well bool) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { answer(w, waits.Outline(), well) }
	}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: prefix + standbyName, Help: standbyHelp},
		func() float64 { return 1 }))
	return serve(ctx, l, pages(metrics, hostname, says(true), says(false)), log)
}

func serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	return socket.Serve(ctx, l, &http.Server{
		Handler: h, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	})
}
