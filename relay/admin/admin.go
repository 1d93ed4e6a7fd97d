// Package admin answers the operator's commands on the admin socket: HTTP with
// JSON over a unix socket. Server is the service's side, Client the commands';
// Queue reads a store for both.
//
// # Promises
//
// Looking changes nothing. A body is sent only where it is asked for, as a
// stream. Each change is logged with the user who asked for it.
//
// The kernel says who opened the socket: root, the service's own user and members
// of the socket's group are served, nobody else.
//
// The package knows neither SMTP nor delivery; relay passes in a function that
// sums up both.
package admin

import (
	"context"
	"errors"
	"io"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/operator"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

// Status is the answer to `graphrelay status` and the readiness of the service.
type Status struct {
	Version   string        `json:"version"`
	Started   time.Time     `json:"started"`
	Problems  []state.Alarm `json:"problems"`           // what is wrong, the worst first
	Warnings  []string      `json:"warnings,omitempty"` // e.g. endpoints that are not Microsoft's
	Healthy   bool          `json:"healthy"`            // mail is accepted
	Health    string        `json:"health,omitempty"`   // why not, and what to do
	Listeners []string      `json:"listeners"`
	state.Snapshot
}

// StatusOf makes the status of a snapshot.
func StatusOf(s state.Snapshot, warnings []string, now time.Time) Status {
	st := Status{Snapshot: s, Warnings: warnings, Problems: state.Judge(s, now).Reasons, Healthy: s.Ready()}
	if !st.Healthy {
		st.Health = st.Problems[0].Cause().String()
	}
	return st
}

// Message is a message as the queue commands show it.
type Message struct {
	QueueID     string    `json:"queue_id"`
	State       string    `json:"state"`
	Accepted    time.Time `json:"accepted"`
	Size        int64     `json:"size"`
	HeaderSize  int64     `json:"header_size"`
	ReversePath string    `json:"reverse_path"`
	From        string    `json:"from"`
	Mailbox     string    `json:"mailbox"`
	Recipients  []string  `json:"recipients"`
	MessageID   string    `json:"message_id"`
	Subject     string    `json:"subject"`
	Client      string    `json:"client"`      // name of the client entry
	ClientAddr  string    `json:"client_addr"` // IP address, or "unix"
	Attempts    int       `json:"attempts"`
	Crashes     int       `json:"crashes,omitempty"`
	Unknown     bool      `json:"unknown_outcome,omitempty"`
	NextAttempt time.Time `json:"next_attempt,omitzero"`
	LastAttempt time.Time `json:"last_attempt,omitzero"`
	Status      string    `json:"status,omitempty"`
	Reason      string    `json:"reason,omitempty"`
	RequestID   string    `json:"request_id,omitempty"`
	HeldSince   time.Time `json:"held_since,omitzero"`
	Finished    time.Time `json:"finished,omitzero"`
	BodyGone    bool      `json:"body_gone,omitempty"` // the stored message is deleted
	Bounces     int       `json:"bounces,omitempty"`   // recipients who did not get it, as bounces say

	PausedBy     string    `json:"paused_by,omitempty"` // key of the hold that stops it
	PausedReason string    `json:"paused_reason,omitempty"`
	PausedSince  time.Time `json:"paused_since,omitzero"`
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
	Unknown    bool      `json:"unknown_outcome,omitempty"`

	Recipient string `json:"recipient,omitempty"` // of a bounce or a delay, as are the others
	Remote    string `json:"remote_host,omitempty"`
	Probable  bool   `json:"probable,omitempty"`
}

// Fate is what became of one recipient of a message that was sent.
type Fate struct {
	Recipient string    `json:"recipient,omitempty"` // empty if the bounce names none of the message's
	Fate      string    `json:"fate"`                // accepted (no more is known), delayed or bounced
	At        time.Time `json:"at"`
	Status    string    `json:"status,omitempty"`
	Text      string    `json:"text,omitempty"`
	Remote    string    `json:"remote_host,omitempty"`
	Probable  bool      `json:"probable,omitempty"` // the bounce may be about another message
}

// Detail is the answer to `graphrelay queue show`.
type Detail struct {
	Message Message `json:"message"`
	Header  string  `json:"header,omitempty"` // empty if the stored message is deleted
	Fates   []Fate  `json:"fates,omitempty"`
	History []Event `json:"history"`
}

// fatesOf are the fates of a message's recipients.
func fatesOf(m spool.Message, history []spool.Event) (list []Fate) {
	for _, f := range spool.Fates(m, history) {
		fate := Fate{
			Fate: string(f.Kind), At: f.At, Status: f.Status.Text(), Text: f.Text, Remote: f.Remote,
			Probable: f.Probable,
		}
		if !f.Recipient.IsZero() {
			fate.Recipient = f.Recipient.String()
		}
		if f.Kind == spool.EventSent {
			fate.Fate, fate.Status, fate.Text = "accepted", "", ""
		}
		list = append(list, fate)
	}
	return list
}

// MessageOf makes the shown form of a record.
func MessageOf(r spool.Record) Message {
	m := Message{
		QueueID: string(r.ID), State: string(r.State), Accepted: r.Accepted, Size: r.Size, HeaderSize: r.HeaderSize,
		ReversePath: r.Envelope.ReversePath.String(), From: r.From.String(), Mailbox: r.Mailbox.String(),
		MessageID: r.MessageID, Subject: r.Subject, Client: r.Client.Name, ClientAddr: r.Client.String(),
		Attempts: r.Attempts, Crashes: r.Crashes, Unknown: r.Unknown, LastAttempt: r.LastAttempt,
		Reason: r.LastText, RequestID: r.LastRequest, Status: r.LastStatus.Text(),
		HeldSince: r.HeldSince, Finished: r.FinishedAt, BodyGone: r.BodyGone,
		Bounces: r.Bounces,
	}
	if r.State.Stored() == spool.Queued {
		m.NextAttempt = r.NextAttempt
	}
	if h := r.PausedBy; h != nil {
		m.PausedBy, m.PausedReason, m.PausedSince = h.Key, h.Text, h.Since
	}
	for _, to := range r.Envelope.Recipients {
		m.Recipients = append(m.Recipients, to.String())
	}
	return m
}

// Queue answers list, show and export from a store: the running service's, or a
// stopped service's, opened read-only. The commands that change messages are in
// operator.
type Queue struct{ Store spool.Reader }

// List returns a page of the messages that f selects.
func (q Queue) List(ctx context.Context, f spool.Filter) ([]Message, error) {
	records, err := q.Store.List(ctx, f)
	if err != nil {
		return nil, err
	}
	list := make([]Message, 0, len(records))
	for _, r := range records {
		list = append(list, MessageOf(r))
	}
	return list, nil
}

// Show returns one message with its history and header block. A header that cannot
// be read leaves Header empty: the rest is still worth seeing.
func (q Queue) Show(ctx context.Context, id envelope.QueueID) (*Detail, error) {
	r, err := q.Store.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	events, err := q.Store.History(ctx, id)
	if err != nil {
		return nil, err
	}
	d := &Detail{
		Message: MessageOf(r), Fates: fatesOf(r.Message, events), History: make([]Event, 0, len(events)),
	}
	for _, e := range events {
		shown := Event{
			At: e.At, Event: string(e.Kind), Attempt: e.Attempt, HTTPStatus: e.HTTPStatus, Status: e.Status.Text(),
			Text: e.Text, RequestID: e.RequestID, DurationMS: e.Duration.Milliseconds(), Unknown: e.Unknown,
			Remote: e.Remote, Probable: e.Probable,
		}
		if !e.Recipient.IsZero() {
			shown.Recipient = e.Recipient.String()
		}
		d.History = append(d.History, shown)
	}
	d.Header, _, err = operator.Header(ctx, q.Store, r)
	if errors.Is(err, spool.ErrDamaged) || errors.Is(err, spool.ErrNotFound) {
		err = nil
	}
	return d, err
}

// Body opens a stored message, header and body, as a stream; spool.ErrNotFound if
// it is deleted.
func (q Queue) Body(ctx context.Context, id envelope.QueueID) (io.ReadCloser, error) {
	return q.Store.Open(ctx, id)
}
