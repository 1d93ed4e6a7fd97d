// Package outcome holds what an answer of Graph, Entra or any other next hop
// means for a message: what to do with it, and how much else the answer
// concerns. It must not know who answered.
package outcome

import (
	"time"

	"graphrelay/relay/reply"
)

// Outcome is what an answer means for the message.
type Outcome int

// The outcomes. The zero value is Unknown: an answer that nobody classified may
// belong to a message that was sent.
const (
	Unknown   Outcome = iota // part of the body was sent and no answer settled it (504, lost connection)
	Delivered                // 202
	Retry                    // not sent, certainly but for Doubt; retry, not before RetryAfter
	Bounce                   // certainly not sent, and never will be
	Hold                     // certainly not sent; the message is not at fault: pause Scope
	TooLarge                 // certainly not sent: too large for one request, so by upload or never
)

// String is the word that the manual's tables use.
func (o Outcome) String() string {
	return [...]string{"unknown", "delivered", "retry", "bounce", "hold", "too large"}[o]
}

// Scope is what a Hold or a throttling Retry covers.
type Scope int

// The scopes, from narrow to wide.
const (
	ScopeMessage Scope = iota
	ScopeSendAs        // this mailbox with this From address: it may not send as it
	ScopeClient        // the mail of one client in this mailbox
	ScopeMailbox
	ScopeIdentity
)

// String is the word that the manual's tables use.
func (s Scope) String() string {
	return [...]string{"message", "from", "client", "mailbox", "identity"}[s]
}

// Answer is the result of one attempt. It is complete for every kind of
// failure: nothing is left to an SDK's error text.
type Answer struct {
	Outcome    Outcome
	Scope      Scope
	Status     reply.Enhanced // for history, reports and alerts
	HTTPStatus int            // 0 without an answer
	Code       string         // error.code of the body, or "error" of a token answer
	Text       string         // for the operator, one line: what happened; no secret, no token
	Advice     string         // for the operator: what to do; may be empty
	RetryAfter time.Duration  // 0 if not given
	Doubt      bool           // with Retry: the service is known to answer this after it sent a message, too
	RequestID  string         // Graph's request-id, or Entra's correlation ID
	Duration   time.Duration  // from request to answer
	Uploaded   int64          // large mail only: bytes of all request bodies, which count towards the mailbox's limit
	Requests   int            // large mail only: number of requests made, which count towards another limit
	Damaged    string         // large mail only: "repaired" or "original_attached" where it could not be read as it is
}
