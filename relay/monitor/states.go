package monitor

import (
	"context"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// snapshotLimit is how long the states may take.
const snapshotLimit = 5 * time.Second

// states are the metrics that a Snapshot tells.
type states struct {
	ready, queue, bytes, oldest                     reading
	lane, laneOldest, slots, busy, failures, paused reading
	holds, day                                      reading
	healthy, diskFree, diskSize, diskReserve        reading
	connections, connected, refused                 reading
	credential, certificate                         reading
	auditAt, auditPassed, reloadAt, reloadOK        reading
	alarms, build                                   reading
}

func (m *Monitor) describeStates() {
	m.states = states{
		ready:       m.gauge("ready", "1 while mail is accepted: the store is healthy, has room, and no stop has begun."),
		queue:       m.gauge("queue_messages", "Messages in the store: queued, active, held, failed or damaged.", "state"),
		bytes:       m.gauge("store_bytes", "Octets of stored messages."),
		oldest:      m.gauge("queue_oldest_age_seconds", "Age of the oldest message that is queued, active or held; 0 without any."),
		lane:        m.gauge("lane_messages", "Messages of a mailbox: queued, active or held.", "mailbox", "state"),
		laneOldest:  m.gauge("lane_oldest_age_seconds", "Age of the oldest message of a mailbox.", "mailbox"),
		slots:       m.gauge("lane_slots", "Requests that a mailbox may have under way at one time.", "mailbox"),
		busy:        m.gauge("lane_busy", "Requests of a mailbox under way.", "mailbox"),
		failures:    m.gauge("lane_failures", "Failed attempts of a mailbox in a row.", "mailbox"),
		paused:      m.gauge("lane_paused_seconds", "How long a mailbox still rests because Graph throttled it.", "mailbox"),
		holds:       m.gauge("holds", "Holds in force, by scope: identity, audit (an identity that an audit stopped), mailbox, or sendas (a From address in a mailbox).", "scope"),
		day:         m.gauge("mailbox_recipients_last_day", "Recipients that a mailbox has sent to in the last 24 hours; Exchange allows 10,000.", "mailbox"),
		healthy:     m.gauge("store_healthy", "1 while the store takes writes."),
		diskFree:    m.gauge("disk_free_bytes", "Free octets of the store's file system."),
		diskSize:    m.gauge("disk_size_bytes", "Size of the store's file system."),
		diskReserve: m.gauge("disk_reserve_bytes", "Free octets below which no mail is accepted (queue.min_free_space)."),
		connections: m.gauge("smtp_connections", "Open SMTP connections."),
		connected:   m.total("smtp_connections_total", "SMTP connections since the start, without the refused ones."),
		refused:     m.total("smtp_connections_refused_total", "SMTP connections refused over a limit since the start."),
		credential:  m.gauge("credential_expiry_timestamp_seconds", "When the credential of an identity ends, in seconds since 1970; absent where nobody told.", "identity", "kind"),
		certificate: m.gauge("tls_certificate_expiry_timestamp_seconds", "When the certificate of the listeners ends, in seconds since 1970; absent without one."),
		auditAt:     m.gauge("last_audit_timestamp_seconds", "When an identity was last audited, in seconds since 1970; absent before the first audit.", "identity"),
		auditPassed: m.gauge("last_audit_passed", "1 where the last audit proved that the identity is restricted to its mailboxes.", "identity"),
		reloadAt:    m.gauge("config_last_reload_success_timestamp_seconds", "When the configuration in force was read, in seconds since 1970."),
		reloadOK:    m.gauge("config_last_reload_successful", "1 unless the last reload was refused."),
		build:       m.gauge("build_info", "Always 1; the labels tell the version and the Go release it was built with.", "version", "goversion"),
		alarms:      m.gauge("alarms", "Alarms raised at present; /readyz names them."),
	}
}

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

func (m *Monitor) collectQueue(s Snapshot, ch chan<- prometheus.Metric) {
	st := m.states
	for state, n := range map[string]int{"queued": s.Queued, "active": s.Active, "held": s.Held, "failed": s.Failed, "damaged": s.Damaged} {
		ch <- st.queue.is(float64(n), state)
	}
	ch <- st.bytes.is(float64(s.Bytes))
	ch <- st.oldest.is(m.age(s.Oldest()))
	count := map[string]int{"identity": 0, "audit": 0, "mailbox": 0, "sendas": 0}
	for _, h := range s.Holds {
		if _, known := count[h.Scope]; known {
			count[h.Scope]++
		}
	}
	for scope, n := range count {
		ch <- st.holds.is(float64(n), scope)
	}
	ch <- st.healthy.is(truth(s.Unhealthy == nil))
	ch <- st.diskFree.is(float64(s.DiskFree))
	ch <- st.diskSize.is(float64(s.DiskSize))
	ch <- st.diskReserve.is(float64(s.DiskReserve))
	for _, d := range s.Mailboxes[:min(len(s.Mailboxes), maxLabels)] {
		ch <- st.day.is(float64(d.Recipients), d.Mailbox)
	}
}

// collectLanes tells of the first lanes only, where a wildcard makes very many.
func (m *Monitor) collectLanes(s Snapshot, ch chan<- prometheus.Metric) {
	st := m.states
	for _, l := range s.Lanes[:min(len(s.Lanes), maxLabels)] {
		ch <- st.lane.is(float64(l.Queued), l.Mailbox, "queued")
		ch <- st.lane.is(float64(l.Active), l.Mailbox, "active")
		ch <- st.lane.is(float64(l.Held), l.Mailbox, "held")
		ch <- st.laneOldest.is(m.age(l.Oldest), l.Mailbox)
		ch <- st.slots.is(float64(l.Slots), l.Mailbox)
		ch <- st.busy.is(float64(l.Busy), l.Mailbox)
		ch <- st.failures.is(float64(l.Failures), l.Mailbox)
		ch <- st.paused.is(max(0, l.PausedUntil.Sub(m.cfg.Now()).Seconds()), l.Mailbox)
	}
}

func (m *Monitor) collectService(s Snapshot, ch chan<- prometheus.Metric) {
	st := m.states
	ch <- st.ready.is(truth(Judge(s).Ready))
	ch <- st.connections.is(float64(s.Connections))
	ch <- st.connected.is(float64(s.ConnectionsTotal))
	ch <- st.refused.is(float64(s.RefusedOver))
	for _, c := range s.Credentials {
		if !c.NotAfter.IsZero() {
			ch <- st.credential.is(float64(c.NotAfter.Unix()), c.Identity, c.Kind)
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
