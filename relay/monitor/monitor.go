// Package monitor counts what happens and reports how well the service is: metrics
// for Prometheus, health for probes, and the short memory that the web console
// draws (the last hours by the minute, and the clients that connected).
//
// The flows call Accepted, Refused, Attempted and Outcome; whatever is a state
// and not an event comes from Config.Snapshot at each scrape and probe.
//
// # Promises
//
// Looking changes nothing: Handler answers GET and HEAD only, and only requests
// for a name that no foreign page could have given this host. Counting never
// blocks on I/O and takes bounded memory, however many clients connect and
// however many mailboxes a wildcard makes: a label has at most maxLabels values,
// and further ones count as "other". metrics.go lists every metric; tests hold the
// list against the manual and against what is served. No label
// contains a secret. Labels name mailboxes, clients and identities of the
// configuration, never an address of a client; probes name nobody.
//
// # On failure
//
// A Snapshot that fails or takes longer than five seconds means that the service
// is dead for a probe (503 with the reason); a scrape then has the counters and
// no states.
//
// The package knows neither SMTP nor the spool nor Graph; relay translates.
// Names follow https://prometheus.io/docs/practices/naming/.
package monitor

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"graphrelay/relay/state"
)

// Config is what a Monitor works with; every field is required.
type Config struct {
	Version  string
	Hostname func() string                                 // of the relay, for the Host header
	Snapshot func(context.Context) (state.Snapshot, error) // called at each scrape and probe
	Now      func() time.Time
	Limits   []string // statuses of bounces by which a mailbox or the tenant may send no more
}

// Monitor counts. Make one with New; it is safe for concurrent use.
type Monitor struct {
	describer
	cfg     Config
	events  events
	minutes minutes
	clients clients
	rates   rates

	clientNames, mailboxes, identities, statuses, replies values
}

// New makes a Monitor.
func New(cfg Config) *Monitor {
	m := &Monitor{cfg: cfg, describer: describer{registry: prometheus.NewRegistry()}}
	m.clients.seen = map[clientKey]*state.Client{}
	m.events = m.describeEvents()
	for _, status := range cfg.Limits {
		m.events.limitBounces.WithLabelValues(status) // so that the first one is an increase
	}
	m.describeStates()
	m.registry.MustRegister(m, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Taken is a message that was accepted.
type Taken struct {
	Client, Addr string // name of the clients: entry, and the address or "unix"
	Recipients   int
	To           uint64 // the same for the same recipients
	Size         int64
	Repairs      []string // names of what was repaired in it: a closed list
}

// Accepted counts a message that was answered with 250.
func (m *Monitor) Accepted(t Taken) {
	client := m.clientNames.bound(t.Client)
	m.events.accepted.WithLabelValues(client).Inc()
	m.events.acceptedBytes.WithLabelValues(client).Add(float64(t.Size))
	m.events.acceptedRecipients.WithLabelValues(client).Add(float64(t.Recipients))
	m.events.clientBounces.WithLabelValues(client) // so that the first ones are an increase
	for _, r := range t.Repairs {
		m.events.repairs.WithLabelValues(r).Inc()
	}
	now := m.cfg.Now()
	m.minutes.at(now, func(c *state.Minute) { c.Accepted++ })
	m.rates.count(now, client, loop{t.Addr, t.To})
	m.clients.at(now, clientKey{t.Client, t.Addr}, func(e *state.Client) {
		e.Accepted++
		e.InVain = state.InVain{}
		e.Bytes += t.Size
	})
}

// Refused counts a refusal, of a client as in Taken.
func (m *Monitor) Refused(client, addr string, r state.Refused) {
	m.events.refused.WithLabelValues(r.Step, m.statuses.bound(r.Status.String())).Inc()
	now := m.cfg.Now()
	r.RefusedAt, r.Reply, r.Why = now, cut(r.Reply), cut(r.Why)
	m.minutes.at(now, func(c *state.Minute) { c.Refused++ })
	m.clients.at(now, clientKey{client, addr}, func(e *state.Client) {
		e.Refusals++
		e.Refused = r
	})
}

// RefusedInVain counts what a client was refused for good, with the sender and the
// reason of v.
func (m *Monitor) RefusedInVain(client, addr string, v state.InVain) {
	now := m.cfg.Now()
	m.clients.at(now, clientKey{client, addr}, func(e *state.Client) {
		v.Times, v.First, v.Last = e.InVain.Times+1, e.InVain.First, now
		if v.Times == 1 {
			v.First = now
		}
		e.InVain = v
	})
}

// Attempted counts the start of an attempt.
func (m *Monitor) Attempted(mailbox string) {
	m.events.attempts.WithLabelValues(m.mailboxes.bound(mailbox)).Inc()
}

// Outcome is the end of an attempt.
type Outcome struct {
	Kind              string // sent, deferred, paused, held or failed
	Mailbox, Identity string
	HTTPStatus        int           // 0 if there was no answer
	Reply             int           // the same for the submission server
	Submission        bool          // the request was made of that server
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
	switch {
	case o.Duration > 0 && o.Submission:
		m.events.replies.WithLabelValues(identity, m.replies.bound(strconv.Itoa(o.Reply))).Inc()
		m.events.submission.WithLabelValues(identity).Observe(o.Duration.Seconds())
	case o.Duration > 0:
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

// Bounced counts a recipient whom a message did not reach.
func (m *Monitor) Bounced(mailbox, class string) {
	m.events.bounces.WithLabelValues(m.mailboxes.bound(mailbox), class).Inc()
}

// BouncedNow counts the same where the bounce is certain and of today: for the client, and
// for the status if it is one of Config.Limits.
func (m *Monitor) BouncedNow(client, limit string) {
	if client != "" {
		m.events.clientBounces.WithLabelValues(m.clientNames.bound(client)).Inc()
	}
	if limit != "" {
		m.events.limitBounces.WithLabelValues(limit).Inc()
	}
}

// BounceReport counts what was found in a mailbox.
func (m *Monitor) BounceReport(mailbox, result string) {
	m.events.bounceReports.WithLabelValues(m.mailboxes.bound(mailbox), result).Inc()
}

// AlertPosted counts a request to the alert webhook.
func (m *Monitor) AlertPosted(err error) {
	result := "delivered"
	if err != nil {
		result = "failed"
	}
	m.events.alerts.WithLabelValues(result).Inc()
}
