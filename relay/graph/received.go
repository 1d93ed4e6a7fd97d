package graph

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
)

// Received is a message in the Inbox of a mailbox, without its body.
type Received struct {
	ID        string        `json:"id"`
	MessageID string        `json:"internetMessageId"`
	At        time.Time     `json:"receivedDateTime"`
	Header    []HeaderField `json:"internetMessageHeaders"` // empty where Graph shows none
}

// HeaderField is a field of a header, unfolded.
type HeaderField struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// inboxPage is how many messages a page of the Inbox has: a header may have 30 KB.
const inboxPage = 100

// The folders that are read, as Graph names them.
const (
	Inbox     = "inbox"
	JunkEmail = "junkemail"
)

// Folder reads a page of what came into a folder of a mailbox at a time or later, oldest
// first, behind the first skip of them; more is whether there are others. Nothing is changed
// in the mailbox. It needs Application Mail.ReadBasic.
func (c *Client) Folder(
	ctx context.Context, mailbox envelope.Address, folder string, since time.Time, skip int,
) (list []Received, more bool, a outcome.Answer) {
	step := Step{Name: "reading the Inbox", Want: []int{http.StatusOK}, Needs: RoleReadBasic, Aside: true}
	body, a := c.Do(ctx, mailbox, Request{
		Step: step, Method: http.MethodGet, Path: []string{"mailFolders", folder, "messages"}, Limit: MaxPage,
		Header: map[string]string{"Prefer": PreferImmutable},
		Query: url.Values{
			"$filter":  {"receivedDateTime ge " + since.UTC().Format(time.RFC3339)},
			"$orderby": {"receivedDateTime"}, "$top": {strconv.Itoa(inboxPage)}, "$skip": {strconv.Itoa(skip)},
			"$select": {"internetMessageId,receivedDateTime,internetMessageHeaders"},
		},
	})
	if a.Outcome != outcome.Delivered {
		return nil, false, a
	}
	var page struct {
		Value []Received `json:"value"`
		Next  *string    `json:"@odata.nextLink"`
	}
	if err := json.Unmarshal(body, &page); err != nil || page.Value == nil {
		return nil, false, step.Lost(cmp.Or(err, errors.New("the answer holds no list of messages")), true)
	}
	return page.Value, page.Next != nil && len(page.Value) > 0, a
}

// MIME reads a message as it was received, or its first limit bytes. It needs Application
// Mail.Read, and marks nothing as read.
func (c *Client) MIME(ctx context.Context, mailbox envelope.Address, id string, limit int64) ([]byte, outcome.Answer) {
	return c.Do(ctx, mailbox, Request{
		Step:   Step{Name: "reading a bounce", Want: []int{http.StatusOK}, Needs: RoleRead, Aside: true},
		Method: http.MethodGet, Path: []string{"messages", id, "$value"}, Limit: limit, Begin: true,
		Header: map[string]string{"Prefer": PreferImmutable, "Accept": "*/*"},
	})
}
