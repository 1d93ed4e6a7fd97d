package delivery

import (
	"slices"
	"time"

	"graphrelay/relay/delivery/pace"
	"graphrelay/relay/pacing"
	"graphrelay/relay/spool"
)

// maxAhead is how many attempts for each slot are recorded ahead at most: one,
// unless the store is so slow that slots run dry meanwhile.
const maxAhead = 4

// claims is how a lane asks the store for messages.
type claims struct {
	running  bool      // a claim is under way
	ahead    int       // attempts to record ahead for each slot
	backlog  bool      // the last claim found all that it asked for
	after    time.Time // the store failed; no claim before this
	failures int       // in a row
}

// claim is the answer of the store.
type claim struct {
	probe   string // key of the hold to probe
	short   bool   // there was less than was asked for
	ready   []spool.Record
	refused []refused
	err     error
}

// refused is a claimed message that Review does not let go.
type refused struct {
	rec spool.Record
	dec Decision
}

// isDue reports whether a claim may find something. A time beyond every backoff
// was written before the clock was set back, and counts as due.
func (l *lane) isDue(now time.Time) bool { return l.due.now || l.plannedDue(now) }

func (l *lane) plannedDue(now time.Time) bool {
	at := l.due.at
	return !at.IsZero() && (!at.After(now) || at.After(now.Add(MaxDelay+longestSleep)))
}

// want is how many messages to claim: for the free slots, and some ahead. Where
// the identity has no slots left, only what is under way gets something ahead, for
// each attempt recorded and not made is one more message of unknown outcome after
// a crash. It waits until half is used up, so that a commit carries several.
func (l *lane) want(r Route, id *pace.Identity) int {
	now := l.d.cfg.Now()
	slots, ready := l.pace.Slots(now, r.MaxConcurrent), len(l.work.ready)
	free, ahead := max(slots-l.work.busy, 0), slots*max(l.claims.ahead, 1)
	if id.Crowded() {
		free, ahead = 0, max(1, l.work.busy)
	}
	n := free + ahead - ready
	if ready > 0 && n < (ahead+1)/2 {
		return 0
	}
	return min(n, window(slots)-l.work.open, l.pace.Messages(now)-ready)
}

// window bounds the messages that a lane keeps in memory: those ahead, those
// under way, and those whose outcome is being recorded.
func window(slots int) int { return 10 * slots }

// adapt makes the lane claim further ahead when a claim in the middle of a
// backlog came too late for its slots.
func (l *lane) adapt(c claim) {
	if c.short {
		l.claims.ahead, l.claims.backlog = 1, false
		return
	}
	if l.claims.backlog && len(l.work.ready) == 0 && l.work.busy < l.slots {
		l.claims.ahead = min(2*max(l.claims.ahead, 1), maxAhead)
	}
	l.claims.backlog = true
}

// claim asks the store for up to n messages.
func (l *lane) claim(n int, now time.Time) {
	if n <= 0 {
		return
	}
	c := spool.Claim{Mailbox: l.mailbox, Now: now, Limit: n, TriedBefore: l.due.retry}
	for _, h := range l.d.holds.Narrow(l.mailbox) {
		except(&c, h)
	}
	if l.plannedDue(now) {
		c.Now = pacing.Later(now, l.due.at)
		l.due.at, l.due.askStore = time.Time{}, true
	}
	l.due.now = false
	l.ask("", n, func() ([]spool.Record, error) { return l.d.claimFor(c) })
}

// probe claims one message to find out whether hold key is over, when it is
// time and nothing else is open. It returns when to look again.
func (l *lane) probe(key string, now time.Time) time.Time {
	if l.work.open > 0 || l.claims.running || !l.due.any() {
		return time.Time{}
	}
	ok, again := l.d.holds.TakeProbe(key, l.key, now)
	if !ok {
		return again
	}
	l.work.probing, l.due.dueHint = true, dueHint{} // if there is no message, nothing is due at all
	c := spool.Claim{Mailbox: l.mailbox, Now: now, Limit: 1, Probe: true}
	l.ask(key, 1, func() ([]spool.Record, error) { return l.d.claimFor(c) })
	return time.Time{}
}

// probeNarrow does the same for the holds of some of the mailbox's mail, which do
// not stop the rest of the lane.
func (l *lane) probeNarrow(now time.Time) (again time.Time) {
	if l.work.probing || l.claims.running {
		return time.Time{}
	}
	for _, h := range l.d.holds.Narrow(l.mailbox) {
		ok, next := l.d.holds.TakeProbe(h.Key, l.key, now)
		if ok {
			l.work.probing = true
			l.ask(h.Key, 1, func() ([]spool.Record, error) { return l.d.claimCovered(h, now) })
			return time.Time{}
		}
		again = pacing.Earlier(again, next)
	}
	return again
}

func (d *Delivery) claimFor(c spool.Claim) ([]spool.Record, error) {
	return d.cfg.Store.Claim(d.shutdown.store, c)
}

// except leaves out of a claim what a narrow hold stops.
func except(c *spool.Claim, h spool.Hold) {
	if h.Client != "" {
		c.ExceptClients = append(c.ExceptClients, h.Client)
	} else {
		c.ExceptFrom = append(c.ExceptFrom, h.From)
	}
}

