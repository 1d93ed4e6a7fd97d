// Package spool is the contract of graphrelay's durable queue: its types, its
// errors, and the rules that every store keeps. A message answered with 250 is
// in the queue until its fate is recorded; its history stays for some time.
//
// # Promises
//
// A message that Commit accepted survives SIGKILL, a kernel crash and a power
// cut on storage that honours flush. A message whose Commit failed is not kept
// and does not come back after a restart. An attempt is durable before it is
// made. Memory stays bounded whatever the backlog or the size of a message.
// Nothing is deleted because of an error.
//
// # On failure
//
// After a failed commit a store reopens itself. Where that fails too, the store
// is unhealthy: Begin, Commit, Claim and Settle return ErrUnhealthy, and stored
// messages can still be read. With a full disk, Begin and Commit return ErrFull
// while Settle still works.
//
// # What it must not know
//
// A store knows neither SMTP nor Graph nor when to retry: callers say which
// state a message gets and when it is due. This package knows no engine either.
// relay/spool/sqlite is the engine, relay/spool/spooltest has a store in memory
// and the suite that both pass.
package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
)

// Errors that callers distinguish with errors.Is.
var (
	ErrFull      = errors.New("spool: no room")                              // disk, inodes, or queue.max_messages
	ErrUnhealthy = errors.New("spool: unhealthy after a failed commit")      // no writes until it recovers
	ErrNotFound  = errors.New("spool: no such message")                      // unknown queue ID
	ErrState     = errors.New("spool: message is in another state")          // e.g. the attempt is not open
	ErrDamaged   = errors.New("spool: stored message is damaged")            // checksum or missing chunk
	ErrLocked    = errors.New("spool: another graphrelay uses this store")   // one daemon per store
	ErrSchema    = errors.New("spool: store was written by a newer version") // downgrade refused
	ErrSandbox   = errors.New("spool: store is of the other kind")           // a sandbox's or a real relay's

	// ErrDisplaced means that another node has the lanes of this one, which records nothing any more.
	ErrDisplaced = errors.New("spool: another node has the lanes of this one")

	// ErrClosed is returned for calls after Close; it is an ErrUnhealthy.
	ErrClosed = fmt.Errorf("%w: the store is closed", ErrUnhealthy)
	// ErrDraftOver is returned by a draft that was committed or aborted.
	ErrDraftOver = errors.New("spool: the draft is over")
	// ErrBodyClosed is returned by a stored message that was closed.
	ErrBodyClosed = errors.New("spool: the stored message is closed")
)

// NotFound is the ErrNotFound for a queue ID.
func NotFound(id envelope.QueueID) error { return fmt.Errorf("%w: %s", ErrNotFound, id) }

// NoReportOwed is the ErrState for a report of a message that owes none.
func NoReportOwed(id envelope.QueueID) error {
	return fmt.Errorf("%w: message %s owes no report", ErrState, id)
}

// WrongState is the ErrState for a message that a change does not fit; doing is
// an infinitive such as "settle".
func WrongState(id envelope.QueueID, doing string, is State, attempts int) error {
	return fmt.Errorf("%w: cannot %s message %s, which is %s after %d attempts", ErrState, doing, id, is, attempts)
}

// Store is a queue: the union of the roles below, and its upkeep. All methods
// may be called at the same time.
type Store interface {
	Intake
	Lanes
	Nodes
	Reports
	Bounces
	Refusals
	Operator
	Reader

	// Sweep deletes the bodies of Failed messages older than keepFailed, the
	// history of messages that finished before keepHistory and refusals of then,
	// gives space back in small steps, and refills the ballast.
	Sweep(ctx context.Context, now time.Time, keepHistory, keepFailed time.Duration) error
	// Health is nil, or says why nothing is accepted and what to do.
	Health() error
	Close() error
}

