package monitor

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Metric describes one of our metrics, for the manual.
type Metric struct {
	Name   string
	Type   string // counter, gauge or histogram
	Labels []string
	Help   string
}

// Metrics lists every metric that a Monitor serves, in the order of metrics.go.
// The go_ and process_ metrics of the client library come on top.
func Metrics() []Metric { return New(Config{}).described }

// describer registers metrics and remembers what they are.
type describer struct {
	registry  *prometheus.Registry
	described []Metric
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

// reading is a metric whose value is read at each scrape.
type reading struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func (d *describer) gauge(name, help string, labels ...string) reading {
	return reading{prometheus.NewDesc(d.note("gauge", name, help, labels), help, labels, nil), prometheus.GaugeValue}
}

// total is a counter that is counted elsewhere.
func (d *describer) total(name, help string, labels ...string) reading {
	desc := prometheus.NewDesc(d.note("counter", name, help, labels), help, labels, nil)
	return reading{desc, prometheus.CounterValue}
}

func (r reading) is(v float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(r.desc, r.kind, v, labels...)
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
	if l.seen[v] {
		return v
	}
	if len(l.seen) >= maxLabels {
		return other
	}
	if l.seen == nil {
		l.seen = map[string]bool{}
	}
	l.seen[v] = true
	return v
}
