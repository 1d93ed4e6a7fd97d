package monitor

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/relay/state"
)

// Metric describes one of our metrics, for the manual.
type Metric struct {
	Name   string
	Type   string // counter, gauge or histogram
	Labels []string
	Help   string
}

// describer registers metrics and remembers what they are, in the order of
// metrics.go. The go_ and process_ metrics of the client library come on top.
type describer struct {
	registry  *prometheus.Registry
	described []Metric
	readings  []*reading
}

// prefix begins the name of each metric of ours.
const prefix = "graphrelay_"

func (d *describer) note(kind, name, help string, labels []string) string {
	d.described = append(d.described, Metric{prefix + name, kind, labels, help})
	return prefix + name
}

func (d *describer) counter(name, help string, labels ...string) *prometheus.CounterVec {
	opts := prometheus.CounterOpts{Name: d.note("counter", name, help, labels), Help: help}
	c := prometheus.NewCounterVec(opts, labels)
	d.registry.MustRegister(c)
	return c
}

func (d *describer) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	opts := prometheus.HistogramOpts{Name: d.note("histogram", name, help, labels), Help: help, Buckets: buckets}
	h := prometheus.NewHistogramVec(opts, labels)
	d.registry.MustRegister(h)
	return h
}

// reading is a metric whose values are read at each scrape.
type reading struct {
	desc            *prometheus.Desc
	kind            prometheus.ValueType
	read            func(state.Snapshot, emit)
	withoutSnapshot bool // it has a value even where no snapshot can be taken
}

// emit reports one value of a metric, with the values of its labels.
type emit func(v float64, labels ...string)

// at reports a time that is known.
func (is emit) at(t time.Time, labels ...string) {
	if !t.IsZero() {
		is(float64(t.Unix()), labels...)
	}
}

// gauge describes a metric that is read from a Snapshot; one called total was
// counted elsewhere.
func (d *describer) gauge(name, help string, read func(state.Snapshot, emit), labels ...string) *reading {
	kind, valueType := "gauge", prometheus.GaugeValue
	if strings.HasSuffix(name, "_total") {
		kind, valueType = "counter", prometheus.CounterValue
	}
	desc := prometheus.NewDesc(d.note(kind, name, help, labels), help, labels, nil)
	d.readings = append(d.readings, &reading{desc: desc, kind: valueType, read: read})
	return d.readings[len(d.readings)-1]
}

// value describes a metric with one value.
func (d *describer) value(name, help string, of func(state.Snapshot) float64) *reading {
	return d.gauge(name, help, func(s state.Snapshot, is emit) { is(of(s)) })
}

// Describe implements prometheus.Collector: the states are checked when they
// are collected.
func (m *Monitor) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *Monitor) Collect(ch chan<- prometheus.Metric) {
	s, err := m.snapshot(context.Background())
	if err != nil {
		s = state.Snapshot{Unhealthy: err}
	}
	for _, r := range m.readings {
		if err == nil || r.withoutSnapshot {
			r.read(s, func(v float64, labels ...string) {
				ch <- prometheus.MustNewConstMetric(r.desc, r.kind, v, labels...)
			})
		}
	}
}

// age is how long ago t was, in seconds; 0 for the zero time and the future.
func (m *Monitor) age(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(0, m.cfg.Now().Sub(t).Seconds())
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// maxLabels bounds the values of one label; other stands for all further ones.
const (
	maxLabels = 200
	other     = "other"
)

// values are those that a label has had so far.
type values struct {
	mu   sync.Mutex
	seen map[string]bool
}

// bound returns v, or other if there are too many already.
func (l *values) bound(v string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.seen == nil:
		l.seen = map[string]bool{v: true}
	case !l.seen[v] && len(l.seen) >= maxLabels:
		return other
	default:
		l.seen[v] = true
	}
	return v
}