// Intake takes messages in.
type Intake interface {
	// Begin starts a draft of a client (Turn.Client) of about size bytes (0 = not
	// declared), if there is room for them now and the client may use it (Overdrawn).
	// Room is reserved as bytes arrive, and a draft to which nothing is added for a
	// while loses what it has if others need it. The share of the client is looked at
	// again meanwhile, but one body is never too much. So Write and Commit may return
	// ErrFull. ErrFull, ErrUnhealthy.
	Begin(ctx context.Context, client string, size int64) (Draft, error)
	// Admit returns nil if a message of a client of about size bytes would be accepted now,
	// else ErrFull or ErrUnhealthy. It reserves nothing and does no I/O beyond a
	// cached statfs.
	Admit(client string, size int64) error
	// Key makes the IDs in the header of messages. It is random, and the store's own.
	Key() [16]byte
}

// Draft is a message being received. It holds at most one chunk in memory.
// Exactly one of Commit and Abort ends it; Abort after Commit does nothing.
type Draft interface {
	io.Writer
	// Commit makes the message durable, in state Queued and due at once. It
	// returns nil only when the message survives a power cut. It cannot be
	// cancelled half-way. Errors: ErrFull, ErrUnhealthy, or another that means
	// the message was not and will not be kept.
	//
	// A message with ReportOf settles the report that the other message owes, of its
	// failure or of ReportBounces bounces, or with ReportDelay its warning, in the same commit. If the other message
	// owes none (any more), Commit returns ErrState and keeps nothing.
	Commit(ctx context.Context, m Message) error
	// Attempt has Commit record the first attempt as well, begun at a time: the message is
	// Sending then, as if it had been claimed, and is settled or taken back in the same way.
	// Attempted says after Commit whether it is: not where another node has come to send the
	// mail of the mailbox, and the message is Queued.
	Attempt(at time.Time)
	Attempted() bool
	Abort()
}

// Lanes gives out messages to attempt and records what became of them.
type Lanes interface {
	// Claim makes due messages Sending, each with one more attempt, and returns
	// them when that is durable. It returns no error if none is due.
	Claim(ctx context.Context, c Claim) ([]Record, error)
	// Settle records the outcome of an open attempt durably. Sent
	// deletes the body in the same commit.
	Settle(ctx context.Context, s Settlement) error
	// Unclaim takes back an attempt that was recorded but not made: the message
	// is Queued again, due at next, the attempt not counted.
	Unclaim(ctx context.Context, id envelope.QueueID, attempt int, next time.Time) error
	// MayBegin returns nil if an attempt that was recorded may be made. It is asked directly
	// before each request that may send the message, and before what cannot be taken back,
	// and does no I/O. After an error nothing is sent: another node may have the queue.
	MayBegin() error
	// Elsewhere is how many attempts in a mailbox another node may still be making, which had
	// the queue before. Their messages are Sending, and queued again when it cannot any more.
	Elsewhere(mailbox envelope.Address) int

	// SetHold creates a hold, or replaces the one with the same Key. One that was Saved and is
	// not there any more was ended by another node, and stays so: ErrNotFound.
	SetHold(ctx context.Context, h Hold) error
	// EndHold removes a hold and adds the time since it began (or since each
	// message was accepted) to HeldFor of the messages it stopped. mailboxes, unless nil,
	// are those that the hold of an identity stopped, in place of its Mailboxes. It does nothing
	// where the hold has ended.
	EndHold(ctx context.Context, key string, at time.Time, mailboxes ...envelope.Address) error

	// SentRecipients counts the recipients of messages sent since a time and
	// before another, as far back as the history goes: the use of Exchange's
	// daily limit.
	SentRecipients(ctx context.Context, since, until time.Time) ([]Usage, error)
}

// Claim asks for messages to attempt: Queued, of Mailbox, with NextAttempt not
// after Now, earliest NextAttempt first within each turn.
type Claim struct {
	Mailbox    envelope.Address
	Now        time.Time
	Limit      int                // in all; = 1, at most MaxPage
	Turns      []Quota            // whose, in this order, one look-up each; without any whoever waits, at any cost
	ExceptFrom []envelope.Address // skip messages with this From (SendAs holds)
	OnlyFrom   envelope.Address   // skip messages without this From (the probe of a SendAs hold); zero: none
	ExceptOver int64              // skip messages of more bytes (holds of large mail); 0: none
	OnlyOver   int64              // skip messages that do not have more bytes (the probe of such a hold)
	Probe      bool               // ignore NextAttempt, least recently attempted first: another message each time

	// TriedBefore, if it is not zero, ignores NextAttempt of messages that were last
	// attempted before it, unless the outcome of that attempt is unknown.
	TriedBefore time.Time
}

