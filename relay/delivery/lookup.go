package delivery

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"graphrelay/relay/delivery/hold"
	"graphrelay/relay/delivery/pace"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
	"graphrelay/relay/text"
)

// Finder looks a message up in its mailbox. *graph.Client is one.
type Finder interface {
	Lookup(ctx context.Context, mailbox envelope.Address, messageID string) ([]graph.Copy, outcome.Answer)
}

const (
	// appearsIn is how long a sent message may take to be found: finding
	// nothing counts only after it.
	appearsIn = 10 * time.Minute
	// clockSkew is how far the clocks of this machine and of Exchange may differ.
	clockSkew = 5 * time.Second
	// lookupFor is how long a search that fails is repeated before a person decides.
	lookupFor = 24 * time.Hour
)

// trace is what is known of a message that may have been sent.
type trace struct {
	first  time.Time // when it was first tried
	since  time.Time // since when the outcome of an attempt is unknown
	copies []graph.Copy
	others bool // our history knows its Message-ID from another message
}

// verdict says what the traces of a message mean.
type verdict int

const (
	wasSent verdict = iota
	notSent         // for sure: send it
	notYet          // look again later
	inDoubt
)

// judge decides by the traces whether a message was sent: proof is a copy with
// its recipients, sent after it was first tried. Anything else that is found is
// doubt. It is pure.
func judge(rec spool.Record, t trace, now time.Time) (v verdict, why string) {
	switch {
	case rec.MessageID == "":
		return inDoubt, "it has no Message-ID"
	case t.others:
		return inDoubt, "another message has the same Message-ID"
	}
	drafts, earliest := 0, t.first.Add(-clockSkew).Truncate(time.Second)
	for _, c := range t.copies {
		switch {
		case c.Draft:
			drafts++
		case sameRecipients(rec.Envelope.Recipients, c.Recipients) && !c.Sent.Before(earliest):
			return wasSent, ""
		}
	}
	early := now.Sub(t.since) < appearsIn
	switch {
	case len(t.copies) > drafts:
		return inDoubt, "the mailbox has a message with this Message-ID, but with other recipients or an earlier date"
	case early:
		return notYet, ""
	case drafts > 0:
		return inDoubt, "the mailbox has a draft of it"
	case !isSearchable(rec.MessageID):
		return inDoubt, "a search may not find its Message-ID"
	}
	return notSent, ""
}

// isSearchable reports whether finding nothing means something: the queue has the
// Message-ID as it was sent, with no character replaced by "?", and it is one
// that no server writes in another way.
func isSearchable(id string) bool {
	inside, ok := strings.CutPrefix(id, "<")
	inside, closed := strings.CutSuffix(inside, ">")
	return ok && closed && inside != "" && !strings.ContainsFunc(inside, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune("<>?()", c)
	})
}

// sameRecipients compares as sets.
func sameRecipients(a, b []envelope.Address) bool {
	return maps.Equal(keySet(a), keySet(b))
}

func keySet(list []envelope.Address) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, a := range list {
		set[a.Key()] = true
	}
	return set
}

// settleDoubt looks up a message that may have been sent, before it is sent again. It
// reports whether to send it; if not, a says what to do with it. A panic proves nothing:
// the message is looked up again, and held for a person where that panics each time.
func (d *Delivery) settleDoubt(a *answer, f Finder) (send bool) {
	if !d.guard("panic while looking a message up", a.rec.ID, func() { send = d.lookUp(a, f) }) {
		return send
	}
	const fault = "an internal error interrupts the search; the log has the details for a bug report"
	a.looked, a.Answer = true, outcome.Answer{Outcome: outcome.Retry, Scope: outcome.ScopeMessage, Text: fault}
	if d.panicked(a.rec.ID) >= maxCrashes {
		a.doubt(fault)
	} else {
		a.again = d.cfg.Now().Add(UnknownDelay)
	}
	return false
}

