package graph_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/outcome"
	"graphrelay/relay/sandbox"
)

// A Message-ID may hold whatever a program thought of, apostrophes too.
const oddID = "<o'brien' or isDraft eq true&x=%27+1@contoso.com>"

func TestLookupFindsWhatWasSent(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 700, time.UTC)
	d, c := start(t, sandbox.Options{Granted: []string{"Mail.Read"}, Now: func() time.Time { return at },
		TokenLifetime: 1000000 * time.Hour})
	for _, id := range []string{oddID, "<other@contoso.com>"} {
		send(t, c, "From: "+mailbox+
			"\nTo: Ann <a@example.com>\nCc: b@example.com\nBcc: c@example.com\nMessage-ID: "+id+"\n\nx\n")
	}
	copies, a := c.Lookup(soon(t), parse(t, mailbox), oddID)
	if a.Outcome != outcome.Delivered || len(copies) != 1 {
		t.Fatalf("%v %+v", copies, a)
	}
	got := copies[0]
	if !got.Sent.Equal(at.Truncate(time.Second)) || got.Draft ||
		fmt.Sprint(got.Recipients) != "[a@example.com b@example.com c@example.com]" {
		t.Errorf("found %+v", got)
	}
	if copies, a := c.Lookup(soon(t), parse(t, mailbox), "<nobody@contoso.com>"); a.Outcome != outcome.Delivered ||
		len(copies) != 0 {
		t.Errorf("%v %+v", copies, a)
	}
	if copies, a := c.Lookup(soon(t), parse(t, "else@contoso.com"), oddID); a.Outcome != outcome.Delivered ||
		len(copies) != 0 {
		t.Errorf("another mailbox: %v %+v", copies, a)
	}
	d.SetSentItemsDelay(time.Minute)
	if copies, a := c.Lookup(soon(t), parse(t, mailbox), oddID); a.Outcome != outcome.Delivered || len(copies) != 0 {
		t.Errorf("before it appears: %v %+v", copies, a)
	}
}

func TestLookupReadsEveryPage(t *testing.T) {
	_, c := start(t, sandbox.Options{Granted: []string{"Mail.ReadWrite"}})
	for range 120 {
		send(t, c, "From: "+mailbox+"\nTo: a@example.com\nMessage-ID: <same@contoso.com>\n\nx\n")
	}
	copies, a := c.Lookup(soon(t), parse(t, mailbox), "<same@contoso.com>")
	if a.Outcome != outcome.Delivered || len(copies) != 120 {
		t.Fatalf("%d copies, %+v", len(copies), a)
	}
}

func TestLookupWithoutPermission(t *testing.T) {
	_, c := start(t, sandbox.Options{})
	copies, a := c.Lookup(soon(t), parse(t, mailbox), "<1@contoso.com>")
	if a.Outcome != outcome.Hold || a.Scope != outcome.ScopeMessage || a.HTTPStatus != 403 ||
		!strings.Contains(a.Advice, "Application Mail.Read") || copies != nil {
		t.Fatalf("%v %+v", copies, a)
	}
}

// Whatever becomes of a search, the message was neither sent nor refused by it.
func TestLookupFails(t *testing.T) {
	for _, f := range []sandbox.Fault{
		{Status: 504}, {Status: 429, RetryAfter: time.Second}, {Status: 503, Body: sandbox.BodyHTML}, {Status: 200,
			Body: `{"value":`},
		{Status: 200, Body: "{}"}, {Status: 200,
			Body: sandbox.BodyHTML}, {Status: 202}, {Drop: sandbox.DropBody}, {Status: 404, Code: "ErrorItemNotFound"},
		{Status: 401}, {Status: 400, Code: "ErrorInvalidUrlQueryFilter"},
	} {
		t.Run(fmt.Sprint(f.Status, f.Body, f.Drop), func(t *testing.T) {
			d, c := start(t, sandbox.Options{Granted: []string{"Mail.Read"}})
			f.Endpoint = "search"
			inject(t, d, f)
			copies, a := c.Lookup(soon(t), parse(t, mailbox), "<1@contoso.com>")
			if a.Outcome != outcome.Retry && a.Outcome != outcome.Hold || copies != nil ||
				!strings.HasPrefix(a.Detail, "searching the mailbox: ") && f.Status != 401 {
				t.Errorf("%v %+v", copies, a)
			}
		})
	}
}

func TestLookupWithARefusedToken(t *testing.T) {
	d, c := start(t, sandbox.Options{Granted: []string{"Mail.Read"}})
	if _, a := c.Lookup(soon(t), parse(t, mailbox), "<1@contoso.com>"); a.Outcome != outcome.Delivered {
		t.Fatalf("%+v", a)
	}
	d.RevokeTokens()
	if _, a := c.Lookup(soon(t), parse(t, mailbox), "<1@contoso.com>"); a.Outcome != outcome.Delivered {
		t.Fatalf("after the revocation: %+v", a)
	}
}
