package graph

import (
	"context"
	"io"
	"strings"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
)

// TryDraft tells whether the app may create drafts in mailbox, as Upload does:
// it creates one without recipients and deletes it again. The Answer is
// Delivered where the draft was created; an HTTPStatus of 403 means that the app
// may not (it needs Application Mail.ReadWrite).
func (c *Client) TryDraft(ctx context.Context, mailbox envelope.Address) outcome.Answer {
	const text = "graphrelay tried whether it may create drafts, and deletes this one.\r\n"
	u := &upload{c: c, mailbox: mailbox, d: Draft{ID: "try", Subject: "graphrelay asks whether it may create drafts", From: Person{Address: mailbox},
		Body: Content{Size: int64(len(text)), Open: func() io.Reader { return strings.NewReader(text) }}}}
	a := u.create(ctx)
	u.discard(ctx, a)
	return a
}
