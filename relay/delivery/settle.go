package delivery

import (
	"context"
	"errors"
	"time"

	"graphrelay/relay/delivery/hold"
	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/pacing"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// settling is what is to be recorded of one message.
type settling struct {
	rec      spool.Record
	identity string
	dec      Decision
	ans      outcome.Answer
	at       time.Time
	damaged  bool
	holds    []string     // keys of holds that changed
	over     []spool.Hold // holds that end with this outcome
}

// conclude applies an answer: at once to the lane and the holds in memory, and
// beside the lane to the store.
func (l *lane) conclude(a answer) {
	now := l.d.cfg.Now()
	if a.withheld != nil {
		l.takeBack(a, now)
		return
	}
	l.hear(a, now)
	if !a.again.IsZero() {
		l.putOff(a, now)
		return
	}
	a.Answer = l.d.shared(a, now)
	o := settling{rec: a.rec, identity: a.identity.Name, ans: a.Answer, at: now, damaged: a.damaged}
	switch {
	case a.damaged && l.d.misread(a.rec.ID, now) >= damagedAfter:
		o.dec = damagedDecision()
	case a.verdict != nil:
		o.dec = *a.verdict
	default:
		rules := l.d.rulesFor(a, now)
		rules.Outage = a.Doubt && l.pace.DoubtedBefore(a.began)
		o.dec = Decide(a.rec, a.Answer, now, rules)
		if o.damaged = false; a.damaged && o.dec.State == spool.Deferred {
			o.dec.Next = now.Add(reread)
		}
	}
	if !l.d.holds.None() {
		o.over = l.d.holds.Passed(l.cleared(a, o.dec), a.rec.ID, a.began)
		if len(o.over) > 0 {
			l.d.unheard.forget(l.mailbox)
		}
	}
	if o.dec.Hold {
		l.beginHold(&o, now)
	}
	if a.probe != "" {
		l.work.probing = false
		l.probed(a, now)
		o.holds = append(o.holds, a.probe)
	}
	if a.HTTPStatus != 0 && !a.looked {
		l.d.mayEnd(hold.NetworkBack, a.identity.Name)
	}
	l.charge(a, o.dec)
	l.pace.Uploaded(now, a.cost(), a.Uploaded, int64(a.Requests))
	l.setPace(a, o.dec, now)
	l.d.forgetSettled(a.rec.ID, o.dec.State)
	l.record(o)
}

// charge gives back what the attempt cost its turn, where the message waits again and
// is not the reason.
func (l *lane) charge(a answer, dec Decision) {
	waits := dec.State.Stored() == spool.Queued || dec.State == spool.Held
	if waits && a.Scope >= outcome.ScopeLarge {
		l.line.Refund(a.rec)
		return
	}
	l.line.Ended(a.rec, waits)
}

// probed ends a probe. A message that was only looked up has probed nothing: the
// next message probes at once.
func (l *lane) probed(a answer, now time.Time) {
	switch {
	case a.looked:
		l.d.holds.DropProbe(a.probe)
	case a.unconnected():
		l.d.holds.ProbeLost(a.probe, now)
	default:
		l.d.holds.ProbeDone(a.probe, now)
	}
}

// unconnected reports whether nobody answered and nothing of the message left.
func (a answer) unconnected() bool {
	return a.Outcome == outcome.Retry && a.Scope == outcome.ScopeIdentity && a.HTTPStatus == 0
}

// cost is what Spend counted.
func (a answer) cost() int64 {
	if a.apart {
		return 0
	}
	return a.rec.Size
}

// cleared lists the holds that this answer disproves. One of the way of large mail says
// nothing about others, and others nothing about it, unless the message probed it.
func (l *lane) cleared(a answer, dec Decision) (keys []string) {
	if !a.Apart {
		keys = cleared(a, dec)
	}
	if a.looked || !dec.Passed && (a.Outcome != outcome.Hold || a.Scope != outcome.ScopeSendAs) {
		return keys
	}
	for _, h := range l.d.holds.Narrow(l.mailbox) {
		if h.Above > 0 && h.Covers(a.rec.Message) && (a.Apart || h.Key == a.probe) {
			keys = append(keys, h.Key)
		}
	}
	return keys
}

// cleared lists the holds that an answer of Graph disproves: all when Graph judged the
// message itself, and the wider ones when it refused something narrower.
func cleared(a answer, dec Decision) []string {
	keys := hold.Keys(a.identity.Name, a.rec)
	switch {
	case a.looked:
		return nil // a mailbox that may be read may still not send
	case a.Outcome == outcome.Hold && a.Scope == outcome.ScopeMessage && a.HTTPStatus == 0:
		return nil // Graph was not asked
	case dec.Passed || a.Outcome == outcome.Hold && a.Scope == outcome.ScopeMessage:
		return keys
	case a.Outcome == outcome.Hold && a.Scope == outcome.ScopeSendAs:
		return keys[:2]
	case a.Outcome == outcome.Hold && (a.Scope == outcome.ScopeMailbox || a.Scope == outcome.ScopeClient):
		return keys[:1]
	}
	return nil
}

// holdFor is the hold that a refusal of a message begins.
func (d *Delivery) holdFor(scope outcome.Scope, identity string, rec spool.Record, now time.Time) spool.Hold {
	if scope != outcome.ScopeLarge {
		return hold.ForScope(scope, identity, rec, now)
	}
	r, _ := d.route(rec.Mailbox)
	return hold.ForLarge(identity, rec.Mailbox, max(min(r.MIMELimit, rec.Size-1), 1), now)
}

// beginHold begins the hold that the decision asks for, or refreshes it.
func (l *lane) beginHold(o *settling, now time.Time) {
	h := l.d.holdFor(o.dec.Scope, o.identity, o.rec, now)
	h.Status, h.Text = o.dec.Status, o.dec.Text
	o.holds = append(o.holds, h.Key)
	if l.d.holds.Begin(h) {
		l.d.logHoldBegins(h)
		l.d.wakeAll() // what other lanes have ready must wait too
	}
}

// setPace slows the lane or the identity down, or lets it go on.
func (l *lane) setPace(a answer, dec Decision, now time.Time) {
	if a.Apart {
		return
	}
	doubted := a.Doubt && dec.Unknown
	if doubted {
		l.pace.Doubted(now, l.d.cfg.Rand())
	}
	switch {
	case a.verdict != nil:
	case dec.Passed:
		l.pace.Passed()
		a.identity.Passed()
	case dec.Pause:
		aboutIdentity := dec.Scope == outcome.ScopeIdentity
		if jitter := l.d.cfg.Rand(); aboutIdentity {
			a.identity.Stop(now, dec.PauseFor, jitter)
		} else {
			l.pace.Stop(now, dec.PauseFor, jitter)
		}
		l.pace.Throttled(a.began, now, l.configured, l.work.busy+1)
		a.identity.Throttled(aboutIdentity, l.d.countLanes(a.identity.Name, l), a.began, now)
	case doubted:
	case a.probe != "" && a.unconnected():
		// The hold spaces its probes; a pause of the lane would hide that the network is back.
	case a.Outcome == outcome.Retry && !aboutOne(a.Answer) || a.Outcome == outcome.Unknown:
		l.pace.Failed(now, l.d.cfg.Rand())
	}
}

// record writes an outcome into the log and the store, however long that takes,
// and returns when the message is due again.
func (d *Delivery) record(o settling) time.Time {
	d.emit(outcomeEvent(o))
	for _, key := range o.holds {
		d.saveHold(key)
	}
	recorded := d.persist("outcome of an attempt", o.rec, func(ctx context.Context) error {
		s := settlement(o)
		s.MayWait = d.mayWait(o.dec)
		return d.cfg.Store.Settle(ctx, s)
	})
	if o.damaged && recorded {
		d.setAside(o)
	}
	for _, h := range o.over {
		d.endHold(h)
	}
	if !recorded {
		return time.Time{}
	}
	switch {
	case o.dec.State == spool.Failed:
		d.askReport()
	case o.dec.State == spool.Sent && o.rec.ReportOf != "":
		d.reportSent()
	}
	if o.dec.State == spool.Sent {
		d.countRecipients(o.rec.Mailbox, len(o.rec.Envelope.Recipients), o.at)
	}
	return o.dec.Next
}

// mayWait reports whether an outcome may be recorded a little later, and the message be of
// unknown outcome if the relay ends before that: it is tried again then, as it is
// where the relay ends a little earlier. Nobody is to decide or look up anything.
func (d *Delivery) mayWait(dec Decision) bool {
	return !dec.Unknown && !dec.Hold && d.rules().Unknown == Retry &&
		(dec.State == spool.Sent || dec.State == spool.Deferred)
}

func settlement(o settling) spool.Settlement {
	return spool.Settlement{
		ID: o.rec.ID, Attempt: o.rec.Attempts, State: o.dec.State, NextAttempt: o.dec.Next,
		Unknown: o.dec.Unknown, Status: o.dec.Status, Text: o.dec.Text, RequestID: o.ans.RequestID,
		HTTPStatus: o.ans.HTTPStatus, Duration: o.ans.Duration, At: o.at,
	}
}

// A disk that fails for a moment, or memory below it, gives other bytes than it has.
// So a message is damaged only if reading it again and again for so long gives no others.
const (
	damagedAfter = 2 * time.Minute
	reread       = 30 * time.Second
)

// misread returns for how long the stored bytes of a message have been wrong whenever
// they were read.
func (d *Delivery) misread(id envelope.QueueID, now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.misreads[id].IsZero() {
		d.misreads[id] = now
	}
	return now.Sub(d.misreads[id])
}

const damagedText = "Stored message is damaged and was not sent; check the disk, then try it again with " +
	"graphrelay queue retry; if it stays damaged, restore the queue from a backup, or export what is left and delete it"

// damagedDecision holds a message whose bytes cannot be trusted; setAside then
// moves it, for a settlement cannot.
func damagedDecision() Decision {
	return Decision{State: spool.Held, Event: spool.EventHeld, Status: reply.Enhanced{5, 6, 0}, Text: damagedText}
}

func (d *Delivery) setAside(o settling) {
	d.cfg.Alarm("damaged", damagedText+" [message "+string(o.rec.ID)+"]", true)
	d.cfg.Log.Error("a stored message is damaged; check the disk that holds the queue", "queue_id", string(o.rec.ID),
		"message_id", o.rec.MessageID, "mailbox", o.rec.Mailbox.String())
	d.persist("state of a damaged message", o.rec, func(ctx context.Context) error {
		return d.cfg.Store.Move(ctx, o.rec.ID, spool.Damaged, time.Time{}, damagedText, o.at)
	})
}

// unclaim takes an attempt back that was not made, and returns when the message is due.
func (d *Delivery) unclaim(rec spool.Record, next time.Time) time.Time {
	unclaim := func(ctx context.Context) error { return d.cfg.Store.Unclaim(ctx, rec.ID, rec.Attempts, next) }
	if d.persist("attempt that was not made", rec, unclaim) {
		return next
	}
	return time.Time{}
}

func (d *Delivery) saveHold(key string) {
	var over bool
	d.persist("hold "+key, spool.Record{}, func(ctx context.Context) (err error) {
		over, err = d.holds.Save(ctx, key)
		return err
	})
	if over {
		d.askPoll()
	}
}

// endHold ends a hold in the store, and then wakes the lanes: earlier the time in
// it would still count towards max_age.
func (d *Delivery) endHold(h spool.Hold) {
	var over bool
	d.persist("end of hold "+h.Key, spool.Record{}, func(ctx context.Context) error {
		stopped, err := d.stoppedBy(ctx, h)
		if err == nil {
			over, err = d.holds.Finish(ctx, h.Key, stopped, d.cfg.Now())
		}
		return err
	})
	if over {
		d.logHoldEnds(h, d.cfg.Now())
	}
	d.goOn(h)
}

// goOn wakes the lanes for what a hold stopped.
func (d *Delivery) goOn(h spool.Hold) {
	if h.Narrow() {
		d.wake(h.Mailbox, hint{all: true}) // its lane was not stopped, and found nothing more
	}
	d.wakeAll()
}

// stoppedBy finds the mailboxes with mail that an identity's hold stopped.
func (d *Delivery) stoppedBy(ctx context.Context, h spool.Hold) (stopped []envelope.Address, err error) {
	if !h.Mailbox.IsZero() {
		return nil, nil
	}
	lanes, err := d.cfg.Store.Lanes(ctx)
	for _, l := range lanes {
		if d.covers(h, l.Mailbox) {
			stopped = append(stopped, l.Mailbox)
		}
	}
	return stopped, err
}

// persist repeats a write until it succeeds. It fails only when the message is no
// longer in the expected state (an operator was faster), or when the service must
// end; then the next start finds an attempt of unknown outcome.
func (d *Delivery) persist(what string, rec spool.Record, write func(context.Context) error) bool {
	for tries := 1; ; tries++ {
		err := write(d.shutdown.store)
		if err == nil {
			return true
		}
		final := errors.Is(err, spool.ErrNotFound) || errors.Is(err, spool.ErrState) || d.shutdown.store.Err() != nil
		wait := pacing.Backoff(100*time.Millisecond, longestStoreWait, tries)
		d.cfg.Log.Error("cannot record a change in the queue", "change", what, "queue_id", string(rec.ID),
			"mailbox", rec.Mailbox.String(), "final", final, "retry_after", wait, "error", err)
		if final {
			if d.shutdown.store.Err() != nil {
				d.shutdown.lost.Store(true)
			}
			return false
		}
		_ = pacing.Sleep(d.shutdown.store, wait) // the next write notices the end
	}
}
