package monitor

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/relay/state"
)

// events are the metrics that the flows count.
type events struct {
	accepted, acceptedBytes, acceptedRecipients, refused, repairs *prometheus.CounterVec
	attempts, outcomes, duplicates, damaged, answers, alerts      *prometheus.CounterVec
	bounces, bounceReports, clientBounces, limitBounces, replies  *prometheus.CounterVec
	request, submission, delay                                    *prometheus.HistogramVec
}

func (m *Monitor) describeEvents() events {
	return events{
		accepted: m.counter("accepted_messages_total",
			"Messages answered with 250 and durably stored.", "client"),
		acceptedBytes:      m.counter("accepted_bytes_total", "Size of accepted messages in bytes.", "client"),
		acceptedRecipients: m.counter("accepted_recipients_total", "Recipients of accepted messages.", "client"),
		refused: m.counter("refusals_total",
			"Refusals by SMTP step (at: connect, auth, mail, rcpt or data) and enhanced status code (status).",
			"at", "status"),
		repairs: m.counter("repairs_total",
			"Accepted messages by what graphrelay repaired or changed in them; front-door.md lists the repairs.",
			"repair"),
		attempts: m.counter("delivery_attempts_total", "Attempts to send a message to Graph.", "mailbox"),
		outcomes: m.counter("delivery_outcomes_total",
			"Outcomes: sent; deferred (tried again); paused (a hold stops it); held (alone, for an operator); "+
				"failed (refused for good, or not sent within queue.max_age or queue.max_hold).", "mailbox", "outcome"),
		duplicates: m.counter("possible_duplicates_total",
			"Attempts after which it is unknown whether Graph accepted the message.", "mailbox"),
		damaged: m.counter("damaged_large_messages_total", "Malformed large messages that were sent as drafts, "+
			"by result: repaired or original_attached.", "mailbox", "result"),
		bounces: m.counter("bounces_total",
			"Recipients who did not get a message after Graph had accepted it, as bounces in the mailbox say, by the "+
				"first two numbers of the status (class); delayed for warnings, unknown without a status.",
			"mailbox", "class"),
		bounceReports: m.counter("bounce_reports_total",
			"Bounces read in a mailbox by result: matched to a message, probable, foreign (other mail) or unreadable; "+
				"refused or failed where the mailbox could not be read.", "mailbox", "result"),
		clientBounces: m.counter("client_bounces_total",
			"Recipients whom mail of a client did not reach, as bounces of the last 24 hours say for certain; to be "+
				"compared with accepted_recipients_total.", "client"),
		limitBounces: m.counter("limit_bounces_total",
			"Bounces of the last 24 hours by which Exchange says that the mailbox or the tenant may send no more, by "+
				"enhanced status code.", "status"),
		answers: m.counter("graph_responses_total",
			"Responses of Graph by HTTP status; code 0 means that no response came.", "identity", "code"),
		request: m.histogram("graph_request_duration_seconds", "Time from a request to the response of Graph.",
			[]float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}, "identity"),
		replies: m.counter("submission_responses_total",
			"Responses of the submission server to large mail by reply code of SMTP, of the step that decided; "+
				"code 0 means that no response decided.", "identity", "code"),
		submission: m.histogram("submission_duration_seconds",
			"Time from the attempt to submit a large message to its end, including the wait for a free connection.",
			[]float64{.25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900}, "identity"),
		delay: m.histogram("delivery_delay_seconds", "Time from acceptance to Graph's 202, including time on hold.",
			[]float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600}, "mailbox"),
		alerts: m.counter("alert_notifications_total",
			"Requests to the alert webhook by result: delivered or failed.", "result"),
	}
}

