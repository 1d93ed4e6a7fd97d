package graph

import (
	"io"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/status"
)

// Outcome is what an answer means for the message.
type Outcome int

// The outcomes. The zero value is Unknown: what nobody classified may have been sent.
const (
	Unknown   Outcome = iota // body octets left and no answer settled it (504, lost connection)
	Delivered                // 202
	Retry                    // certainly not sent; try again, not before RetryAfter
	Bounce                   // certainly not sent, and never will be
	Hold                     // certainly not sent; the fault is not the message's: pause Scope
	TooLarge                 // certainly not sent: too large for one request, so by upload or never
)

// String is the word of the manual's table.
func (o Outcome) String() string {
	return [...]string{"unknown", "delivered", "retry", "bounce", "hold", "too large"}[o]
}

// Scope is what a Hold or a throttling Retry covers.
type Scope int

// The scopes, from narrow to wide.
const (
	ScopeMessage Scope = iota
	ScopeFrom          // this mailbox with this From address (SendAs)
	ScopeMailbox
	ScopeIdentity
)

// String is the word of the manual's table.
func (s Scope) String() string { return [...]string{"message", "from", "mailbox", "identity"}[s] }

// Mail is a message to send. Open is called once per try of the transport,
// always from the first octet; Size is exact.
type Mail struct {
	ID   envelope.QueueID
	Size int64
	Open func() (io.ReadCloser, error)
}

// Answer is what became of one attempt. It is complete for every kind of
// failure: nothing is left to an SDK's error text.
type Answer struct {
	Outcome    Outcome
	Scope      Scope
	Status     status.Enhanced // for history, reports and alarms
	HTTPStatus int             // 0 without an answer
	Code       string          // error.code of the body, or "error" of a token answer
	Text       string          // for the operator, one line: what happened; no secret, no token
	Advice     string          // for the operator: what to do; may be empty
	RetryAfter time.Duration   // 0 if not given
	RequestID  string          // Graph's request-id, or Entra's correlation id
	Duration   time.Duration   // from request to answer
	Uploaded   int64           // of Upload: octets of all request bodies, which count towards the limit of the mailbox
	Requests   int             // of Upload: how many requests it made, which count towards another limit
}
