package state

import (
	"time"

	"graphrelay/relay/reply"
)

// Client is who connected to a listener: an entry of clients: from one address.
type Client struct {
	Name, Addr         string // Name is empty for strangers
	Accepted, Rejected int
	Bytes              int64 // of accepted messages
	First, Last        time.Time

	// Of the last refusal:
	RefusedAt  time.Time
	Status     reply.Enhanced
	Step       string // of the dialog
	Reply, Why string
}