func (d *Delivery) lookUp(a *answer, f Finder) (send bool) {
	if d.limits().Unknown != LookUp || !a.rec.Unknown {
		return true
	}
	a.looked = true
	history, err := d.cfg.Store.History(d.shutdown.store, a.rec.ID)
	if err == nil && released(history) {
		return true // a person has decided
	}
	var same []spool.Record
	if err == nil {
		same, err = d.cfg.Store.ByMessageID(d.shutdown.store, a.rec.MessageID, 2)
	}
	if err != nil {
		a.again, a.Text = d.cfg.Now().Add(UnknownDelay), err.Error()
		return false
	}
	t := traceOf(a.rec, history)
	t.others = slices.ContainsFunc(same, func(r spool.Record) bool { return r.ID != a.rec.ID })
	if f == nil {
		a.doubt("there is nothing to look it up with")
		return false
	}
	if t.copies, a.Answer = f.Lookup(d.shutdown.sends, a.rec.Mailbox, a.rec.MessageID); a.Outcome != outcome.Delivered {
		d.notFoundOut(a, t)
		return false
	}
	d.endSearchAlarm(a.identity.Name, a.rec.Mailbox, readable)
	return d.follow(a, t)
}

// traceOf reads the times of attempts in the history.
func traceOf(rec spool.Record, history []spool.Event) trace {
	t := trace{first: rec.Accepted, since: rec.LastAttempt}
	for _, e := range history {
		if e.Kind == spool.Attempted && t.first.Equal(rec.Accepted) {
			t.first = e.At
		}
		// The attempt that is open says nothing.
		if e.Unknown || e.Kind == spool.Attempted && e.Attempt < rec.Attempts {
			t.since = e.At
		}
	}
	return t
}

// follow does what the verdict says.
func (d *Delivery) follow(a *answer, t trace) (send bool) {
	switch v, why := judge(a.rec, t, d.cfg.Now()); v {
	case wasSent:
		a.Answer = outcome.Answer{
			Outcome: outcome.Delivered, Status: reply.Enhanced{2, 0, 0}, RequestID: a.RequestID,
			Duration: a.Duration, Text: "Found in the mailbox: an earlier attempt had sent it",
		}
	case notSent:
		if !a.apart {
			return true
		}
		a.doubt("what is submitted by SMTP need not be in Sent Items")
	case notYet:
		a.again, a.Text = t.since.Add(appearsIn), "Not found in the mailbox yet"
	default:
		a.doubt(why)
	}
	return false
}

// notFoundOut follows a search that failed.
func (d *Delivery) notFoundOut(a *answer, t trace) {
	now := d.cfg.Now()
	switch {
	case a.HTTPStatus == http.StatusForbidden:
		d.searchForbidden(a.identity.Name, a.rec.Mailbox, lookupForbidden(a.rec.Mailbox, a.Answer))
		a.doubt("the app may not read the mailbox: " + a.Cause().String())
	case a.Outcome == outcome.Hold && a.Scope != outcome.ScopeMessage:
		d.searchRefused(a, now)
	case now.Sub(t.since) >= lookupFor:
		a.doubt("it cannot be looked up: " + a.Cause().String())
	default:
		a.again = now.Add(max(pace.ClampPause(a.RetryAfter), UnknownDelay))
	}
}

// searchRefused begins the hold that the refusal is about. Where others have
// passed since, it concerns nobody else: the message waits alone, and is held alone
// in the end, like one that is refused when it is sent.
func (d *Delivery) searchRefused(a *answer, now time.Time) {
	alone := d.holds.Struck(a.rec.ID, hold.ScopeKey(a.Scope, a.identity.Name, a.rec), now)
	switch {
	case alone >= hold.MaxAlone:
		a.doubt("it cannot be looked up, while others can be sent: " + a.Cause().String())
	case alone > 0:
		a.again, a.Scope = now.Add(hold.ProbeAfter(alone-1)), outcome.ScopeMessage
	default:
		a.again = now
	}
}

func lookupForbidden(mailbox envelope.Address, a outcome.Answer) string {
	return text.Cause{
		Headline: "App may not read the mailbox, which delivery.unknown_outcome: lookup needs",
		Remedy:   a.Advice + "; until then messages that may have been sent are held",
		Detail:   mailbox.String() + ": " + a.Detail,
	}.String()
}

