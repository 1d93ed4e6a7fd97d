// Package largemail sends a message that is too large for one request: as a draft
// of its parts in the mailbox, its large files by upload sessions, and then send.
//
// What it promises:
//
//   - One call of Upload is one attempt and ends in one Answer. Before the request
//     that sends the draft nothing can have been sent, so only a lost answer to
//     that one is Unknown.
//   - Every byte of a file arrives once and in order: where the service counts
//     otherwise, its session is given up.
//   - Upload URLs carry a secret of their own: they get no token, are never shown,
//     and only lead to Microsoft's upload hosts or the configured one.
//   - A draft that is given up is deleted, if need be by Run, for about two hours;
//     what stays is logged, and nothing sends it.
//
// Every request goes through graph.Client, and so does the meaning of its answers.
// The package must not know MIME, the queue or SMTP. It follows the documents of
// Microsoft Graph (message, attachment: createUploadSession, message: send).
package largemail

import (
	"context"
	"io"
	"strings"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
)

// maxUploads is how many files are sent at once for one identity: each holds a
// slice in memory.
const maxUploads = 4

// Client is a client of Graph that sends large mail, too.
type Client struct {
	*graph.Client
	cfg     graph.Config
	uploads chan struct{}
	left    *leftovers
}

// New is graph.New.
func New(cfg graph.Config) (*Client, error) {
	c, err := graph.New(cfg)
	if err != nil {
		return nil, err
	}
	return &Client{c, c.Config(), make(chan struct{}, maxUploads), newLeftovers()}, nil
}

// Run is graph.Client's, and deletes drafts that Upload had to leave; the login
// continues until that is done.
func (c *Client) Run(ctx context.Context) {
	login, stop := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer stop()
		c.runLeftovers(ctx)
	}()
	c.Client.Run(login)
}

// Upload sends a message that is too large for sendMail. It makes one attempt,
// like Send. A draft that is given up is deleted: within seconds where that can
// be, else by Run within about two hours, and one that an earlier attempt left is
// deleted first. Nothing of d is read after Upload has returned. It needs
// Application Mail.ReadWrite beside Mail.Send.
func (c *Client) Upload(ctx context.Context, mailbox envelope.Address, d Draft) outcome.Answer {
	start := time.Now()
	u := &upload{c: c, mailbox: mailbox, d: d}
	u.d.Again = c.left.begin(ctx, d.ID) || d.Again
	a := u.run(ctx)
	c.left.end(d.ID, u.leftover(a))
	a.Duration, a.Uploaded, a.Requests = time.Since(start), u.bytes, u.requests
	return a
}

// TryDraft finds out whether the app may create drafts in mailbox, as Upload
// does: it creates one without recipients and deletes it again. The Answer is
// Delivered where the draft was created; an HTTPStatus of 403 means that the app
// may not (it needs Application Mail.ReadWrite).
func (c *Client) TryDraft(ctx context.Context, mailbox envelope.Address) outcome.Answer {
	const text = "graphrelay tried whether it may create drafts, and deletes this one.\r\n"
	u := &upload{c: c, mailbox: mailbox, d: Draft{
		ID: "try", Subject: "graphrelay asks whether it may create drafts", From: Person{Address: mailbox},
		Body: Content{Size: int64(len(text)), Open: func() io.Reader { return strings.NewReader(text) }},
	}}
	a := u.create(ctx)
	u.discard(ctx, a)
	return a
}
