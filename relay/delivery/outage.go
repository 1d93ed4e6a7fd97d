package delivery

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/state"
	"graphrelay/relay/text"
)

// proof is what an answer shows of the service behind an identity.
type proof int

const (
	nothing proof = iota // about it
	answers
	silent // no connection, no answer in time, or one that says that it is out of order
)

// proofOf returns what an answer shows of the service. An answer about one message
// for now, or from the relay itself, shows nothing, and neither does
// one of another way. It is pure.
func proofOf(a outcome.Answer) proof {
	const policy = 7 // the subject of an enhanced code that throttling has: the service answers
	wide := a.Scope >= outcome.ScopeMailbox
	if a.Apart {
		return nothing
	}
	switch a.Outcome {
	case outcome.Unknown:
		if a.Status[1] == 4 { // connection lost, or a timeout at the front door
			return silent
		}
	case outcome.Retry:
		switch {
		case a.HTTPStatus == http.StatusTooManyRequests || wide && a.Status[1] == policy:
			return answers
		case wide && (a.HTTPStatus == 0 || a.HTTPStatus >= 500):
			return silent
		}
	default:
		if a.HTTPStatus != 0 {
			return answers
		}
	}
	return nothing
}

// Outage is the time for which the service has not answered one identity.
type Outage struct {
	Identity string
	Since    time.Time      // the first attempt without an answer
	Attempts int            // without an answer since then
	Last     outcome.Answer // or what is known in its place
}

// Why is what is wrong, by the last attempt, and what to do.
func (o Outage) Why() string {
	const wait = "nothing to do, unless it lasts: see Service health in the Microsoft 365 admin center"
	switch {
	case o.Last.HTTPStatus != 0:
		c := text.Cause{Remedy: wait, Detail: o.Last.Detail}
		c.Headline = fmt.Sprintf("Microsoft 365 is out of order: it answers %d", o.Last.HTTPStatus)
		return c.String()
	case o.Last.Outcome == outcome.Unknown: // the advice is about the message
		return "Microsoft 365 does not answer in time; " + wait
	}
	return o.Last.Cause().String()
}

// outages are by identity, from the first attempt without an answer to the next answer.
type outages struct {
	mu sync.Mutex
	of map[string]*Outage
}

// note records what an answer shows, and reports whether an outage is over by it.
func (o *outages) note(identity string, a outcome.Answer, now time.Time) (over bool) {
	p := proofOf(a)
	o.mu.Lock()
	defer o.mu.Unlock()
	x := o.of[identity]
	switch {
	case p == answers:
		delete(o.of, identity)
		return x != nil
	case p == silent && x == nil:
		x = &Outage{Identity: identity, Since: now}
		o.of[identity] = x
		fallthrough
	case p == silent:
		x.Attempts, x.Last = x.Attempts+1, a
	}
	return false
}

// list returns the outages of identities that have mail waiting: without any,
// nobody tries, and nobody knows.
func (o *outages) list(lanes []LaneStatus) (list []Outage) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for identity, x := range o.of {
		if slices.ContainsFunc(lanes, func(l LaneStatus) bool { return l.Identity == identity }) {
			list = append(list, *x)
		} else {
			delete(o.of, identity)
		}
	}
	slices.SortFunc(list, func(a, b Outage) int { return cmp.Compare(a.Identity, b.Identity) })
	return list
}

// hear notes what an answer shows of the service. Once it answers again, what
// other lanes of the identity put off for that is due.
func (l *lane) hear(a answer, now time.Time) {
	if !a.panicked && l.d.outages.note(a.identity.Name, a.Answer, now) {
		l.d.resumeIdentity(a.identity.Name)
	}
}

// resume is why a lane tries again before its own backoff is over.
type resume int

const (
	noResume resume = iota
	hinted          // the service may answer again
	asked           // an operator asks for it
)

// resume ends the lane's pause of failures, and makes due what its failures put off.
func (l *lane) resume(why resume) {
	now := l.d.cfg.Now()
	if why == noResume || !l.pace.Resume(now, why == asked) {
		return
	}
	l.line.All()
	l.claims.retry = now
}

func (d *Delivery) resumeIdentity(identity string) {
	d.resumeLanes(hinted, func(mailbox envelope.Address) bool {
		r, _ := d.route(mailbox)
		return r.Identity == identity
	})
}

// resumeLanes makes chosen lanes try again. The pace of a mailbox without a lane
// belongs to nobody else.
func (d *Delivery) resumeLanes(why resume, chosen func(mailbox envelope.Address) bool) {
	now := d.cfg.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, p := range d.paces {
		if l := d.lanes[key]; l != nil && chosen(l.mailbox) {
			l.inbox.send(hint{resume: why})
		} else if l == nil && why == asked {
			p.Resume(now, true)
		}
	}
}

// TryNow makes chosen mailboxes try now what they put off because attempts had
// failed, and returns the pauses that this does not end: those that Microsoft asked
// for, and those that a limit needs. Call it for an operator, or after a reload.
func (d *Delivery) TryNow(chosen func(mailbox envelope.Address) bool) (paused []state.Wait) {
	d.resumeLanes(asked, chosen)
	d.shareTry(chosen)
	now := d.cfg.Now()
	for _, l := range d.Status().Lanes {
		if l.stays.Until.After(now) && chosen(l.Mailbox) {
			paused = append(paused, state.Wait{
				Mailbox: l.Mailbox.String(), Until: l.stays.Until, By: string(l.stays.Cause),
			})
		}
	}
	return paused
}
