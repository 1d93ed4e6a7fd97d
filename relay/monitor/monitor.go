package monitor

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"graphrelay/relay/reply"
)

// Config is what a Monitor works with.
type Config struct {
	Version  string
	Hostname func() string                           // of the relay, a name that it is asked by; nil: it has none
	Snapshot func(context.Context) (Snapshot, error) // asked at each look; nil: there are no states
	Now      func() time.Time                        // = time.Now
}

// Monitor counts. Make one with New; it is safe for concurrent use.
type Monitor struct {
	describer
	cfg Config

	accepted, acceptedBytes, acceptedRecipients, rejected *prometheus.CounterVec
	attempts, outcomes, duplicates, answers               *prometheus.CounterVec
	request, delay                                        *prometheus.HistogramVec
	alerts                                                *prometheus.CounterVec
	states                                                states

	clientNames, mailboxes, identities, statuses values

	minutes *minutes
	clients *clients
}

// New makes a Monitor.
func New(cfg Config) *Monitor {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Hostname == nil {
		cfg.Hostname = func() string { return "" }
	}
	if cfg.Snapshot == nil {
		cfg.Snapshot = func(context.Context) (Snapshot, error) { return Snapshot{}, nil }
	}
	m := &Monitor{cfg: cfg, describer: describer{registry: prometheus.NewRegistry()}, minutes: newMinutes(), clients: newClients()}
	m.describeEvents()
	m.describeStates()
	m.registry.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *Monitor) describeEvents() {
	m.accepted = m.counter("accepted_messages_total", "Messages answered with 250, so durable.", "client")
	m.acceptedBytes = m.counter("accepted_bytes_total", "Octets of the messages accepted.", "client")
	m.acceptedRecipients = m.counter("accepted_recipients_total", "Recipients of the messages accepted.", "client")
	m.rejected = m.counter("rejections_total", "Refusals told to a client, by the step of the dialog (connect, auth, mail, rcpt, data) and the enhanced status code.", "at", "status")
	m.attempts = m.counter("delivery_attempts_total", "Attempts to hand a message to Graph.", "mailbox")
	m.outcomes = m.counter("delivery_outcomes_total", "What attempts came to: sent, deferred, held, bounced or failed.", "mailbox", "outcome")
	m.duplicates = m.counter("possible_duplicates_total", "Attempts of which nobody knows whether Graph took the message.", "mailbox")
	m.answers = m.counter("graph_responses_total", "Answers of Graph by HTTP status; 0 where none came.", "identity", "code")
	m.request = m.histogram("graph_request_duration_seconds", "Time from request to answer of Graph.",
		[]float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}, "identity")
	m.delay = m.histogram("delivery_delay_seconds", "Time from acceptance to Graph's 202, time in hold included.",
		[]float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600}, "mailbox")
	m.alerts = m.counter("alert_notifications_total", "Posts to the alert webhook by result: delivered or failed.", "result")
}

// Taken is a message that was accepted.
type Taken struct {
	Client, Addr string // name of the clients: entry, and the address or "unix"
	Recipients   int
	Size         int64
}

// Accepted counts a message that was answered with 250.
func (m *Monitor) Accepted(t Taken) {
	client := m.clientNames.bound(t.Client)
	m.accepted.WithLabelValues(client).Inc()
	m.acceptedBytes.WithLabelValues(client).Add(float64(t.Size))
	m.acceptedRecipients.WithLabelValues(client).Add(float64(t.Recipients))
	now := m.cfg.Now()
	m.minutes.at(now, func(c *Minute) { c.Accepted++ })
	m.clients.accepted(now, t)
}

// Refused is a refusal that a client was told.
type Refused struct {
	Client, Addr string
	At           string // step of the dialog
	Status       reply.Enhanced
	Reply        string // what the client read
	Cause        string // for the operator; may be empty
}

// Rejected counts a refusal.
func (m *Monitor) Rejected(r Refused) {
	m.rejected.WithLabelValues(r.At, m.statuses.bound(r.Status.String())).Inc()
	now := m.cfg.Now()
	m.minutes.at(now, func(c *Minute) { c.Rejected++ })
	m.clients.rejected(now, r)
}

// Attempted counts an attempt that begins.
func (m *Monitor) Attempted(mailbox string) {
	m.attempts.WithLabelValues(m.mailboxes.bound(mailbox)).Inc()
}

// Outcome is what an attempt came to.
type Outcome struct {
	Kind              string // sent, deferred, held, bounced or failed
	Mailbox, Identity string
	HTTPStatus        int           // 0 where no answer came
	Duration          time.Duration // from request to answer; 0 where no request was made
	Delay             time.Duration // from acceptance, for sent
	Duplicate         bool
}

// Outcome counts the end of an attempt.
func (m *Monitor) Outcome(o Outcome) {
	mailbox, identity := m.mailboxes.bound(o.Mailbox), m.identities.bound(o.Identity)
	m.outcomes.WithLabelValues(mailbox, o.Kind).Inc()
	if o.Duplicate {
		m.duplicates.WithLabelValues(mailbox).Inc()
	}
	if o.Duration > 0 {
		m.answers.WithLabelValues(identity, strconv.Itoa(o.HTTPStatus)).Inc()
		m.request.WithLabelValues(identity).Observe(o.Duration.Seconds())
	}
	if o.Kind == "sent" {
		m.delay.WithLabelValues(mailbox).Observe(o.Delay.Seconds())
	}
	m.minutes.at(m.cfg.Now(), func(c *Minute) { c.outcome(o) })
}

// AlertPosted counts a post to the alert webhook.
func (m *Monitor) AlertPosted(err error) {
	result := "delivered"
	if err != nil {
		result = "failed"
	}
	m.alerts.WithLabelValues(result).Inc()
}
