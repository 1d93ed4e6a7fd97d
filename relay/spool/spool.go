// Package spool is the durable queue of graphrelay: what was answered with 250
// is here until its fate is recorded, and its history stays for some time after.
//
// # Promises
//
// A message that Commit accepted survives SIGKILL, a kernel crash and a power
// cut on storage that honours flush; a message whose Commit failed is neither
// kept nor back after a restart. An attempt is durable before it is made.
// Memory stays bounded whatever the backlog or the size of a message. Nothing
// is deleted because of an error.
//
// # On failure
//
// A commit that failed makes the store reopen itself (design section 3,
// "Durable"); where that cannot be done the store is unhealthy: Begin, Commit,
// Claim and Settle answer ErrUnhealthy, and what is stored can still be read.
// A full disk answers ErrFull to Begin and Commit; Settle goes on, for a
// ballast file is freed first.
//
// The package knows neither SMTP nor Graph nor when to try again: callers say
// which state a message gets and when it is due. SQLite is the engine inside
// this file's interface (OpenSQLite); the suite in spooltest holds for any other.
package spool

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrFull      = errors.New("spool: no room")                              // disk, inodes, or queue.max_messages
	ErrUnhealthy = errors.New("spool: unhealthy after a failed commit")      // nothing is written until it is well again
	ErrNotFound  = errors.New("spool: no such message")                      // unknown queue ID
	ErrState     = errors.New("spool: message is in another state")          // e.g. settling an attempt that is not open
	ErrDamaged   = errors.New("spool: stored message is damaged")            // checksum or missing chunk
	ErrLocked    = errors.New("spool: another graphrelay uses this store")   // one daemon per store
	ErrSchema    = errors.New("spool: store was written by a newer version") // downgrade refused
	ErrSandbox   = errors.New("spool: store is of the other kind")           // a sandbox's store for a real relay, or the reverse
)

// State says what happens to a message next.
type State string

// The states. Queued, Active and Held messages are the queue; the others are
// history (Failed and Damaged keep their body).
const (
	Queued  State = "queued"  // waits for NextAttempt
	Active  State = "active"  // an attempt is recorded, its outcome is not
	Held    State = "held"    // waits for an operator, or for max_hold
	Sent    State = "sent"    // Graph answered 202
	Bounced State = "bounced" // refused for good, and its bytes are not worth keeping
	Failed  State = "failed"  // refused, or given up (max_age, max_hold); kept for keep_failed
	Damaged State = "damaged" // its stored bytes do not match their checksum
	Deleted State = "deleted" // by the operator
)

// Message is what is known of a message when it is accepted; it never changes.
type Message struct {
	ID         envelope.QueueID
	Envelope   envelope.Envelope
	Client     envelope.Client
	Mailbox    envelope.Address // whose sendMail is called; the lane
	From       envelope.Address // the granted From
	MessageID  string           // with angle brackets, as in the header
	Subject    string           // raw, cut to 200 octets; for people only
	HeaderSize int64            // octets of the header block incl. the empty line
	Size       int64            // octets in all; Commit fills it in
	Accepted   time.Time

	SenderFixed bool             // From is the configuration's choice, not the client's
	ReportOf    envelope.QueueID // set for a report (DSN): the message that it is about
	ReportDelay bool             // the report only warns of a delay
}

// Record is a message with its present state.
type Record struct {
	Message
	State       State
	Attempts    int           // recorded so far, the open one included
	Crashes     int           // attempts that a crash of this program interrupted
	Unknown     bool          // the last attempt may have succeeded
	NextAttempt time.Time     // for Queued
	LastAttempt time.Time     // zero before the first
	HeldFor     time.Duration // time in holds that is over; does not count towards max_age
	HeldSince   time.Time     // for Held
	LastStatus  reply.Enhanced
	LastText    string // of the last outcome, for the operator
	LastRequest string // Graph request-id of the last attempt
	FinishedAt  time.Time
	BodyGone    bool // the stored bytes were deleted (Sent, Bounced, Deleted; Failed after keep_failed)
	ReportOwed  bool // it is Failed or Bounced, and nobody has reported that yet
	DelayWarned bool // a report has warned of its delay
}

