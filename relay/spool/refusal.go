package spool

import (
	"cmp"
	"context"
	"net/netip"
	"strings"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
)

// Refusals keeps what never became a message, so that somebody who looks for one
// finds why.
type Refusals interface {
	// AddRefusals counts refusals, in one commit: each is added to the row with its
	// key, or is a new row. Above MaxRefusals rows those whose Last is longest ago
	// are dropped; dropped is how many refusals they counted. At most MaxPage at a
	// time. ErrFull, if the disk is full: refusals never take the room of mail.
	AddRefusals(ctx context.Context, list []Refusal) (dropped int, err error)
}

// MaxRefusals is how many rows of refusals a store keeps.
const MaxRefusals = 50_000

// Refusal is what one client was refused for one reason within an hour.
type Refusal struct {
	RefusalKey
	First, Last time.Time
	Count       int
}

// RefusalKey distinguishes the rows of refusals. Of somebody who has not logged in
// and is no client, only Addr and the reply are known.
type RefusalKey struct {
	Hour   time.Time        // when it begins, in UTC
	Addr   netip.Addr       // unmapped; zero on a unix socket
	Client string           // name of the clients: entry
	Login  string           // user name
	Sender envelope.Address // From, or the reverse-path if it was refused before the header
	Domain string           // of the recipient; Various
	Code   int              // of the reply
	Status reply.Enhanced
	Reason string // for the operator; the same text for each refusal of its kind
}

// Various is the Domain of a row that counts what differs in sender and recipient,
// and perhaps in address: so many rows for one hour are not kept.
const Various = "*"

// HourOf is the Hour of a refusal at a time.
func HourOf(at time.Time) time.Time { return at.UTC().Truncate(time.Hour) }

// Add counts the refusals of another row with the same key.
func (r *Refusal) Add(o Refusal) {
	r.Count += o.Count
	if o.First.Before(r.First) {
		r.First = o.First
	}
	if o.Last.After(r.Last) {
		r.Last = o.Last
	}
}

// Later orders refusals, those with the latest Last first. It leaves no two equal, so
// that pages do not overlap.
func Later(a, b Refusal) int {
	if first := cmp.Or(b.Last.Compare(a.Last), a.Addr.Compare(b.Addr), cmp.Compare(a.Domain, b.Domain)); first != 0 {
		return first
	}
	return cmp.Or(b.Hour.Compare(a.Hour), cmp.Compare(a.Client, b.Client), cmp.Compare(a.Login, b.Login),
		cmp.Compare(a.Sender.String(), b.Sender.String()), cmp.Compare(a.Code, b.Code),
		cmp.Compare(a.Status.String(), b.Status.String()), cmp.Compare(a.Reason, b.Reason))
}

// RefusalFilter selects refusals, those with the latest Last first. Zero fields
// select everything.
type RefusalFilter struct {
	Addr   netip.Addr
	Client string
	Sender envelope.Address
	Domain string    // of the recipient
	Since  time.Time // refused then or later
	Until  time.Time // refused before
	Skip   int       // so many of the first
	Limit  int       // = DefaultPage, at most MaxPage
}

// PageSize is the number of refusals that are read at most.
func (f RefusalFilter) PageSize() int { return Filter{Limit: f.Limit}.PageSize() }

// Matches returns whether a filter selects r, or may select some of those that r
// counts. Skip and Limit choose the page and do not matter here.
func (f RefusalFilter) Matches(r Refusal) bool {
	various := r.Domain == Various
	return (!f.Addr.IsValid() || f.Addr == r.Addr || various && !r.Addr.IsValid()) &&
		(f.Client == "" || f.Client == r.Client) &&
		(various || same(f.Sender, r.Sender)) && (various || f.Domain == "" || strings.EqualFold(f.Domain, r.Domain)) &&
		(f.Since.IsZero() || !r.Last.Before(f.Since)) && (f.Until.IsZero() || r.First.Before(f.Until))
}
