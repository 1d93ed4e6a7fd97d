package delivery

import (
	"time"

	"graphrelay/relay/spool"
)

// claim is what the store gave the lane.
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

// isDue tells whether a claim may find something. A time beyond every backoff
// was written before the clock was set back, and counts as due.
func (l *lane) isDue(now time.Time) bool {
	return l.fresh || !l.due.IsZero() && (!l.due.After(now) || l.beyond(now))
}

func (l *lane) beyond(now time.Time) bool {
	return l.due.After(now.Add(MaxDelay + longestSleep))
}

// want is how many messages to claim: for the free slots, and some ahead. Where
// the identity has no slots left, only what is under way gets something ahead,
// for each attempt recorded and not made is one more message of unknown outcome
// after a crash. It waits until half is used up, so that a commit carries
// several.
func (l *lane) want(r Route, id *identity) int {
	slots := l.slots(r, l.d.cfg.Now())
	free, ahead := max(slots-l.busy, 0), slots*max(l.ahead, 1)
	if id.gate.crowded() {
		free, ahead = 0, max(1, l.busy)
	}
	n := free + ahead - len(l.ready)
	if len(l.ready) > 0 && n < (ahead+1)/2 {
		return 0
	}
	return min(n, window(slots)-l.open, l.pace.budgets.messages(l.d.cfg.Now())-len(l.ready))
}

// maxAhead is how many attempts for each slot are recorded ahead at most: one,
// unless the store is so slow that slots run dry meanwhile.
const maxAhead = 4

// window bounds the messages that a lane keeps in memory: those ahead, those
// under way, and those whose outcome is being recorded.
func window(slots int) int { return 10 * slots }

// adapt makes the lane claim further ahead when a claim in the middle of a
// backlog came too late for its slots.
func (l *lane) adapt(c claim) {
	if c.short {
		l.ahead, l.backlog = 1, false
		return
	}
	if l.backlog && len(l.ready) == 0 && l.busy < l.limit {
		l.ahead = min(2*max(l.ahead, 1), maxAhead)
	}
	l.backlog = true
}

// claim asks the store for up to n messages.
func (l *lane) claim(n int, now time.Time) {
	if n <= 0 {
		return
	}
	c := spool.Claim{Mailbox: l.mailbox, Now: now, Limit: n}
	for _, h := range l.d.holds.froms(l.mailbox) {
		c.ExceptFrom = append(c.ExceptFrom, h.From)
	}
	if !l.due.IsZero() && (!l.due.After(now) || l.beyond(now)) {
		c.Now = later(now, l.due)
		l.due, l.stale = time.Time{}, true
	}
	l.fresh = false
	l.ask("", func() ([]spool.Record, error) { return l.d.cfg.Store.Claim(l.d.storeCtx, c) }, n)
}

// probe claims one message to find out whether hold key is over, when it is
// time and nothing else is open. It returns when to look again.
func (l *lane) probe(key string, now time.Time) time.Time {
	if l.open > 0 || l.claiming || !l.fresh && l.due.IsZero() {
		return time.Time{}
	}
	ok, again := l.d.holds.takeProbe(key, l.key, now)
	if !ok {
		return again
	}
	l.probing, l.news = true, news{} // if there is no message, nothing is due at all
	c := spool.Claim{Mailbox: l.mailbox, Now: now, Limit: 1, Probe: true}
	l.ask(key, func() ([]spool.Record, error) { return l.d.cfg.Store.Claim(l.d.storeCtx, c) }, 1)
	return time.Time{}
}

// probeFroms does the same for the SendAs holds of the mailbox, which do not
// stop the rest of the lane.
func (l *lane) probeFroms(now time.Time) (again time.Time) {
	if l.probing || l.claiming {
		return time.Time{}
	}
	holds := l.d.holds.froms(l.mailbox)
	for _, h := range holds {
		ok, next := l.d.holds.takeProbe(h.Key, l.key, now)
		if ok {
			l.probing = true
			l.ask(h.Key, func() ([]spool.Record, error) { return l.d.claimFrom(h, now) }, 1)
			return time.Time{}
		}
		again = earlier(again, next)
	}
	return again
}