// Count is the number of messages that Claim returns at most.
func (c Claim) Count() int { return min(max(c.Limit, 1), MaxPage) }

// Settlement is the outcome of an open attempt. Settle moves the message from
// Sending to State.
type Settlement struct {
	ID          envelope.QueueID
	Attempt     int   // number of the attempt it settles; ErrState if it is not the open one
	State       State // Deferred, Paused, Held, Sent, Failed or Damaged
	NextAttempt time.Time
	Unknown     bool
	Status      reply.Enhanced
	Text        string
	RequestID   string
	HTTPStatus  int
	Duration    time.Duration // from request to answer
	At          time.Time
	MayWait     bool // some milliseconds, for another change with which it shares a flush
}

// Reports keeps track of the reports (DSNs) that failed messages owe.
type Reports interface {
	// Owed lists up to limit messages whose report is owed, earliest failure
	// first. Each message that becomes Failed owes one, once in its
	// life, until Commit of the report, Reported, or its return to the queue. A Sent one
	// owes a report of each bounce, once; BouncesReported counts those that it had.
	Owed(ctx context.Context, limit int) ([]Record, error)
	// Reported records that the report of a message is not owed any more. It
	// returns no error if none was owed.
	Reported(ctx context.Context, id envelope.QueueID) error
}

// Bounces keeps what came back about messages that were sent.
type Bounces interface {
	// Bounced adds an EventBounced or EventDelayed to the history of a message, whatever its
	// state. It returns false where the message has one of this kind and recipient. A bounce
	// that is certain makes a Sent message owe a report (see Reports), unless it is one itself.
	Bounced(ctx context.Context, e Event) (added bool, err error)
	// Note remembers a text under a key; Noted returns it, "" where there is none.
	Note(ctx context.Context, key, text string) error
	Noted(ctx context.Context, key string) (string, error)
}

// Operator changes messages outside an attempt.
type Operator interface {
	// Move changes the state of a waiting or Held message (an operator's hold and
	// release, expiry), with a history row. Failed and Damaged messages can be
	// queued or held again while their body is kept. When a message enters a
	// hold or returns from it to the queue, why becomes its LastText.
	Move(ctx context.Context, id envelope.QueueID, to State, next time.Time, why string, at time.Time) error
	// Retry is Move to Queued for an operator who has not decided whether the
	// message was sent: the history has EventRetried in place of EventReleased.
	Retry(ctx context.Context, id envelope.QueueID, next time.Time, why string, at time.Time) error
	// Delete removes the body of a message at the operator's request; the message
	// stays in the history as Deleted. Sending and Sent messages cannot be deleted:
	// ErrState.
	Delete(ctx context.Context, id envelope.QueueID, why string, at time.Time) error
}

// Reader reads what is stored. Records, counts and filters have the states that
// people see (Shown).
type Reader interface {
	// Open reads a stored message from its first byte; the reader reads one
	// chunk per transaction, verifies its checksum (ErrDamaged), and may seek.
	Open(ctx context.Context, id envelope.QueueID) (io.ReadSeekCloser, error)
	Get(ctx context.Context, id envelope.QueueID) (Record, error)
	// List reads a page in order of acceptance.
	List(ctx context.Context, f Filter) ([]Record, error)
	// ByMessageID reads up to limit messages with this Message-ID, newest
	// first. An empty Message-ID matches nothing.
	ByMessageID(ctx context.Context, messageID string, limit int) ([]Record, error)
	History(ctx context.Context, id envelope.QueueID) ([]Event, error)
	Lanes(ctx context.Context) ([]Lane, error)
	Stats(ctx context.Context) (Stats, error)
	Holds(ctx context.Context) ([]Hold, error)
	// Refusals reads a page of what was refused, the latest first.
	Refusals(ctx context.Context, f RefusalFilter) ([]Refusal, error)
}
