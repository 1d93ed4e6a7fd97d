package spool

import (
	"net/netip"
	"slices"
	"time"

	"graphrelay/relay/envelope"
)

// The limits of a page that List reads.
const (
	DefaultPage = 100
	MaxPage     = 1000
)

// Filter selects messages for List. Zero fields select everything.
type Filter struct {
	States      []State
	Mailbox     envelope.Address
	Client      string           // name of the clients: entry
	ClientIP    netip.Addr       // unmapped
	Sender      envelope.Address // is the From or the reverse-path
	ReversePath envelope.Address
	Recipient   envelope.Address // is one of the recipients
	MessageID   string           // with angle brackets
	Since       time.Time        // accepted then or later
	Until       time.Time        // accepted before

	Newest bool             // newest first, instead of oldest first
	After  envelope.QueueID // continue behind this one
	Limit  int              // = DefaultPage, at most MaxPage
}

// PageSize is the number of messages that List reads at most.
func (f Filter) PageSize() int {
	if f.Limit <= 0 {
		return DefaultPage
	}
	return min(f.Limit, MaxPage)
}

// Matches returns whether a filter selects r. Newest, After and Limit choose the
// page and do not matter here.
func (f Filter) Matches(r Record) bool {
	e := r.Envelope
	return (len(f.States) == 0 || slices.Contains(f.States, r.State)) && same(f.Mailbox, r.Mailbox) &&
		(same(f.Sender, r.From) || same(f.Sender, e.ReversePath)) && same(f.ReversePath, e.ReversePath) &&
		(f.Recipient.IsZero() || slices.ContainsFunc(e.Recipients, f.Recipient.Equal)) &&
		(f.MessageID == "" || f.MessageID == r.MessageID) && (f.Client == "" || f.Client == r.Client.Name) &&
		(!f.ClientIP.IsValid() || f.ClientIP == r.Client.Addr.Addr()) &&
		(f.Since.IsZero() || !r.Accepted.Before(f.Since)) && (f.Until.IsZero() || r.Accepted.Before(f.Until))
}

// same returns whether an address is the wanted one, or any is wanted.
func same(want, is envelope.Address) bool { return want.IsZero() || want.Equal(is) }
