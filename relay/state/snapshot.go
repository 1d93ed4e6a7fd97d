// Package state holds one picture of the running service, the Snapshot, and the
// two judgements about it: Judge says how well the service is, Faults what an
// operator must know. The admin socket, the metrics, the webhook and the console
// all show this picture, so they cannot disagree.
//
// # Promises
//
// Both judgements are pure: the same Snapshot and time give the same result.
// Each fault says first what is wrong, then what to do, and no command in it
// contains what a client chose. The names in the JSON tags are read by scripts (graphrelay status
// --json) and never change; what has no tag is not in the JSON.
//
// # What it must not know
//
// Where the picture comes from: its maker fills in what only other packages can
// work out, such as the warning about a credential.
package state

import (
	"cmp"
	"slices"
	"time"
)

// Snapshot is the service at one moment.
type Snapshot struct {
	Stopping    bool  `json:"-"`
	Unhealthy   error `json:"-"` // why the store takes no writes; nil if it does
	Unread      error `json:"-"` // why what is known of the queue is old; nil if it is not
	Full        error `json:"-"` // why no mail is accepted although the store is healthy; nil if it is
	Connections int   `json:"connections"`

	Queued   int    `json:"queued"`
	Deferred int    `json:"deferred"`
	Paused   int    `json:"paused"` // stopped by a hold
	Sending  int    `json:"sending"`
	Held     int    `json:"held"`
	Failed   int    `json:"failed"`
	Damaged  int    `json:"damaged"`
	Restored int    `json:"restored,omitempty"` // of the held: queued in an older copy that was put in place
	Bytes    int64  `json:"-"`                  // of stored messages
	Store    string `json:"store,omitempty"`    // what keeps the queue, if it is no file
	Nodes    []Node `json:"nodes,omitempty"`    // that share the queue
	Lanes    []Lane `json:"lanes"`
	Holds    []Hold `json:"holds"`

	Outages    []Outage  `json:"outages,omitempty"`
	RestoredAt time.Time `json:"-"`
	Salvaged   string    `json:"-"` // the folder with what a damaged log of the queue lost

	Minute      Traffic      `json:"last_minute"` // the last 60 seconds
	Hour        Traffic      `json:"last_hour"`
	Credentials []Credential `json:"credentials"`
	Certificate time.Time    `json:"certificate_expires,omitzero"` // of the listeners
	CertUnread  string       `json:"-"`                            // why its changed files cannot be used
	Audits      []Audit      `json:"audits"`
	Canary      *Canary      `json:"canary,omitempty"` // nil without audit.canary
	Reload      Reload       `json:"last_reload"`

	Mailboxes                       []MailboxDay `json:"-"`
	DiskFree, DiskSize, DiskReserve int64        `json:"-"` // bytes; the reserve is queue.min_free_space
	ConnectionsTotal, RefusedOver   uint64       `json:"-"`
	RefusalsDropped                 uint64       `json:"-"` // from the record of refusals, for want of room
	LogLost                         uint64       `json:"-"` // lines that standard error did not take
	Clients                         []ClientHour `json:"-"` // the busiest first
	Seen                            []Client     `json:"-"`
	QueueAlarm, ClientAlarm         int          `json:"-"` // more messages than these, waiting or in an hour; 0: none
	Alarms                          []Alarm      `json:"-"`

	Priorities map[string]string `json:"-"` // of clients; of others it is normal
}

// Lane is the part of the queue that one mailbox sends.
type Lane struct {
	Mailbox   string    `json:"mailbox"`
	Identity  string    `json:"identity,omitempty"`
	Queued    int       `json:"queued"`
	Deferred  int       `json:"deferred"`
	Paused    int       `json:"paused"`
	Sending   int       `json:"sending"`
	Held      int       `json:"held"`
	Next      time.Time `json:"next,omitzero"`
	Oldest    time.Time `json:"oldest,omitzero"`        // when the oldest message was accepted
	Slots     int       `json:"slots,omitempty"`        // most requests at one time
	Busy      int       `json:"busy,omitempty"`         // requests under way
	Elsewhere bool      `json:"elsewhere,omitempty"`    // another node sends its mail, and knows the rest
	Failures  int       `json:"failures,omitempty"`     // in a row
	Backoff   time.Time `json:"backoff_until,omitzero"` // nothing is tried before

	BackoffBy string `json:"backoff_by,omitempty"` // one of the causes below

	Clients       []Waits `json:"clients,omitempty"`               // whose mail waits, most first; at most 20
	OthersWaiting int     `json:"other_clients_waiting,omitempty"` // messages of further clients
}

// Node is one of several relays that share the queue.
type Node struct {
	Name  string  `json:"name"`
	This  bool    `json:"this"`         // the one that says so
	Leads bool    `json:"leads"`        // it does what is done once for all nodes
	Lanes int     `json:"lanes"`        // mailboxes whose mail it sends
	Seen  float64 `json:"seen_seconds"` // since it confirmed that it works
}