// Claim asks for messages to attempt: Queued, of Mailbox, with NextAttempt not
// after Now, earliest NextAttempt first.
type Claim struct {
	Mailbox    envelope.Address
	Now        time.Time
	Limit      int
	ExceptFrom []envelope.Address // leave out messages with this From (SendAs holds)
	Probe      bool               // ignore NextAttempt, least recently attempted first: another message each time
}

// Settlement is the outcome of an open attempt. Settle moves the message from
// Active to State.
type Settlement struct {
	ID          envelope.QueueID
	Attempt     int   // number of the attempt it settles; ErrState if it is not the open one
	State       State // Queued, Held, Sent, Bounced or Failed
	NextAttempt time.Time
	Unknown     bool
	Status      reply.Enhanced
	Text        string
	RequestID   string
	HTTPStatus  int
	Duration    time.Duration // from request to answer
	At          time.Time
}

// Event is one row of a message's history.
type Event struct {
	ID         envelope.QueueID
	At         time.Time
	Kind       EventKind
	Attempt    int
	Status     reply.Enhanced
	Text       string
	RequestID  string
	HTTPStatus int
	Duration   time.Duration
}

// EventKind is from the closed list of design section 2, step 8.
type EventKind string

// The kinds of events.
const (
	Accepted      EventKind = "accepted"
	Attempted     EventKind = "attempt"
	EventSent     EventKind = "sent"
	EventDeferred EventKind = "deferred"
	EventHeld     EventKind = "held"
	EventReleased EventKind = "released"
	EventBounced  EventKind = "bounced"
	EventFailed   EventKind = "failed"
	EventDeleted  EventKind = "deleted" // by the operator
	EventUnknown  EventKind = "unknown" // an attempt was interrupted or its outcome cannot be known
)

// Lane sums up one mailbox's part of the queue.
type Lane struct {
	Mailbox envelope.Address
	Queued  int
	Active  int
	Held    int
	Next    time.Time // earliest NextAttempt of the Queued ones; zero without any
	Oldest  time.Time // earliest Accepted
}

// Hold pauses a lane or an identity (design section 3, "Hold, don't bounce").
// It is kept in the store so that it survives a restart. Key is unique.
type Hold struct {
	Key       string             // e.g. "identity:contoso", "mailbox:a@b", "sendas:a@b from c@d"
	Mailbox   envelope.Address   // zero for an identity
	Mailboxes []envelope.Address // those an identity's hold stops; none means all
	From      envelope.Address   // only for SendAs
	Identity  string
	Status    reply.Enhanced
	Text      string
	Since     time.Time
	Probes    int
	NextProbe time.Time
}

// Usage is how many recipients a mailbox sent to in one hour. The mailbox is
// written as its Key.
type Usage struct {
	Mailbox    envelope.Address
	Hour       time.Time
	Recipients int
}

// Filter selects messages for List. Zero fields select everything.
type Filter struct {
	States      []State
	Mailbox     envelope.Address
	Client      string           // name of the clients: entry
	ClientIP    netip.Addr       // unmapped
	Sender      envelope.Address // is the From or the reverse-path
	ReversePath envelope.Address
	Recipient   envelope.Address // is one of the recipients
	MessageID   string           // with angle brackets
	Since       time.Time        // accepted then or later
	Until       time.Time        // accepted before

	Newest bool             // newest first, instead of oldest first
	After  envelope.QueueID // continue behind this one
	Limit  int              // = 100
}

// Stats are counts over the whole store, cheap to read.
type Stats struct {
	Queued, Active, Held, Failed, Damaged int
	Bytes                                 int64 // of stored bodies, roughly
}

