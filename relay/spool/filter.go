package spool

import (
	"slices"

	"graphrelay/relay/envelope"
)

// Matches tells whether a filter selects r. Newest, After and Limit say which
// page is read, and do not count.
func (f Filter) Matches(r Record) bool {
	e := r.Envelope
	return (len(f.States) == 0 || slices.Contains(f.States, r.State)) &&
		same(f.Mailbox, r.Mailbox) &&
		(same(f.Sender, r.From) || same(f.Sender, e.ReversePath)) &&
		same(f.ReversePath, e.ReversePath) &&
		(f.Recipient.IsZero() || slices.ContainsFunc(e.Recipients, f.Recipient.Equal)) &&
		(f.MessageID == "" || f.MessageID == r.MessageID) &&
		(f.Client == "" || f.Client == r.Client.Name) &&
		(!f.ClientIP.IsValid() || f.ClientIP == r.Client.Addr.Addr()) &&
		(f.Since.IsZero() || !r.Accepted.Before(f.Since)) &&
		(f.Until.IsZero() || r.Accepted.Before(f.Until))
}

// same tells whether an address is the wanted one, or any is.
func same(want, is envelope.Address) bool { return want.IsZero() || want.Equal(is) }