// describeStates makes the metrics that are read from a Snapshot.
func (m *Monitor) describeStates() {
	m.value("ready", "1 while mail is accepted: the store is healthy and has room, and the service is not stopping.",
		func(s state.Snapshot) float64 { return truth(s.Ready()) }).withoutSnapshot = true
	m.gauge("queue_messages",
		"Messages in the store by state: queued, deferred, paused, sending, held, failed or damaged.",
		func(s state.Snapshot, is emit) {
			is(float64(s.Queued), "queued")
			is(float64(s.Deferred), "deferred")
			is(float64(s.Paused), "paused")
			is(float64(s.Sending), "sending")
			is(float64(s.Held), "held")
			is(float64(s.Failed), "failed")
			is(float64(s.Damaged), "damaged")
		}, "state")
	m.value("store_bytes", "Size of stored messages in bytes.",
		func(s state.Snapshot) float64 { return float64(s.Bytes) })
	m.value("queue_oldest_age_seconds",
		"Age of the oldest message in the queue (queued, deferred, paused, sending or held); 0 if there is none.",
		func(s state.Snapshot) float64 { return m.age(s.Oldest()) })
	m.describeLanes()
	m.gauge("holds", "Holds in force by scope: identity, audit (also a whole identity, stopped by an audit), "+
		"mailbox, sendas (a From address of a mailbox), client (one client's mail in a mailbox), "+
		"or large (its large mail).",
		readHolds, "scope")
	m.gauge("mailbox_recipients_last_day",
		"Recipients that a mailbox has sent to in the rolling last 24 hours; Exchange allows 10,000.",
		func(s state.Snapshot, is emit) {
			for _, d := range s.Mailboxes[:min(len(s.Mailboxes), maxLabels)] {
				is(float64(d.Recipients), d.Mailbox)
			}
		}, "mailbox")
	m.value("store_healthy", "1 while the store accepts writes.",
		func(s state.Snapshot) float64 { return truth(s.Unhealthy == nil && s.Unread == nil) })
	m.value("disk_free_bytes", "Free space on the store's file system in bytes.",
		func(s state.Snapshot) float64 { return float64(s.DiskFree) })
	m.value("disk_size_bytes", "Size of the store's file system in bytes.",
		func(s state.Snapshot) float64 { return float64(s.DiskSize) })
	m.value("disk_reserve_bytes", "Free space in bytes below which no mail is accepted (queue.min_free_space).",
		func(s state.Snapshot) float64 { return float64(s.DiskReserve) })
	m.describeNodes()
	m.describeService()
}

// describeNodes has no values where the queue is a file.
func (m *Monitor) describeNodes() {
	of := func(name, help string, read func(state.Node) float64) {
		m.gauge(name, help, func(s state.Snapshot, is emit) {
			for _, n := range state.NodesByName(s.Nodes) {
				is(read(n), n.Name)
			}
		}, "node")
	}
	of("node_lanes", "Mailboxes whose mail a node sends; absent where the queue is a file.",
		func(n state.Node) float64 { return float64(n.Lanes) })
	of("node_leads", "1 for the node that audits, reads bounces, sends canaries and deletes old history "+
		"on behalf of all nodes, else 0; absent where the queue is a file.",
		func(n state.Node) float64 { return truth(n.Leads) })
	of("node_seen_seconds", "Time since a node last confirmed in the database that it works; "+
		"absent where the queue is a file.", func(n state.Node) float64 { return n.Seen })
}

// describeLanes covers the first lanes only: a wildcard can make very many.
func (m *Monitor) describeLanes() {
	lanes := func(name, help string, read func(state.Lane, emit), labels ...string) {
		m.gauge(name, help, func(s state.Snapshot, is emit) {
			for _, l := range s.Lanes[:min(len(s.Lanes), maxLabels)] {
				read(l, func(v float64, labels ...string) { is(v, append([]string{l.Mailbox}, labels...)...) })
			}
		}, append([]string{"mailbox"}, labels...)...)
	}
	lanes("lane_messages", "Messages of a mailbox by state: queued, deferred, paused, sending or held.",
		func(l state.Lane, is emit) {
			is(float64(l.Queued), "queued")
			is(float64(l.Deferred), "deferred")
			is(float64(l.Paused), "paused")
			is(float64(l.Sending), "sending")
			is(float64(l.Held), "held")
		}, "state")
	lanes("lane_waiting_messages",
		"Messages that wait in a mailbox (queued, deferred or paused) by client, of the 20 clients with the most; "+
			"client is empty for reports and test mail.",
		func(l state.Lane, is emit) {
			for _, w := range l.Clients {
				is(float64(w.Waiting), w.Client)
			}
		}, "client")
	lanes("lane_oldest_age_seconds", "Age of the oldest message of a mailbox.",
		func(l state.Lane, is emit) { is(m.age(l.Oldest)) })
	lanes("lane_slots", "Maximum number of concurrent requests of a mailbox.",
		func(l state.Lane, is emit) { is(float64(l.Slots)) })
	lanes("lane_busy", "Requests of a mailbox in progress.", func(l state.Lane, is emit) { is(float64(l.Busy)) })
	lanes("lane_failures", "Consecutive failed attempts of a mailbox.",
		func(l state.Lane, is emit) { is(float64(l.Failures)) })
	lanes("lane_backoff_seconds",
		"Remaining time before a mailbox is tried again, because Graph asked for it or attempts failed.",
		func(l state.Lane, is emit) { is(max(0, l.Backoff.Sub(m.cfg.Now()).Seconds())) })
}

func readHolds(s state.Snapshot, is emit) {
	count := map[string]int{}
	for _, h := range s.Holds {
		count[h.Scope()]++
	}
	for _, scope := range state.Scopes {
		is(float64(count[scope]), scope)
	}
}