// claimFrom claims the least recently attempted message with the From of h. The
// store can only leave addresses out, so others are given back and left out
// until the right one comes.
func (d *Delivery) claimFrom(h spool.Hold, now time.Time) ([]spool.Record, error) {
	c := spool.Claim{Mailbox: h.Mailbox, Now: now, Limit: 1, Probe: true}
	for range 100 {
		recs, err := d.cfg.Store.Claim(d.storeCtx, c)
		if err != nil || len(recs) == 0 || recs[0].From.Equal(h.From) {
			return recs, err
		}
		d.unclaim(recs[0], dueAgain(recs[0], now))
		c.ExceptFrom = append(c.ExceptFrom[:len(c.ExceptFrom):len(c.ExceptFrom)], recs[0].From)
	}
	return nil, nil
}

// ask runs a claim beside the lane.
func (l *lane) ask(probe string, do func() ([]spool.Record, error), limit int) {
	l.claiming = true
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
		l.claimed <- c
	}()
}

// review applies Review; only a message that crashes have interrupted costs a
// look at its history, to see what the operator said since.
func (d *Delivery) review(rec spool.Record) (Decision, bool) {
	if rec.Crashes == 0 {
		return Decision{}, true
	}
	history, err := d.cfg.Store.History(d.storeCtx, rec.ID)
	if err != nil {
		d.cfg.Log.Error("history of a message cannot be read", "queue_id", string(rec.ID), "error", err)
	}
	return Review(rec, released(history), d.started, d.cfg.Now(), d.rules())
}

// released tells whether the operator let a message go after its last crash.
func released(history []spool.Event) bool {
	yes := false
	for _, e := range history {
		switch e.Kind {
		case spool.EventUnknown:
			yes = false
		case spool.EventReleased:
			yes = true
		}
	}
	return yes
}

// take receives the answer of the store.
func (l *lane) take(c claim) {
	l.claiming = false
	if c.probe == "" && c.err == nil {
		l.adapt(c)
	}
	l.open += len(c.ready) + len(c.refused)
	for _, r := range c.refused {
		l.refuse(r)
	}
	for _, rec := range c.ready {
		l.ready = append(l.ready, pending{rec, c.probe})
	}
	if c.probe != "" && len(c.ready) == 0 {
		l.noProbe(c)
	}
	switch {
	case c.err != nil:
		l.claimFailed(c.err)
	case c.probe != "":
		l.claimFails, l.fresh = 0, l.fresh || !c.short
	case !c.short:
		l.claimFails, l.fresh = 0, true
	default:
		l.claimFails = 0
		l.drained()
	}
}

// drained follows a claim that found less than it asked for: nothing more is
// due. When the next message is, only the store knows; and not even the store
// where a SendAs hold stops some of them, so that the lane stays and looks again.
func (l *lane) drained() {
	switch {
	case len(l.d.holds.froms(l.mailbox)) > 0:
		l.quiet = l.d.cfg.Now().Add(time.Minute)
		l.add(news{due: l.quiet})
		l.stale = false
	case l.stale:
		l.stale = false
		l.d.askPoll()
	}
}

// noProbe follows a probe that found no message.
func (l *lane) noProbe(c claim) {
	l.probing = false
	if c.err == nil && len(c.refused) == 0 {
		l.d.holds.postpone(c.probe, l.d.cfg.Now().Add(longestSleep))
	}
	l.d.holds.dropProbe(c.probe)
	l.d.wakeAll()
}

// claimFailed makes the lane wait before it asks the store again.
func (l *lane) claimFailed(err error) {
	l.claimFails++
	wait := doubled(time.Second, l.claimFails-1, 30*time.Second)
	l.claimAfter, l.fresh = l.d.cfg.Now().Add(wait), true
	if !l.stopping {
		l.d.cfg.Log.Error("the queue gives no messages; trying again", "mailbox", l.mailbox.String(), "after", wait, "error", err)
	}
}

// refuse records what Review decided instead of the attempt.
func (l *lane) refuse(r refused) {
	if r.dec.State == spool.Queued {
		go func() { l.settled <- l.d.unclaim(r.rec, r.dec.Next) }()
		return
	}
	o := settling{rec: r.rec, dec: r.dec, at: l.d.cfg.Now()}
	go func() { l.settled <- l.d.record(o) }()
}
