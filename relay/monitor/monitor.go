package monitor

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"graphrelay/relay/reply"
	"graphrelay/relay/state"
)

// Config is what a Monitor works with.
type Config struct {
	Version  string
	Hostname func() string                                 // of the relay, for the Host header; nil: it has none
	Snapshot func(context.Context) (state.Snapshot, error) // called at each scrape and probe; nil: empty
	Now      func() time.Time                              // = time.Now
}

// Monitor counts. Make one with New; it is safe for concurrent use.
type Monitor struct {
	describer
	cfg Config

	events events
	states states

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
		cfg.Snapshot = func(context.Context) (state.Snapshot, error) { return state.Snapshot{}, nil }
	}
	m := &Monitor{
		cfg: cfg, describer: describer{registry: prometheus.NewRegistry()},
		minutes: new(minutes), clients: newClients(),
	}
	m.events = m.describeEvents()
	m.states = m.describeStates()
	m.registry.MustRegister(m, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Taken is a message that was accepted.
type Taken struct {
	Client, Addr string // name of the clients: entry, and the address or "unix"
	Recipients   int
	Size         int64
	Repairs      []string // names of what was repaired in it: a closed list
}

// Accepted counts a message that was answered with 250.
func (m *Monitor) Accepted(t Taken) {
	client := m.clientNames.bound(t.Client)
	m.events.accepted.WithLabelValues(client).Inc()
	m.events.acceptedBytes.WithLabelValues(client).Add(float64(t.Size))
	m.events.acceptedRecipients.WithLabelValues(client).Add(float64(t.Recipients))
	for _, r := range t.Repairs {
		m.events.repairs.WithLabelValues(r).Inc()
	}
	now := m.cfg.Now()
	m.minutes.at(now, func(c *state.Minute) { c.Accepted++ })
	m.clients.accepted(now, t)
}

// Refused is a refusal that a client received.
type Refused struct {
	Client, Addr string
	At           string // step of the dialog
	Status       reply.Enhanced
	Reply        string // what the client received
	Cause        string // for the operator; may be empty
}

// Rejected counts a refusal.
func (m *Monitor) Rejected(r Refused) {
	m.events.rejected.WithLabelValues(r.At, m.statuses.bound(r.Status.String())).Inc()
	now := m.cfg.Now()
	m.minutes.at(now, func(c *state.Minute) { c.Rejected++ })
	m.clients.rejected(now, r)
}

// Attempted counts the start of an attempt.
func (m *Monitor) Attempted(mailbox string) {
	m.events.attempts.WithLabelValues(m.mailboxes.bound(mailbox)).Inc()
}

// Outcome is the end of an attempt.
type Outcome struct {
	Kind              string // sent, deferred, held, bounced or failed
	Mailbox, Identity string
	HTTPStatus        int           // 0 if there was no answer
	Duration          time.Duration // from request to answer; 0 if no request was made
	Delay             time.Duration // from acceptance, for sent
	Duplicate         bool
	Damaged           string // large mail that could not be read as it is: repaired or original_attached
}

// Outcome counts the end of an attempt.
func (m *Monitor) Outcome(o Outcome) {
	mailbox, identity := m.mailboxes.bound(o.Mailbox), m.identities.bound(o.Identity)
	m.events.outcomes.WithLabelValues(mailbox, o.Kind).Inc()
	if o.Duplicate {
		m.events.duplicates.WithLabelValues(mailbox).Inc()
	}
	if o.Duration > 0 {
		m.events.answers.WithLabelValues(identity, strconv.Itoa(o.HTTPStatus)).Inc()
		m.events.request.WithLabelValues(identity).Observe(o.Duration.Seconds())
	}
	if o.Kind == "sent" && o.Damaged != "" {
		m.events.damaged.WithLabelValues(mailbox, o.Damaged).Inc()
	}
	if o.Kind == "sent" {
		m.events.delay.WithLabelValues(mailbox).Observe(o.Delay.Seconds())
	}
	m.minutes.at(m.cfg.Now(), func(c *state.Minute) { countOutcome(c, o) })
}

// AlertPosted counts a request to the alert webhook.
func (m *Monitor) AlertPosted(err error) {
	result := "delivered"
	if err != nil {
		result = "failed"
	}
	m.events.alerts.WithLabelValues(result).Inc()
}
