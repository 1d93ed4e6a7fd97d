package graph

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	abs "github.com/microsoft/kiota-abstractions-go"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
)

// Copy is a message found in a mailbox: in Sent Items, in Drafts, or where it
// was received.
type Copy struct {
	Sent       time.Time // to the second; zero for what was never sent
	Draft      bool
	Recipients []envelope.Address // of To, Cc and Bcc; one that is no address of ours (X.500) is zero
}

const (
	lookupPage  = 50
	lookupPages = 10
	maxPage     = 4 << 20 // octets of one page: 50 messages of 500 recipients
)

var lookupStep = step{name: "searching the mailbox", want: []int{http.StatusOK}, needs: roleRead, aside: true}

// Lookup finds every message of mailbox with that Message-ID (angle brackets
// included), in any folder. The Answer is Delivered where the search was whole;
// an HTTPStatus of 403 means that the app may not read the mailbox (it needs
// Application Mail.Read or Mail.ReadWrite), and the Advice says so. A message
// takes its time to appear, so that finding nothing proves nothing at once.
func (c *Client) Lookup(ctx context.Context, mailbox envelope.Address, messageID string) ([]Copy, outcome.Answer) {
	items, a := c.search(ctx, mailbox, "internetMessageId eq "+quoteOData(messageID),
		"internetMessageId,isDraft,sentDateTime,toRecipients,ccRecipients,bccRecipients")
	var copies []Copy
	for _, it := range items {
		if it.InternetMessageID == messageID { // the service compares without regard to case
			copies = append(copies, it.copy())
		}
	}
	return copies, a
}

// item is what is read of a message resource.
type item struct {
	ID                string      `json:"id"`
	InternetMessageID string      `json:"internetMessageId"`
	IsDraft           bool        `json:"isDraft"`
	SentDateTime      time.Time   `json:"sentDateTime"`
	To                []recipient `json:"toRecipients"`
	Cc                []recipient `json:"ccRecipients"`
	Bcc               []recipient `json:"bccRecipients"`
}

func (it item) copy() Copy {
	c := Copy{Sent: it.SentDateTime, Draft: it.IsDraft}
	for _, list := range [][]recipient{it.To, it.Cc, it.Bcc} {
		for _, r := range list {
			a, _ := envelope.ParseAddress(r.EmailAddress.Address)
			c.Recipients = append(c.Recipients, a)
		}
	}
	return c
}

// search reads the messages that match an OData filter, page by page. A search
// that does not come to its end is none.
func (c *Client) search(ctx context.Context, mailbox envelope.Address, filter, fields string) ([]item, outcome.Answer) {
	var items []item
	for range lookupPages {
		r, a := c.do(ctx, mailbox, request{step: lookupStep, method: abs.GET, path: "/messages", limit: maxPage,
			header: map[string]string{"Prefer": preferImmutable},
			query:  url.Values{"$filter": {filter}, "$select": {fields}, "$top": {strconv.Itoa(lookupPage)}, "$skip": {strconv.Itoa(len(items))}}})
		if a.Outcome != outcome.Delivered {
			return nil, a
		}
		var page struct {
			Value []item  `json:"value"`
			Next  *string `json:"@odata.nextLink"`
		}
		if err := json.Unmarshal(r.body, &page); err != nil || page.Value == nil {
			return nil, lookupStep.lost(firstError(err, errors.New("the answer holds no list of messages")), true, nil)
		}
		items = append(items, page.Value...)
		if page.Next == nil || len(page.Value) == 0 {
			return items, a
		}
	}
	return nil, outcome.Answer{Outcome: outcome.Hold, Scope: outcome.ScopeMessage, Status: reply.Enhanced{4, 3, 0},
		Text: "searching the mailbox: there are more than " + strconv.Itoa(lookupPage*lookupPages) + " messages with this Message-ID", Advice: adviceCheck}
}
