package tracking

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"graphrelay/relay/bounce"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/spool"
	"graphrelay/relay/text"
)

const (
	maxSame  = 20             // messages with one Message-ID that are looked at
	likely   = 48 * time.Hour // how long after a message a report without a key may be about it
	clockOff = 10 * time.Minute
	maxFates = 1000
)

// record matches a report to a message and adds what it says to the history.
func (t *Tracker) record(ctx context.Context, mailbox envelope.Address, m graph.Received, r bounce.Report) error {
	rec, probable, err := t.match(ctx, mailbox, m.At, r)
	if err != nil {
		return err
	}
	if rec == nil {
		t.OnEvent(Event{Mailbox: mailbox, Result: Foreign})
		t.Log.Info("a report in a mailbox is about mail that is not in the history", "mailbox", mailbox.String(),
			"received", m.At)
		return nil
	}
	said := events(*rec, m, r, probable)
	if len(said) == 0 {
		return nil // it reports a success
	}
	added := 0
	for _, e := range said {
		e.Origin = mailbox
		is, err := t.Store.Bounced(ctx, e)
		switch {
		case errors.Is(err, spool.ErrNotFound): // its history has ended meanwhile
		case err != nil:
			return err
		case is:
			added++
			t.added(ctx, *rec, e)
		}
	}
	result := Matched
	if probable {
		result = Probable
	}
	t.OnEvent(Event{Mailbox: mailbox, Result: result})
	if added > 0 {
		t.Recorded()
	}
	return nil
}

func (t *Tracker) added(ctx context.Context, rec spool.Record, e spool.Event) {
	counted := Event{Mailbox: e.Origin, Result: Delayed, Class: class(e)}
	if e.Kind == spool.EventBounced {
		counted.Result = Bounced
	}
	if _, limit := limits[e.Status]; isNews(e, t.Now()) {
		if counted.Client = rec.Client.Name; limit {
			counted.Limit = e.Status.String()
		}
	}
	t.OnEvent(counted)
	t.Log.Warn(string(e.Kind), "queue_id", string(rec.ID), "message_id", rec.MessageID, "client", rec.Client.Name,
		"mailbox", e.Origin.String(), "recipient", e.Recipient.String(), "status", e.Status.Text(), "remote", e.Remote,
		"probable", e.Probable, "error", e.Text)
	t.watch.note(ctx, t, rec, e)
}

// class is the first two numbers of a status.
func class(e spool.Event) string {
	if e.Status[0] == 0 || e.Status[1] > 7 {
		return "unknown"
	}
	return fmt.Sprintf("%d.%d", e.Status[0], e.Status[1])
}

// match finds the message that a report is about: by its Message-ID, then by our own ID,
// where the report names a recipient of the message, then, for a report that has neither,
// by recipient and time, which is probable only. Nil where it is not ours.
func (t *Tracker) match(
	ctx context.Context, mailbox envelope.Address, at time.Time, r bounce.Report,
) (rec *spool.Record, probable bool, err error) {
	var found []spool.Record
	for _, id := range r.MessageIDs {
		same, err := t.Store.ByMessageID(ctx, id, maxSame)
		if err != nil {
			return nil, false, err
		}
		found = append(found, same...)
	}
	byID, err := t.byID(ctx, r)
	if err != nil {
		return nil, false, err
	}
	if rec, probable = choose(found, byID, mailbox, at, r); rec != nil {
		return rec, probable, nil
	}
	if len(byID) > 0 {
		return &byID[0], false, nil
	}
	if len(r.MessageIDs)+len(r.IDs) > 0 {
		return nil, false, nil // it is about another message, and says which
	}
	return t.likely(ctx, mailbox, at, r)
}

// byID finds the messages whose X-Graphrelay-ID a report returns, if it names one of their
// recipients.
func (t *Tracker) byID(ctx context.Context, r bounce.Report) (found []spool.Record, err error) {
	for _, text := range r.IDs {
		id, ok := t.key.QueueID(text)
		if !ok {
			continue
		}
		rec, err := t.Store.Get(ctx, id)
		switch {
		case errors.Is(err, spool.ErrNotFound):
		case err != nil:
			return nil, err
		case names(r, rec.Message):
			found = append(found, rec)
		}
	}
	return found, nil
}

