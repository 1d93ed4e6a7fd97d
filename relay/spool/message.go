package spool

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
)

// State is what happens to a message next.
type State string

// The states. Messages in the first five are the queue; the others are history
// (Failed and Damaged keep their body). Whatever waits for its turn is stored as
// Queued; Shown says whether it is Queued, Deferred or Paused.
const (
	Queued   State = "queued"   // waits for its first attempt
	Deferred State = "deferred" // an attempt failed for now; waits for NextAttempt
	Paused   State = "paused"   // a hold of its identity, mailbox, From address or client stops it
	Sending  State = "sending"  // an attempt is recorded, its outcome is not
	Held     State = "held"     // alone: waits for an operator, or for max_hold
	Sent     State = "sent"     // Graph answered 202
	Failed   State = "failed"   // refused, or given up (max_age, max_hold); kept for keep_failed
	Damaged  State = "damaged"  // its stored bytes do not match their checksum
	Deleted  State = "deleted"  // by the operator
)

// Message is what is known of a message when it is accepted; it never changes.
type Message struct {
	ID         envelope.QueueID
	Envelope   envelope.Envelope
	Client     envelope.Client
	Mailbox    envelope.Address // whose sendMail is called; the lane
	From       envelope.Address // the granted From
	MessageID  string           // with angle brackets, as in the header
	Subject    string           // decoded, cut to 200 bytes; for people only
	HeaderSize int64            // bytes of the header block including the empty line
	Size       int64            // bytes in all; Commit fills it in
	Accepted   time.Time

	ConfiguredFrom bool             // From is the configuration's choice, not the client's
	ReportOf       envelope.QueueID // set for a report (DSN): the message that it is about
	ReportDelay    bool             // the report only warns of a delay
	ReportBounces  int              // how many bounces of a Sent message it reports
	Automatic      bool             // its header says that no report of it is wanted
}

// Record is a message with its present state.
type Record struct {
	Message
	State       State         // as it is shown; see Shown
	PausedBy    *Hold         // for Paused
	Attempts    int           // recorded so far, the open one included
	Crashes     int           // attempts that a crash of this program interrupted
	Unknown     bool          // the last attempt may have succeeded
	NextAttempt time.Time     // for Queued, Deferred and Paused
	LastAttempt time.Time     // zero before the first
	HeldFor     time.Duration // time in past holds; does not count towards max_age
	HeldSince   time.Time     // for Held
	LastStatus  reply.Enhanced
	LastText    string // of the last outcome, for the operator
	LastRequest string // Graph request-id of the last attempt
	FinishedAt  time.Time
	BodyGone    bool // the stored bytes were deleted (Sent, Deleted; Failed after keep_failed)
	ReportOwed  bool // it is Failed, and nobody has reported that yet
	DelayWarned bool // a report has warned of its delay

	Bounces         int // recipients who did not get it, as bounces say
	BouncesReported int // of those that are certain
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
	Unknown    bool // the attempt was interrupted, or its outcome cannot be known

	// Of a bounce or a delay, as a report in a mailbox says.
	Recipient envelope.Address // one of the message's; zero where the report names none of them
	Remote    string           // the host that refused it
	Origin    envelope.Address // in whose mailbox the report lies
	Probable  bool             // it may be about another message
}

// EventKind is one of the closed list below.
type EventKind string

// The kinds of events. A store need not keep Accepted: the message itself says when that was.
const (
	Accepted      EventKind = "accepted"
	Attempted     EventKind = "attempt"
	EventSent     EventKind = "sent"
	EventDeferred EventKind = "deferred"
	EventPaused   EventKind = "paused" // the attempt met a hold, or began one
	EventHeld     EventKind = "held"
	EventReleased EventKind = "released"
	EventRetried  EventKind = "retried" // by the operator, who has not looked whether it was sent
	EventFailed   EventKind = "failed"
	EventDeleted  EventKind = "deleted" // by the operator
	EventBounced  EventKind = "bounced" // after it was sent: a recipient did not get it
	EventDelayed  EventKind = "delayed" // after it was sent: a recipient has not got it yet
)

// Lane sums up one mailbox's part of the queue.
type Lane struct {
	Mailbox  envelope.Address
	Queued   int
	Deferred int
	Paused   int
	Sending  int
	Held     int
	Next     time.Time // earliest NextAttempt of those that wait; zero without any
	Oldest   time.Time // earliest Accepted
	Turns    []Waits   // of those that wait, in order of Turn; MaxTurns at most
}

