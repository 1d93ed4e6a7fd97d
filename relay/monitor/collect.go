package monitor

import (
	"context"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/relay/state"
)

// Describe implements prometheus.Collector: the states are checked when they
// are collected.
func (m *Monitor) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *Monitor) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), snapshotLimit)
	defer cancel()
	ch <- m.states.build.is(1, m.cfg.Version, runtime.Version())
	s, err := m.cfg.Snapshot(ctx)
	if err != nil {
		ch <- m.states.ready.is(0)
		return
	}
	m.collectQueue(s, ch)
	m.collectLanes(s, ch)
	m.collectService(s, ch)
}

func (m *Monitor) collectQueue(s state.Snapshot, ch chan<- prometheus.Metric) {
	st := m.states
	ch <- st.queue.is(float64(s.Queued), "queued")
	ch <- st.queue.is(float64(s.Active), "active")
	ch <- st.queue.is(float64(s.Held), "held")
	ch <- st.queue.is(float64(s.Failed), "failed")
	ch <- st.queue.is(float64(s.Damaged), "damaged")
	ch <- st.bytes.is(float64(s.Bytes))
	ch <- st.oldest.is(m.age(s.Oldest()))
	count := map[string]int{}
	for _, h := range s.Holds {
		count[h.Scope()]++
	}
	for _, scope := range state.Scopes {
		ch <- st.holds.is(float64(count[scope]), scope)
	}
	ch <- st.healthy.is(truth(s.Unhealthy == nil))
	ch <- st.diskFree.is(float64(s.DiskFree))
	ch <- st.diskSize.is(float64(s.DiskSize))
	ch <- st.diskReserve.is(float64(s.DiskReserve))
	for _, d := range s.Mailboxes[:min(len(s.Mailboxes), maxLabels)] {
		ch <- st.day.is(float64(d.Recipients), d.Mailbox)
	}
}

// collectLanes covers the first lanes only: a wildcard can make very many.
func (m *Monitor) collectLanes(s state.Snapshot, ch chan<- prometheus.Metric) {
	st := m.states
	for _, l := range s.Lanes[:min(len(s.Lanes), maxLabels)] {
		ch <- st.lane.is(float64(l.Queued), l.Mailbox, "queued")
		ch <- st.lane.is(float64(l.Active), l.Mailbox, "active")
		ch <- st.lane.is(float64(l.Held), l.Mailbox, "held")
		ch <- st.laneOldest.is(m.age(l.Oldest), l.Mailbox)
		ch <- st.slots.is(float64(l.Slots), l.Mailbox)
		ch <- st.busy.is(float64(l.Busy), l.Mailbox)
		ch <- st.failures.is(float64(l.Failures), l.Mailbox)
		ch <- st.paused.is(max(0, l.Paused.Sub(m.cfg.Now()).Seconds()), l.Mailbox)
	}
}

func (m *Monitor) collectService(s state.Snapshot, ch chan<- prometheus.Metric) {
	st := m.states
	ch <- st.ready.is(truth(state.Judge(s).Ready))
	ch <- st.connections.is(float64(s.Connections))
	ch <- st.connected.is(float64(s.ConnectionsTotal))
	ch <- st.refused.is(float64(s.RefusedOver))
	for _, c := range s.Credentials {
		if !c.Expires.IsZero() {
			ch <- st.credential.is(float64(c.Expires.Unix()), c.Identity, c.Kind)
		}
	}
	if !s.Certificate.IsZero() {
		ch <- st.certificate.is(float64(s.Certificate.Unix()))
	}
	for _, a := range s.Audits {
		ch <- st.auditAt.is(float64(a.At.Unix()), a.Identity)
		ch <- st.auditPassed.is(truth(a.Passed), a.Identity)
	}
	if !s.Reload.At.IsZero() {
		ch <- st.reloadAt.is(float64(s.Reload.At.Unix()))
	}
	ch <- st.reloadOK.is(truth(!s.Reload.Failed))
	ch <- st.alarms.is(float64(len(s.Alarms)))
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
