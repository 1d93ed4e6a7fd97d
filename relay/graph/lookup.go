package graph

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
)

// Copy is a message found in a mailbox: in Sent Items, in Drafts, or where it was received.
type Copy struct {
	Sent       time.Time // to the second; zero for what was never sent
	Draft      bool
	Recipients []envelope.Address // of To, Cc and Bcc; one that we cannot parse (X.500) is zero
}

// PreferImmutable makes the ID of a draft stay valid when it moves to Sent Items.
const PreferImmutable = `IdType="ImmutableId"`

// MaxPage is how many bytes of a page of a list are read: 50 messages of 500 recipients.
const MaxPage = 4 << 20

const (
	lookupPage  = 50
	lookupPages = 10
)

// Recipient is a recipient resource of Graph.
type Recipient struct {
	EmailAddress EmailAddress `json:"emailAddress"`
}

// EmailAddress is the address of a Recipient.
type EmailAddress struct {
	Address string `json:"address,omitempty"`
	Name    string `json:"name,omitempty"`
}

// Item is what is read of a message resource.
type Item struct {
	ID                string      `json:"id"`
	InternetMessageID string      `json:"internetMessageId"`
	IsDraft           bool        `json:"isDraft"`
	SentDateTime      time.Time   `json:"sentDateTime"`
	To                []Recipient `json:"toRecipients"`
	Cc                []Recipient `json:"ccRecipients"`
	Bcc               []Recipient `json:"bccRecipients"`
}

// Lookup finds every message of mailbox with that Message-ID (angle brackets
// included), in any folder. The Answer is Delivered where the search was whole;
// an HTTPStatus of 403 means that the app may not read the mailbox (it needs
// Application Mail.Read or Mail.ReadWrite), and the Advice says so. A message
// takes its time to appear, so that finding nothing proves nothing at once.
func (c *Client) Lookup(ctx context.Context, mailbox envelope.Address, messageID string) ([]Copy, outcome.Answer) {
	items, a := c.Search(ctx, mailbox, "internetMessageId eq "+QuoteOData(messageID),
		"internetMessageId,isDraft,sentDateTime,toRecipients,ccRecipients,bccRecipients")
	var copies []Copy
	for _, it := range items {
		if it.InternetMessageID == messageID { // the service compares without regard to case
			copies = append(copies, it.copy())
		}
	}
	return copies, a
}

func (it Item) copy() Copy {
	c := Copy{Sent: it.SentDateTime, Draft: it.IsDraft}
	for _, list := range [][]Recipient{it.To, it.Cc, it.Bcc} {
		for _, r := range list {
			a, _ := envelope.ParseAddress(r.EmailAddress.Address)
			c.Recipients = append(c.Recipients, a)
		}
	}
	return c
}

// Search reads the messages that match an OData filter, page by page. A search
// that is not complete returns none.
func (c *Client) Search(ctx context.Context, mailbox envelope.Address, filter, fields string) ([]Item, outcome.Answer) {
	step := Step{Name: "searching the mailbox", Want: []int{http.StatusOK}, Needs: RoleRead, Aside: true}
	var items []Item
	for range lookupPages {
		body, a := c.Do(ctx, mailbox, Request{
			Step: step, Method: http.MethodGet, Path: []string{"messages"}, Limit: MaxPage,
			Header: map[string]string{"Prefer": PreferImmutable},
			Query: url.Values{
				"$filter": {filter}, "$select": {fields},
				"$top": {strconv.Itoa(lookupPage)}, "$skip": {strconv.Itoa(len(items))},
			},
		})
		if a.Outcome != outcome.Delivered {
			return nil, a
		}
		var page struct {
			Value []Item  `json:"value"`
			Next  *string `json:"@odata.nextLink"`
		}
		if err := json.Unmarshal(body, &page); err != nil || page.Value == nil {
			return nil, step.Lost(cmp.Or(err, errors.New("the answer holds no list of messages")), true)
		}
		items = append(items, page.Value...)
		if page.Next == nil || len(page.Value) == 0 {
			return items, a
		}
	}
	return nil, outcome.On("", "", "").Hold(message, "4.3.0", fmt.Sprintf("%s: there are more than %d messages "+
		"with this Message-ID", step.Name, lookupPage*lookupPages), adviceCheck).Answer()
}
