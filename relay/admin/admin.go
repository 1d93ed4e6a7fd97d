// Package admin answers the operator's commands on the admin socket: HTTP with
// JSON over a unix socket. Server is the service's side, Client the commands';
// Queue reads a store for both, Changer changes the messages of one.
//
// # Promises
//
// Looking changes nothing. A body is sent only where it is asked for, as a
// stream. A change of many messages goes through the queue page by page and
// tells how far it is, so a backlog is never in memory; a message that is
// Active is left alone. Each change is logged with the user who wanted it.
//
// Whoever may open the socket is asked by the kernel who they are: root, the
// service's own user and members of the socket's group are served.
//
// The package knows neither SMTP nor the delivery; relay hands it functions
// that sum up both, and that wake a lane.
package admin

import (
	"time"

	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// Status is the answer to `graphrelay status` and the readiness of the service.
type Status struct {
	Version     string    `json:"version"`
	Started     time.Time `json:"started"`
	Warnings    []string  `json:"warnings,omitempty"` // e.g. endpoints that are not Microsoft's
	Healthy     bool      `json:"healthy"`
	Health      string    `json:"health,omitempty"` // why not, and what to do
	Listeners   []string  `json:"listeners"`
	Connections int       `json:"connections"`
	Queued      int       `json:"queued"`
	Active      int       `json:"active"`
	Held        int       `json:"held"`
	Failed      int       `json:"failed"`
	Damaged     int       `json:"damaged"`
	Lanes       []Lane    `json:"lanes"`
	Holds       []Hold    `json:"holds"`

	Minute      Traffic      `json:"last_minute"` // the last whole minute
	Hour        Traffic      `json:"last_hour"`
	Credentials []Credential `json:"credentials"`
	Certificate *time.Time   `json:"certificate_expires,omitempty"` // of the listeners
	Audits      []Audit      `json:"audits"`
	Reload      Reload       `json:"last_reload"`
}

// Traffic is what happened in some time, in messages.
type Traffic struct {
	Accepted int `json:"accepted"`
	Rejected int `json:"rejected"`
	Sent     int `json:"sent"`
	Deferred int `json:"deferred"`
	Held     int `json:"held"`
	Bounced  int `json:"bounced"` // and failed
}

// Credential is what an identity logs in with.
type Credential struct {
	Identity string     `json:"identity"`
	Kind     string     `json:"kind"`
	Expires  *time.Time `json:"expires,omitempty"` // none: nobody told
}

// Audit is the last proof that an identity is restricted to its mailboxes.
type Audit struct {
	Identity string    `json:"identity"`
	At       time.Time `json:"at"`
	Passed   bool      `json:"passed"`
	Text     string    `json:"text,omitempty"`
}

// Reload is the last time that the configuration was read.
type Reload struct {
	At     time.Time `json:"at"`               // of the last good one
	Failed bool      `json:"failed,omitempty"` // a later one failed
	Error  string    `json:"error,omitempty"`  // why
}

// Lane is one mailbox's part of the queue.
type Lane struct {
	Mailbox  string     `json:"mailbox"`
	Identity string     `json:"identity,omitempty"`
	Queued   int        `json:"queued"`
	Active   int        `json:"active"`
	Held     int        `json:"held"`
	Next     *time.Time `json:"next,omitempty"`
	Oldest   *time.Time `json:"oldest,omitempty"`
	Slots    int        `json:"slots,omitempty"` // requests at once
	Busy     int        `json:"busy,omitempty"`  // requests under way
	Failures int        `json:"failures,omitempty"`
	Paused   *time.Time `json:"paused_until,omitempty"` // by throttling
}

// Hold is a pause of a mailbox or an identity.
type Hold struct {
	Key    string    `json:"key"`
	Since  time.Time `json:"since"`
	Status string    `json:"status"`
	Text   string    `json:"text"`
	Probes int       `json:"probes"`
	Next   time.Time `json:"next_probe"`
}

// Message is a message as the queue commands show it.
type Message struct {
	QueueID     string     `json:"queue_id"`
	State       string     `json:"state"`
	Accepted    time.Time  `json:"accepted"`
	Size        int64      `json:"size"`
	HeaderSize  int64      `json:"header_size"`
	ReversePath string     `json:"reverse_path"`
	From        string     `json:"from"`
	Mailbox     string     `json:"mailbox"`
	Recipients  []string   `json:"recipients"`
	MessageID   string     `json:"message_id"`
	Subject     string     `json:"subject"`
	Client      string     `json:"client"`      // name of the client entry
	ClientAddr  string     `json:"client_addr"` // IP address, or "unix"
	Attempts    int        `json:"attempts"`
	Crashes     int        `json:"crashes,omitempty"`
	Unknown     bool       `json:"unknown_outcome,omitempty"`
	NextAttempt *time.Time `json:"next_attempt,omitempty"`
	LastAttempt *time.Time `json:"last_attempt,omitempty"`
	Status      string     `json:"status,omitempty"`
	Reason      string     `json:"reason,omitempty"`
	RequestID   string     `json:"request_id,omitempty"`
	HeldSince   *time.Time `json:"held_since,omitempty"`
	Finished    *time.Time `json:"finished,omitempty"`
	BodyGone    bool       `json:"body_gone,omitempty"` // the stored octets are deleted
}

// Event is one line of a message's history.
type Event struct {
	At         time.Time `json:"at"`
	Event      string    `json:"event"`
	Attempt    int       `json:"attempt,omitempty"`
	HTTPStatus int       `json:"http_status,omitempty"`
	Status     string    `json:"status,omitempty"`
	Text       string    `json:"text,omitempty"`
	RequestID  string    `json:"request_id,omitempty"`
	DurationMS int64     `json:"duration_ms,omitempty"`
}

// Detail is the answer to `graphrelay queue show`.
type Detail struct {
	Message Message `json:"message"`
	Header  string  `json:"header,omitempty"` // empty when the stored bytes are gone
	History []Event `json:"history"`
}

// MessageOf makes the shown form of a record.
func MessageOf(r spool.Record) Message {
	m := Message{
		QueueID: string(r.ID), State: string(r.State), Accepted: r.Accepted, Size: r.Size, HeaderSize: r.HeaderSize,
		ReversePath: r.Envelope.ReversePath.String(), From: r.From.String(), Mailbox: r.Mailbox.String(),
		MessageID: r.MessageID, Subject: r.Subject, Client: r.Client.Name, ClientAddr: r.Client.String(),
		Attempts: r.Attempts, Crashes: r.Crashes, Unknown: r.Unknown, LastAttempt: when(r.LastAttempt),
		Reason: r.LastText, RequestID: r.LastRequest, Status: enhanced(r.LastStatus),
		HeldSince: when(r.HeldSince), Finished: when(r.FinishedAt), BodyGone: r.BodyGone,
	}
	if r.State == spool.Queued {
		m.NextAttempt = when(r.NextAttempt)
	}
	for _, to := range r.Envelope.Recipients {
		m.Recipients = append(m.Recipients, to.String())
	}
	return m
}

func eventOf(e spool.Event) Event {
	return Event{At: e.At, Event: string(e.Kind), Attempt: e.Attempt, HTTPStatus: e.HTTPStatus, Status: enhanced(e.Status),
		Text: e.Text, RequestID: e.RequestID, DurationMS: e.Duration.Milliseconds()}
}

// LaneOf makes the shown form of a lane.
func LaneOf(l spool.Lane) Lane {
	return Lane{Mailbox: l.Mailbox.String(), Queued: l.Queued, Active: l.Active, Held: l.Held, Next: when(l.Next), Oldest: when(l.Oldest)}
}

// HoldOf makes the shown form of a hold.
func HoldOf(h spool.Hold) Hold {
	return Hold{Key: h.Key, Since: h.Since, Status: enhanced(h.Status), Text: h.Text, Probes: h.Probes, Next: h.NextProbe}
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func enhanced(e [3]int) string {
	if e[0] == 0 {
		return ""
	}
	return reply.Enhanced(e).String()
}
