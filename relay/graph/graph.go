package graph

import (
	"io"

	"graphrelay/relay/envelope"
)

// Mail is a message to send. Open is called once per try of the transport,
// always from the first octet; Size is exact.
type Mail struct {
	ID   envelope.QueueID
	Size int64
	Open func() (io.ReadCloser, error)
}
