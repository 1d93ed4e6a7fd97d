package monitor

import "github.com/prometheus/client_golang/prometheus"

// events are the metrics that the flows count.
type events struct {
	accepted, acceptedBytes, acceptedRecipients, rejected *prometheus.CounterVec
	repairs                                               *prometheus.CounterVec
	attempts, outcomes, duplicates, damaged, answers      *prometheus.CounterVec
	request, delay                                        *prometheus.HistogramVec
	alerts                                                *prometheus.CounterVec
}

func (d *describer) describeEvents() events {
	return events{
		accepted:      d.counter("accepted_messages_total", "Messages answered with 250 and durably stored.", "client"),
		acceptedBytes: d.counter("accepted_bytes_total", "Size of accepted messages in bytes.", "client"),
		acceptedRecipients: d.counter("accepted_recipients_total",
			"Recipients of accepted messages.", "client"),
		rejected: d.counter("rejections_total",
			"Refusals by step of the SMTP dialog (connect, auth, mail, rcpt, data) and enhanced status code.",
			"at", "status"),
		repairs: d.counter("repairs_total",
			"Accepted messages by what graphrelay repaired or changed in them; the manual lists the repairs.",
			"repair"),
		attempts: d.counter("delivery_attempts_total", "Attempts to send a message to Graph.", "mailbox"),
		outcomes: d.counter("delivery_outcomes_total",
			"Delivery attempts by outcome: sent, deferred, held, bounced or failed.", "mailbox", "outcome"),
		duplicates: d.counter("possible_duplicates_total",
			"Attempts after which it is unknown whether Graph accepted the message.", "mailbox"),
		damaged: d.counter("damaged_large_messages_total",
			"Large messages that could not be read as they are, by result: repaired or original_attached.",
			"mailbox", "result"),
		answers: d.counter("graph_responses_total",
			"Responses of Graph by HTTP status; 0 if there was none.", "identity", "code"),
		request: d.histogram("graph_request_duration_seconds", "Time from a request to the response of Graph.",
			[]float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}, "identity"),
		delay: d.histogram("delivery_delay_seconds", "Time from acceptance to Graph's 202, including time on hold.",
			[]float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600}, "mailbox"),
		alerts: d.counter("alert_notifications_total",
			"Requests to the alert webhook by result: delivered or failed.", "result"),
	}
}

// states are the metrics that a Snapshot holds.
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

func (d *describer) describeStates() states {
	return states{
		ready: d.gauge("ready",
			"1 while mail is accepted: the store is healthy and has room, and the service is not stopping."),
		queue: d.gauge("queue_messages",
			"Messages in the store by state: queued, active, held, failed or damaged.", "state"),
		bytes: d.gauge("store_bytes", "Size of stored messages in bytes."),
		oldest: d.gauge("queue_oldest_age_seconds",
			"Age of the oldest message that is queued, active or held; 0 if there is none."),
		lane: d.gauge("lane_messages",
			"Messages of a mailbox by state: queued, active or held.", "mailbox", "state"),
		laneOldest: d.gauge("lane_oldest_age_seconds", "Age of the oldest message of a mailbox.", "mailbox"),
		slots:      d.gauge("lane_slots", "Maximum number of concurrent requests of a mailbox.", "mailbox"),
		busy:       d.gauge("lane_busy", "Requests of a mailbox in progress.", "mailbox"),
		failures:   d.gauge("lane_failures", "Consecutive failed attempts of a mailbox.", "mailbox"),
		paused: d.gauge("lane_paused_seconds",
			"Remaining time that a mailbox pauses because Graph throttled it.", "mailbox"),
		holds: d.gauge("holds", "Holds in force by scope: identity, audit (an identity that an audit stopped), "+
			"mailbox, or sendas (a From address in a mailbox).", "scope"),
		day: d.gauge("mailbox_recipients_last_day",
			"Recipients that a mailbox has sent to in the last 24 hours; Exchange allows 10,000.", "mailbox"),
		healthy:  d.gauge("store_healthy", "1 while the store accepts writes."),
		diskFree: d.gauge("disk_free_bytes", "Free space on the store's file system in bytes."),
		diskSize: d.gauge("disk_size_bytes", "Size of the store's file system in bytes."),
		diskReserve: d.gauge("disk_reserve_bytes",
			"Free space in bytes below which no mail is accepted (queue.min_free_space)."),
		connections: d.gauge("smtp_connections", "Open SMTP connections."),
		connected:   d.total("smtp_connections_total", "SMTP connections since the start, excluding refused ones."),
		refused: d.total("smtp_connections_refused_total",
			"SMTP connections refused because of a limit since the start."),
		credential: d.gauge("credential_expiry_timestamp_seconds",
			"Expiry of an identity's credential as a Unix timestamp; absent if unknown.", "identity", "kind"),
		certificate: d.gauge("tls_certificate_expiry_timestamp_seconds",
			"Expiry of the listeners' TLS certificate as a Unix timestamp; absent if there is none."),
		auditAt: d.gauge("last_audit_timestamp_seconds",
			"Time of an identity's last audit as a Unix timestamp; absent before the first audit.", "identity"),
		auditPassed: d.gauge("last_audit_passed",
			"1 if the last audit proved that the identity is restricted to its mailboxes.", "identity"),
		reloadAt: d.gauge("config_last_reload_success_timestamp_seconds",
			"Time when the configuration in force was read, as a Unix timestamp."),
		reloadOK: d.gauge("config_last_reload_successful", "1 unless the last reload failed."),
		build: d.gauge("build_info",
			"Always 1; the labels hold the version and the Go release it was built with.", "version", "goversion"),
		alarms: d.gauge("alarms", "Alarms firing now; /readyz lists them."),
	}
}