// searchForbidden raises the alarm of an identity that may not read a mailbox.
// There is one for each identity; its mailboxes may be many.
func (d *Delivery) searchForbidden(identity string, mailbox envelope.Address, text string) {
	d.mu.Lock()
	d.unreadable[identity] = mailbox
	d.mu.Unlock()
	d.cfg.Alarm("lookup:"+identity, text, true)
}

// readable says that the mailbox which an alarm names can be read.
const readable = "can be searched again"

// endSearchAlarm ends the alarm of an identity if it names that mailbox.
func (d *Delivery) endSearchAlarm(identity string, mailbox envelope.Address, why string) {
	d.mu.Lock()
	named := d.unreadable[identity].Equal(mailbox)
	if named {
		delete(d.unreadable, identity)
	}
	d.mu.Unlock()
	if named {
		d.cfg.Alarm("lookup:"+identity, "mailbox "+mailbox.String()+" "+why, false)
	}
}

// endSearchAlarms ends that alarm where nothing searches the mailbox any more: the
// configuration has dropped it, gives it to another identity, or has no lookup.
func (d *Delivery) endSearchAlarms() {
	d.mu.Lock()
	unreadable := maps.Clone(d.unreadable)
	d.mu.Unlock()
	for identity, mailbox := range unreadable {
		if r, ok := d.route(mailbox); !ok || r.Identity != identity || d.limits().Unknown != LookUp {
			d.endSearchAlarm(identity, mailbox, "is no longer searched")
		}
	}
}

// doubt holds the message for a person.
func (a *answer) doubt(why string) {
	a.verdict = &Decision{
		State: spool.Held, Event: spool.EventHeld, Unknown: true, Status: reply.Enhanced{4, 4, 7},
		Text: text.Cause{
			Headline: "Message may have been sent, and a search of the mailbox proved nothing",
			Remedy:   "check Sent Items of the mailbox, then release or delete it", Detail: why,
		}.String(),
	}
}

// putOff follows an attempt that was not made, for its message must be looked up
// first: the attempt is taken back.
func (l *lane) putOff(a answer, now time.Time) {
	o := settling{rec: a.rec, identity: a.identity.Name, ans: a.Answer, at: now}
	if a.Outcome == outcome.Hold && a.Scope != outcome.ScopeMessage {
		o.dec = Decision{Hold: true, Scope: a.Scope, Status: a.Status, Text: a.Cause().String()}
		l.beginHold(&o, now)
	}
	if a.probe != "" {
		l.work.probing = false
		l.d.holds.ProbeDone(a.probe, now)
		o.holds = append(o.holds, a.probe)
	}
	l.d.cfg.Log.Info("a message that may have been sent will be looked up later", "queue_id", string(a.rec.ID),
		"message_id", a.rec.MessageID, "mailbox", a.rec.Mailbox.String(), "error", a.Text, "next_attempt", a.again)
	l.line.Refund(a.rec)
	l.settle(a.rec, func() time.Time {
		for _, key := range o.holds {
			l.d.saveHold(key)
		}
		return l.d.unclaim(a.rec, a.again)
	})
}

// CheckLookup checks whether the app may read mailboxes, as unknown_outcome:
// lookup needs, and raises an alarm where it may not. Failures that pass raise none.
func (d *Delivery) CheckLookup(ctx context.Context, mailboxes []envelope.Address) {
	for _, m := range mailboxes {
		r, ok := d.route(m)
		if !ok || r.Finder == nil {
			continue
		}
		var a outcome.Answer // zero after a panic, which says nothing
		d.guard("panic while checking whether a mailbox can be searched", "", func() {
			_, a = r.Finder.Lookup(ctx, m, "<check@graphrelay.invalid>")
		})
		if a.HTTPStatus == http.StatusForbidden {
			text := lookupForbidden(m, a)
			d.cfg.Log.Warn("cannot search a mailbox", "mailbox", m.String(), "identity", r.Identity, "error", text)
			d.searchForbidden(r.Identity, m, text)
		}
		if a.Outcome == outcome.Delivered {
			d.endSearchAlarm(r.Identity, m, readable)
		}
	}
}
