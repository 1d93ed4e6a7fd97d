package intake

import (
	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
)

// Event is one message accepted or one refusal, for metrics. A connection that
// died is neither.
type Event struct {
	At      string // connect, auth, mail, rcpt or data
	Client  envelope.Client
	Refusal *reply.Error // nil: accepted

	Mailbox    envelope.Address // of an accepted message, as are the others
	Recipients int
	Size       int64 // octets
}