// NodesByName makes one of the nodes with the same name: of a relay that was killed and has
// started again the former is seen for some seconds.
func NodesByName(nodes []Node) (list []Node) {
	for _, n := range nodes {
		i := slices.IndexFunc(list, func(o Node) bool { return o.Name == n.Name })
		if i < 0 {
			list = append(list, n)
			continue
		}
		list[i] = Node{n.Name, n.This || list[i].This, n.Leads || list[i].Leads, n.Lanes + list[i].Lanes,
			min(n.Seen, list[i].Seen)}
	}
	return list
}

// Why a lane tries nothing. Only the time after failures is the relay's own choice,
// which an operator can end.
const (
	BackoffFailures  = "failures"
	BackoffMicrosoft = "microsoft" // which named a time, or throttles
	BackoffLimit     = "limit"     // the rate of the configuration, or a limit of Graph that is known
)

// Wait is until when a mailbox tries nothing, and why.
type Wait struct {
	Mailbox string    `json:"mailbox"`
	Until   time.Time `json:"until"`
	By      string    `json:"by"`
}

// Reason is why nobody can end the wait.
func (w Wait) Reason() string {
	if w.By == BackoffLimit {
		return "the limit of the mailbox is reached"
	}
	return "Microsoft asked to wait that long"
}

// Waiting is how many messages wait for an attempt.
func (l Lane) Waiting() int { return l.Queued + l.Deferred + l.Paused }

// Credential is what an identity logs in with.
type Credential struct {
	Identity string    `json:"identity"`
	Kind     string    `json:"kind"`
	Expires  time.Time `json:"expires,omitzero"` // zero if unknown

	// Warning is for the operator once the expiry is near, Stage how near it is;
	// a credential that has expired has a warning and no stage.
	Warning, Stage string `json:"-"`

	// Unread is why a changed file cannot be read, while an earlier credential is in
	// use; empty if it can.
	Unread string `json:"-"`

	Tenant, Client, Subject string `json:"-"`

	Thumbprint string   `json:"thumbprint,omitempty"` // of a certificate
	Sent       bool     `json:"sent,omitempty"`       // mail was sent with a token of this certificate
	Renewal    *Renewal `json:"renewal,omitempty"`    // nil where it does not renew itself
}

// Renewal is how far a certificate that renews itself is.
type Renewal struct {
	Stage   string    `json:"stage"` // idle, made, trying or switched
	Text    string    `json:"text"`
	Failing bool      `json:"failing"`
	Cause   string    `json:"-"` // why: the line of a cause
	Since   time.Time `json:"-"`
}

// Audit is the last proof that an identity is restricted to its mailboxes.
type Audit struct {
	Identity string    `json:"identity"`
	At       time.Time `json:"at"`
	Passed   bool      `json:"passed"`
	Text     string    `json:"text,omitempty"`
}

// Canary is the newest message of audit.canary, and the last one that arrived.
type Canary struct {
	Address  string    `json:"address"`
	ID       string    `json:"queue_id,omitempty"`
	Stage    string    `json:"stage"` // queued, sent, missing, arrived, failed or deleted
	Accepted time.Time `json:"accepted,omitzero"`
	Arrived  time.Time `json:"last_arrived,omitzero"`
	Travel   float64   `json:"last_travel_seconds"` // from acceptance to arrival

	// Problem is the line of a cause while none has arrived since one went missing or
	// failed, Unread while the mailbox cannot be read; else they are empty.
	Problem     string    `json:"-"`
	Since       time.Time `json:"-"`
	Unread      string    `json:"-"`
	UnreadSince time.Time `json:"-"`
}

// Reload is the last time that the configuration was read.
type Reload struct {
	At     time.Time `json:"at"`               // of the last success
	Failed bool      `json:"failed,omitempty"` // a later one failed
	Error  string    `json:"error,omitempty"`  // why
}

// MailboxDay is how many recipients a mailbox has sent to in 24 hours; Exchange
// allows 10,000.
type MailboxDay struct {
	Mailbox    string
	Recipients int
}

// Alarm is a fault that is on. Key names it for programs, and is not for people.
type Alarm struct {
	Key string `json:"key"`
	Fault
}

// Oldest is when the oldest waiting message was accepted; zero without any.
func (s Snapshot) Oldest() time.Time {
	var first time.Time
	for _, l := range s.Lanes {
		if first.IsZero() || !l.Oldest.IsZero() && l.Oldest.Before(first) {
			first = l.Oldest
		}
	}
	return first
}

// Waiting is how many messages are neither sent nor failed.
func (s Snapshot) Waiting() int { return s.Queued + s.Deferred + s.Paused + s.Sending + s.Held }

// Refusal is why no mail is accepted, and what to do; nil if it is. A stop of the
// service does not count.
func (s Snapshot) Refusal() error { return cmp.Or(s.Unhealthy, s.Unread, s.Full) }

// Ready reports whether mail is accepted.
func (s Snapshot) Ready() bool { return s.Refusal() == nil && !s.Stopping }