func (m *Monitor) describeService() {
	m.value("smtp_connections", "Open SMTP connections.",
		func(s state.Snapshot) float64 { return float64(s.Connections) })
	m.value("smtp_connections_total", "SMTP connections since the service started, excluding refused ones.",
		func(s state.Snapshot) float64 { return float64(s.ConnectionsTotal) })
	m.value("smtp_connections_refused_total", "SMTP connections refused at a limit, since the service started.",
		func(s state.Snapshot) float64 { return float64(s.RefusedOver) })
	m.gauge("client_messages_last_hour",
		"Messages that a client sent in the last hour; more than alerts.client_rate is an alarm.",
		func(s state.Snapshot, is emit) {
			for _, c := range s.Clients {
				is(float64(c.Messages), c.Client)
			}
		}, "client")
	m.value("refusals_dropped_total",
		"Refusals that graphrelay trace can no longer show because 50,000 rows are kept, since the service started.",
		func(s state.Snapshot) float64 { return float64(s.RefusalsDropped) })
	m.value("log_lines_lost_total", "Log lines that were lost because standard error did not take them.",
		func(s state.Snapshot) float64 { return float64(s.LogLost) })
	m.describeCredentials()
	m.gauge("last_audit_timestamp_seconds",
		"Time of an identity's last audit that had a result, as a Unix timestamp; absent before that.",
		func(s state.Snapshot, is emit) {
			for _, a := range s.Audits {
				is.at(a.At, a.Identity)
			}
		}, "identity")
	m.gauge("last_audit_passed",
		"1 if Graph refused the denied mailbox in the last audit that had a result, 0 if it did not.",
		func(s state.Snapshot, is emit) {
			for _, a := range s.Audits {
				is(truth(a.Passed), a.Identity)
			}
		}, "identity")
	m.describeCanary()
	m.gauge("config_last_reload_success_timestamp_seconds",
		"Time when the configuration in force was read, as a Unix timestamp; "+
			"that is the start or the last successful reload.",
		func(s state.Snapshot, is emit) { is.at(s.Reload.At) })
	m.value("config_last_reload_successful", "1 unless the last reload failed.",
		func(s state.Snapshot) float64 { return truth(!s.Reload.Failed) })
	m.gauge("build_info", "Always 1; the labels hold the version and the Go release it was built with.",
		func(_ state.Snapshot, is emit) { is(1, m.cfg.Version, runtime.Version()) },
		"version", "goversion").withoutSnapshot = true
	m.value("alarms", "Alarms firing now; /readyz lists them.",
		func(s state.Snapshot) float64 { return float64(len(state.Judge(s, m.cfg.Now()).Reasons)) })
}

// describeCanary has no values without audit.canary.
func (m *Monitor) describeCanary() {
	one := func(name, help string, read func(state.Canary, emit)) {
		m.gauge(name, help, func(s state.Snapshot, is emit) {
			if s.Canary != nil {
				read(*s.Canary, is)
			}
		})
	}
	one("canary_missing", "1 while no canary has arrived since one went missing or failed, else 0.",
		func(c state.Canary, is emit) { is(truth(c.Problem != "")) })
	one("canary_arrival_timestamp_seconds",
		"Time when the last canary arrived in its mailbox, as a Unix timestamp; absent before that.",
		func(c state.Canary, is emit) { is.at(c.Arrived) })
	one("canary_travel_seconds",
		"Time from acceptance to arrival in its mailbox of the last canary that arrived; absent before that.",
		func(c state.Canary, is emit) {
			if !c.Arrived.IsZero() {
				is(c.Travel)
			}
		})
}

func (m *Monitor) describeCredentials() {
	m.gauge("credential_expiry_timestamp_seconds",
		"Expiry of an identity's credential as a Unix timestamp; absent if unknown.",
		func(s state.Snapshot, is emit) {
			for _, c := range s.Credentials {
				is.at(c.Expires, c.Identity, c.Kind)
			}
		}, "identity", "kind")
	m.gauge("certificate_renewal_failing",
		"1 while the certificate of an identity with certificate_renewal: auto cannot renew itself, else 0.",
		func(s state.Snapshot, is emit) {
			for _, c := range s.Credentials {
				if c.Renewal != nil {
					is(truth(c.Renewal.Failing), c.Identity, c.Renewal.Stage)
				}
			}
		}, "identity", "stage")
	m.gauge("tls_certificate_expiry_timestamp_seconds",
		"Expiry of the listeners' TLS certificate as a Unix timestamp; absent if there is none.",
		func(s state.Snapshot, is emit) { is.at(s.Certificate) })
}
