package graph

import (
	"context"
	"io"
	"net/http"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
)

// Mail is a message to send. Open is called once per try of the transport,
// always from the first byte; Size is exact.
type Mail struct {
	ID   envelope.QueueID
	Size int64
	Open func() (io.ReadCloser, error)
}

// sendMail is the step of a message that goes whole.
func sendMail() Step { return Step{Want: []int{http.StatusAccepted}, MayDepart: true, whole: true} }

// Send makes one attempt to send m as mailbox and says how it ended. It
// needs no earlier call; it returns at the latest when ctx or the request's own
// time limit (100 s and a second for every 64 KiB) ends. An attempt that ctx ends
// after bytes have left is Unknown. m.Open is not called, and what it returned
// not read, after Send has returned.
func (c *Client) Send(ctx context.Context, mailbox envelope.Address, m Mail) outcome.Answer {
	if m.Size <= 0 || m.Open == nil {
		return outcome.On("", "", "").Hold(message, "4.3.0", "the message is empty, so its record is damaged",
			"check the disk and the queue's store; delete the message").Answer()
	}
	open := func() (io.ReadCloser, error) {
		src, err := m.Open()
		if err != nil {
			return nil, err
		}
		return c.Base64(src, m.Size), nil
	}
	_, a := c.Do(ctx, mailbox, Request{
		Step: sendMail(), Method: http.MethodPost, Path: []string{"sendMail"},
		Body: &Body{Type: "text/plain", Size: EncodedLen(m.Size), Open: open},
	})
	return a
}