// claimCovered claims the least recently attempted message that h stops. The
// store can only leave addresses and clients out, so others are given back and
// left out until the right one comes.
func (d *Delivery) claimCovered(h spool.Hold, now time.Time) ([]spool.Record, error) {
	c := spool.Claim{Mailbox: h.Mailbox, Now: now, Limit: 1, Probe: true}
	for range 100 {
		recs, err := d.claimFor(c)
		if err != nil || len(recs) == 0 || h.Covers(recs[0].Message) {
			return recs, err
		}
		d.unclaim(recs[0], dueAgain(recs[0], now))
		c.ExceptFrom, c.ExceptClients = slices.Clip(c.ExceptFrom), slices.Clip(c.ExceptClients)
		other := spool.Hold{From: recs[0].From}
		if h.Client != "" {
			other.Client = recs[0].Client.Name
		}
		except(&c, other)
	}
	return nil, nil
}

// ask runs a claim of up to limit messages beside the lane.
func (l *lane) ask(probe string, limit int, do func() ([]spool.Record, error)) {
	l.claims.running = true
	go func() {
		recs, err := do()
		c := claim{probe: probe, err: err, short: len(recs) < limit}
		for _, rec := range recs {
			if dec, ok := l.d.review(rec); ok {
				c.ready = append(c.ready, rec)
			} else {
				c.refused = append(c.refused, refused{rec, dec})
			}
		}
		l.inbox.claimed <- c
	}()
}

// review applies Review. Only a message that crashes have interrupted costs a
// look at its history, to see what the operator decided since.
func (d *Delivery) review(rec spool.Record) (Decision, bool) {
	if rec.Crashes == 0 {
		return Decision{}, true
	}
	history, err := d.cfg.Store.History(d.shutdown.store, rec.ID)
	if err != nil {
		d.cfg.Log.Error("cannot read the history of a message", "queue_id", string(rec.ID), "error", err)
	}
	again := released(history) || lastWord(history) == spool.EventRetried
	return Review(rec, again, d.started, d.cfg.Now(), d.rules())
}

// released reports whether the operator released a message after it was last held,
// or its outcome unknown. One who only retried it has not looked whether it was sent.
func released(history []spool.Event) bool { return lastWord(history) == spool.EventReleased }

// lastWord is the last event that says how a message goes on after an attempt
// whose outcome is unknown.
func lastWord(history []spool.Event) (last spool.EventKind) {
	for _, e := range history {
		switch e.Kind {
		case spool.EventHeld, spool.EventReleased, spool.EventRetried:
			last = e.Kind
		default:
			if e.Unknown {
				last = e.Kind
			}
		}
	}
	return last
}

// take receives the answer of the store.
func (l *lane) take(c claim) {
	l.claims.running = false
	if c.probe == "" && c.err == nil {
		l.adapt(c)
	}
	l.work.open += len(c.ready) + len(c.refused)
	for _, r := range c.refused {
		l.refuse(r)
	}
	for _, rec := range c.ready {
		l.work.ready = append(l.work.ready, pending{rec, c.probe})
	}
	if c.probe != "" && len(c.ready) == 0 {
		l.noProbe(c)
	}
	if c.err != nil {
		l.claimFailed(c.err)
		return
	}
	l.claims.failures = 0
	l.due.now = l.due.now || !c.short
	if c.short && c.probe == "" {
		l.due.retry = time.Time{}
		l.drained()
	}
}

// drained follows a claim that found less than it asked for: nothing more is
// due. When the next message is, only the store knows; and not even the store
// where a SendAs hold stops some of them, so that the lane stays and looks again.
func (l *lane) drained() {
	switch {
	case len(l.d.holds.Narrow(l.mailbox)) > 0:
		l.due.notBefore = l.d.cfg.Now().Add(time.Minute)
		l.due.add(dueHint{at: l.due.notBefore})
		l.due.askStore = false
	case l.due.askStore:
		l.due.askStore = false
		l.d.askPoll()
	}
}

// noProbe follows a probe that found no message.
func (l *lane) noProbe(c claim) {
	l.work.probing = false
	if c.err == nil && len(c.refused) == 0 {
		l.d.holds.Postpone(c.probe, l.d.cfg.Now().Add(longestSleep))
	}
	l.d.holds.DropProbe(c.probe)
	l.d.wakeAll()
}

// claimFailed makes the lane wait before it asks the store again.
func (l *lane) claimFailed(err error) {
	l.claims.failures++
	wait := pacing.Backoff(time.Second, longestStoreWait, l.claims.failures)
	l.claims.after, l.due.now = l.d.cfg.Now().Add(wait), true
	if !l.stopping {
		l.d.cfg.Log.Error("cannot claim messages from the queue; retrying",
			"mailbox", l.mailbox.String(), "after", wait, "error", err)
	}
}

// refuse records what Review decided instead of the attempt.
func (l *lane) refuse(r refused) {
	if r.dec.State == spool.Deferred {
		go func() { l.inbox.settled <- l.d.unclaim(r.rec, r.dec.Next) }()
		return
	}
	l.record(settling{rec: r.rec, dec: r.dec, at: l.d.cfg.Now()})
}

// record writes an outcome beside the lane.
func (l *lane) record(o settling) {
	go func() { l.inbox.settled <- l.d.record(o) }()
}