// Waiting is how many messages wait for an attempt.
func (l Lane) Waiting() int { return l.Queued + l.Deferred + l.Paused }

// Hold pauses a lane or an identity instead of bouncing its mail. It is stored,
// so that it survives a restart. Key is unique.
type Hold struct {
	Key       string             // "identity:contoso", "mailbox:a@b", "sendas:a@b from c@d", "client:a@b of erp", ...
	Mailbox   envelope.Address   // zero for an identity
	Mailboxes []envelope.Address // those with mail that an identity's hold stops
	From      envelope.Address   // only for SendAs
	Client    string             // only for the mail of one client; a store need not keep it, for the key has it
	Above     int64              // only for large mail: messages of more bytes; the key has it, too; 0 = of any size
	Identity  string
	Status    reply.Enhanced
	Text      string
	Since     time.Time
	Probes    int
	NextProbe time.Time
	Saved     bool // for SetHold; not kept
}

// Usage is how many recipients a mailbox sent to in one hour. The mailbox is
// written as its Key.
type Usage struct {
	Mailbox    envelope.Address
	Hour       time.Time
	Recipients int
}

// Stats are counts over the whole store, cheap to read.
type Stats struct {
	Queued, Deferred, Paused, Sending, Held, Failed, Damaged int

	Bytes int64 // of stored bodies, roughly

	// Restored of those that are held may have been sent: the store is an older copy,
	// and was put in place at RestoredAt.
	Restored   int
	RestoredAt time.Time

	// Salvaged is the folder with what could be read of messages that a damaged log lost.
	Salvaged string
}

// Add counts the messages of a lane.
func (s *Stats) Add(l Lane) {
	s.Queued, s.Deferred, s.Paused = s.Queued+l.Queued, s.Deferred+l.Deferred, s.Paused+l.Paused
	s.Sending, s.Held = s.Sending+l.Sending, s.Held+l.Held
}

// The limits of a page that List reads.
const (
	DefaultPage = 100
	MaxPage     = 1000
)

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
	Subject     string           // part of the subject, in upper or lower case
	Since       time.Time        // accepted then or later
	Until       time.Time        // accepted before
	Undelivered bool             // it failed, or a bounce came back

	Find          string // what people look for; see Alternatives
	Part          string // in an address of the envelope, From, subject, Message-ID or the client's name
	RecipientPart string // in the address of a recipient
	SenderPart    string // in From or the reverse-path

	Newest bool             // newest first, instead of oldest first
	After  envelope.QueueID // continue behind this one
	Limit  int              // = DefaultPage, at most MaxPage
}

// PageSize is the number of messages that List reads at most.
func (f Filter) PageSize() int {
	if f.Limit <= 0 {
		return DefaultPage
	}
	return min(f.Limit, MaxPage)
}

// Matches returns whether a filter selects r. Newest, After and Limit choose the
// page and do not matter here.
func (f Filter) Matches(r Record) bool {
	e := r.Envelope
	return (len(f.States) == 0 || slices.Contains(f.States, r.State)) && same(f.Mailbox, r.Mailbox) &&
		(same(f.Sender, r.From) || same(f.Sender, e.ReversePath)) && same(f.ReversePath, e.ReversePath) &&
		(f.Recipient.IsZero() || slices.ContainsFunc(e.Recipients, f.Recipient.Equal)) &&
		(f.MessageID == "" || f.MessageID == r.MessageID) && (f.Client == "" || f.Client == r.Client.Name) &&
		(f.Subject == "" || strings.Contains(strings.ToLower(r.Subject), strings.ToLower(f.Subject))) &&
		(!f.ClientIP.IsValid() || f.ClientIP == r.Client.Addr.Addr()) &&
		(f.Since.IsZero() || !r.Accepted.Before(f.Since)) && (f.Until.IsZero() || r.Accepted.Before(f.Until)) &&
		(!f.Undelivered || r.State == Failed || r.Bounces > 0) && f.found(r)
}

// same returns whether an address is the wanted one, or any is wanted.
func same(want, is envelope.Address) bool { return want.IsZero() || want.Equal(is) }