// Draft is a message being received. It holds at most one chunk in memory.
// Exactly one of Commit and Abort ends it; Abort after Commit does nothing.
type Draft interface {
	io.Writer
	// Commit makes the message durable, in state Queued and due at once, and
	// returns only when it is: nil means it survives a power cut. It cannot be
	// cancelled half-way. Errors: ErrFull, ErrUnhealthy, or another that means
	// the message was not and will not be kept.
	//
	// A message with ReportOf settles the report that the other message owes,
	// or with ReportDelay its warning, in the same commit: ErrState, and nothing
	// is kept, where the other one owes none (any more).
	Commit(ctx context.Context, m Message) error
	Abort()
}

// Store is a queue. All methods may be called at the same time.
type Store interface {
	// Begin starts a draft of about size octets (0 = not declared) and
	// reserves room for it. ErrFull, ErrUnhealthy.
	Begin(ctx context.Context, size int64) (Draft, error)
	// Admit tells whether a message of about size octets would be taken now,
	// without reserving anything: nil, ErrFull or ErrUnhealthy. It does no I/O
	// beyond a cached statfs.
	Admit(size int64) error

	// Claim makes due messages Active, each with one more attempt, and returns
	// them when that is durable. None due is no error.
	Claim(ctx context.Context, c Claim) ([]Record, error)
	// Settle records the outcome of an open attempt durably. Sent and Bounced
	// delete the body in the same commit.
	Settle(ctx context.Context, s Settlement) error
	// Unclaim takes back an attempt that was recorded but not made: the message
	// is Queued again, due at next, the attempt not counted.
	Unclaim(ctx context.Context, id envelope.QueueID, attempt int, next time.Time) error
	// Move changes the state of a Queued or Held message outside an attempt
	// (operator's hold and release, expiry), with a history row. When it is
	// held, and when that ends, why becomes its LastText.
	Move(ctx context.Context, id envelope.QueueID, to State, next time.Time, why string, at time.Time) error

	// Owed lists up to limit messages whose report is owed, those that failed
	// first coming first. Each message that becomes Failed or Bounced owes one,
	// once in its life, until Commit of the report, Reported, or its return to
	// the queue.
	Owed(ctx context.Context, limit int) ([]Record, error)
	// Reported says that the report of a message is not owed any more. It is no
	// error where none was.
	Reported(ctx context.Context, id envelope.QueueID) error

	// SentRecipients counts the recipients of what was sent since a time and
	// before another, as far back as the history goes: the use of Exchange's
	// daily limit.
	SentRecipients(ctx context.Context, since, until time.Time) ([]Usage, error)

	// Delete removes the body of a message by the operator's will; the message
	// stays in the history as Deleted. One that is Active cannot be deleted,
	// nor one that is sent or bounced: ErrState.
	Delete(ctx context.Context, id envelope.QueueID, why string, at time.Time) error

	// Open reads a stored message from its first octet; the reader reads one
	// chunk per transaction, verifies its checksum (ErrDamaged), and may seek.
	Open(ctx context.Context, id envelope.QueueID) (io.ReadSeekCloser, error)
	Get(ctx context.Context, id envelope.QueueID) (Record, error)
	// List reads a page in order of acceptance.
	List(ctx context.Context, f Filter) ([]Record, error)
	// ByMessageID reads up to limit messages with this Message-ID, newest
	// first. An empty one is nobody's.
	ByMessageID(ctx context.Context, messageID string, limit int) ([]Record, error)
	History(ctx context.Context, id envelope.QueueID) ([]Event, error)
	Lanes(ctx context.Context) ([]Lane, error)
	Stats(ctx context.Context) (Stats, error)

	Holds(ctx context.Context) ([]Hold, error)
	SetHold(ctx context.Context, h Hold) error // creates or replaces by Key
	// EndHold removes a hold and adds the time since it began (or since each
	// message was accepted) to HeldFor of the messages it stopped.
	EndHold(ctx context.Context, key string, at time.Time) error

	// Sweep deletes the bodies of Failed messages older than keepFailed and the
	// history of what ended before keepHistory, gives space back in small
	// steps, and refills the ballast.
	Sweep(ctx context.Context, now time.Time, keepHistory, keepFailed time.Duration) error
	// Health is nil, or says why nothing is accepted and what to do.
	Health() error
	Close() error
}
