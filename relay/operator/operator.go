// Package operator does what an operator may do to the queue: retry, hold,
// release and delete messages, probe holds, and send a test mail. The admin
// socket and the console both use it, so the same request has the same effect
// and leaves the same words in the history, which name who asked.
//
// # Promises
//
// A change of many messages goes through the queue page by page and reports how
// far it is, so a backlog is never in memory. A message that is Sending is
// skipped. Retry and release of named messages, and every release, also probe the
// holds that stop them. Both make the mailboxes concerned try now where failures made
// them wait; a time that Microsoft named stays, and is returned. Of the messages that
// become due, those that may have been sent already and are not looked up first are
// counted: whoever releases one has looked.
//
// # On failure
//
// A change that fails half-way keeps what it has changed; the error is that of
// the store.
//
// The package knows neither HTTP nor Graph.
package operator

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

// Store is what an operator reads and changes: a spool.Store.
type Store interface {
	spool.Reader
	spool.Operator
}

// Record is the record of refusals: a refusals.Record.
type Record interface {
	List(ctx context.Context, f spool.RefusalFilter) ([]spool.Refusal, error)
}

// Operator acts on one queue; every field is required.
type Operator struct {
	Store    Store
	Wake     func(mailbox envelope.Address)        // delivery looks at the mailbox
	Holds    func() []spool.Hold                   // in force
	Identity func(mailbox envelope.Address) string // that a mailbox sends through
	ProbeNow func(keys ...string)                  // probes these holds

	// TryNow makes delivery try chosen mailboxes now where failures made it wait, and
	// returns the pauses that this does not end.
	TryNow   func(chosen func(mailbox envelope.Address) bool) []state.Wait
	Hostname func() string // of the relay
	Now      func() time.Time
	Record   Record      // of what was refused
	LooksUp  func() bool // whether a message that may have been sent is looked up before it is retried; nil: no

	// Submit hands a message over as a program of this host would.
	Submit func(ctx context.Context, from, to envelope.Address, message io.Reader) (envelope.QueueID, error)
}

// Refusals reads a page of what was refused, the latest first.
func (o *Operator) Refusals(ctx context.Context, f spool.RefusalFilter) ([]spool.Refusal, error) {
	return o.Record.List(ctx, f)
}

// Probe probes the hold with this key, those that can stop mail of a mailbox, or
// all of them, and returns their keys.
func (o *Operator) Probe(key string, mailbox envelope.Address) []string {
	return o.probe(func(h spool.Hold) bool {
		return (key == "" || key == h.Key) && (mailbox.IsZero() || o.canStop(h, mailbox))
	})
}

// TryAll makes every mailbox try now and probes every hold. It returns the pauses
// that go on.
func (o *Operator) TryAll() []state.Wait {
	o.Probe("", envelope.Address{})
	return o.TryNow(func(envelope.Address) bool { return true })
}

func (o *Operator) probe(meant func(spool.Hold) bool) []string {
	keys := []string{}
	for _, h := range o.Holds() {
		if meant(h) {
			keys = append(keys, h.Key)
		}
	}
	if len(keys) > 0 {
		o.ProbeNow(keys...)
	}
	return keys
}

func (o *Operator) canStop(h spool.Hold, mailbox envelope.Address) bool {
	if h.Mailbox.IsZero() {
		return h.Identity == o.Identity(mailbox)
	}
	return h.Reaches(mailbox)
}

// maxHeader bounds the header block that an operator is shown, in bytes.
const maxHeader = 64 << 10

// Header reads the header block of a stored message; cut says that it is longer
// than what is shown. spool.ErrNotFound if the stored message is deleted.
func Header(ctx context.Context, store spool.Reader, r spool.Record) (block string, cut bool, err error) {
	if r.BodyGone {
		return "", false, spool.ErrNotFound
	}
	f, err := store.Open(ctx, r.ID)
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, min(r.HeaderSize, maxHeader)))
	return string(b), r.HeaderSize > maxHeader, err
}

const testMail = "From: %s\r\n" +
	"To: %s\r\n" +
	"Subject: Test mail from graphrelay\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\n" +
	"\r\n" +
	"This is a test mail from graphrelay on %s.\r\n" +
	"If you can read it, mail is delivered.\r\n"

// TestMail sends a test mail through the normal delivery path, under the rules
// for programs of this host. Its mailbox tries now.
func (o *Operator) TestMail(ctx context.Context, from, to envelope.Address) (envelope.QueueID, error) {
	id, err := o.Submit(ctx, from, to, strings.NewReader(fmt.Sprintf(testMail, from, to, o.Hostname())))
	if err == nil {
		m, _ := o.Store.Get(ctx, id)
		o.TryNow(m.Mailbox.Equal)
	}
	return id, err
}