// choose decides between messages with the Message-ID that a report names. It is pure.
func choose(
	found, byID []spool.Record, mailbox envelope.Address, at time.Time, r bounce.Report,
) (_ *spool.Record, probable bool) {
	found = slices.DeleteFunc(found, func(rec spool.Record) bool {
		return rec.Attempts == 0 || rec.Accepted.After(at.Add(clockOff))
	})
	for _, narrower := range []func(spool.Record) bool{
		func(rec spool.Record) bool { return rec.Mailbox.Equal(mailbox) },
		func(rec spool.Record) bool {
			return slices.ContainsFunc(byID, func(b spool.Record) bool { return b.ID == rec.ID })
		},
		func(rec spool.Record) bool { return names(r, rec.Message) },
	} {
		var some []spool.Record
		for _, rec := range found {
			if narrower(rec) {
				some = append(some, rec)
			}
		}
		if len(some) > 0 {
			found = some
		}
	}
	if len(found) == 0 {
		return nil, false
	}
	newest := slices.MaxFunc(found, func(a, b spool.Record) int { return a.Accepted.Compare(b.Accepted) })
	several := slices.ContainsFunc(found, func(rec spool.Record) bool { return rec.ID != newest.ID })
	return &newest, several
}

// likely finds the newest message to a recipient that a report names.
func (t *Tracker) likely(
	ctx context.Context, mailbox envelope.Address, at time.Time, r bounce.Report,
) (*spool.Record, bool, error) {
	for _, to := range r.Recipients[:min(len(r.Recipients), maxSame)] {
		for _, a := range to.Addresses {
			list, err := t.Store.List(ctx, spool.Filter{
				States: []spool.State{spool.Sent}, Mailbox: mailbox, Recipient: a, Since: at.Add(-likely),
				Until: at.Add(clockOff), Newest: true, Limit: 1,
			})
			if err != nil || len(list) > 0 {
				return first(list), true, err
			}
		}
	}
	return nil, false, nil
}

func first(list []spool.Record) *spool.Record {
	if len(list) == 0 {
		return nil
	}
	return &list[0]
}

// names reports whether a report is about a recipient of a message.
func names(r bounce.Report, m spool.Message) bool {
	return slices.ContainsFunc(r.Recipients, func(to bounce.Recipient) bool {
		_, ok := of(to, m)
		return ok
	})
}

// of is the recipient of a message that a report means.
func of(to bounce.Recipient, m spool.Message) (envelope.Address, bool) {
	for _, a := range to.Addresses {
		if i := slices.IndexFunc(m.Envelope.Recipients, a.Equal); i >= 0 {
			return m.Envelope.Recipients[i], true
		}
	}
	return envelope.Address{}, false
}

// events are what a report says of the recipients of its message. It is pure.
func events(rec spool.Record, m graph.Received, r bounce.Report, probable bool) (list []spool.Event) {
	about := r.Recipients
	if len(about) == 0 { // it names none, or only its header was read
		about = []bounce.Recipient{{Action: bounce.Failed}}
		probable = probable || r.Kind != bounce.NDR // which may also be about a delay
	}
	for _, to := range about[:min(len(about), maxFates)] {
		e := spool.Event{
			ID: rec.ID, At: m.At, Status: to.Status, Text: to.Diagnostic, Remote: to.Remote, Probable: probable,
		}
		switch to.Action {
		case bounce.Failed:
			e.Kind = spool.EventBounced
		case bounce.Delayed:
			e.Kind = spool.EventDelayed
		default:
			continue
		}
		if !to.At.IsZero() && to.At.Before(m.At) && to.At.After(rec.Accepted.Add(-clockOff)) {
			e.At = to.At
		}
		e.Recipient, e.Text, e.Probable = attributed(to, rec.Message, e)
		list = append(list, e)
	}
	return list
}

// attributed says which recipient of the message an event is about. A report may name a member
// of a group or the target of a rule; the only recipient of a message is meant all the same.
func attributed(to bounce.Recipient, m spool.Message, e spool.Event) (envelope.Address, string, bool) {
	if a, ok := of(to, m); ok {
		return a, wordsOf(e.Text), e.Probable
	}
	words := wordsOf(e.Text)
	if len(to.Addresses) > 0 {
		words = text.Line(to.Addresses[0].String()) + ": " + words
	}
	if len(m.Envelope.Recipients) == 1 {
		return m.Envelope.Recipients[0], words, e.Probable
	}
	return envelope.Address{}, words, true
}

// wordsOf is the text of an event.
func wordsOf(diagnostic string) string { return cmp.Or(diagnostic, "no reason is given") }
