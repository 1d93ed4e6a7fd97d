package delivery

import (
	"cmp"
	"slices"
	"time"

	"graphrelay/relay/delivery/pace"
	"graphrelay/relay/delivery/turns"
	"graphrelay/relay/envelope"
	"graphrelay/relay/pacing"
	"graphrelay/relay/spool"
)

// maxAhead is how many attempts for each slot are recorded ahead at most: one,
// unless the store is so slow that slots run dry meanwhile.
const maxAhead = 4

// claims is how a lane asks the store for messages.
type claims struct {
	running  bool // a claim is under way
	picked   turns.Picked
	retry    time.Time // what was tried last before this is due whatever its backoff; zero: nothing is
	ahead    int       // attempts to record ahead for each slot
	backlog  bool      // the last claim found all that it asked for
	after    time.Time // the store failed; no claim before this
	failures int       // in a row
}

// claim is the answer of the store.
type claim struct {
	probe   string // key of the hold to probe
	short   bool   // there was less than was asked for
	recs    []spool.Record
	refused map[envelope.QueueID]Decision // those that Review does not let go
	err     error
}

// isDue reports whether a claim may find something. A time beyond every backoff
// was written before the clock was set back, and counts as due.
func (l *lane) isDue(now time.Time) bool { return l.line.Due(now, now.Add(MaxDelay+longestSleep)) }

// want is how many messages to claim: for the free slots, and some ahead. Where
// the identity has no slots left, only what is under way gets something ahead, for
// each attempt recorded and not made is one more message of unknown outcome after
// a crash. It waits until half is used up, so that a commit carries several.
func (l *lane) want(r Route, id *pace.Identity) int {
	now := l.d.cfg.Now()
	slots, ready := l.slotsOf(r, now), len(l.work.ready)
	if l.work.barred {
		ready = 0 // for the slot that is free
	}
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

// claim asks the store for up to n messages of those whose turn it is.
func (l *lane) claim(n int, now time.Time) {
	if n <= 0 {
		return
	}
	c := spool.Claim{Mailbox: l.mailbox, Limit: n, TriedBefore: l.claims.retry}
	for _, h := range l.narrow() {
		switch {
		case h.Above > 0:
			c.ExceptOver = min(cmp.Or(c.ExceptOver, h.Above), h.Above)
		case h.Client == "":
			c.ExceptFrom = append(c.ExceptFrom, h.From)
		}
	}
	p := l.line.Pick(n, now, l.skips(l.slots))
	if len(p.Turns) == 0 {
		return
	}
	c.Turns, c.Now, l.claims.picked = p.Turns, p.Now, p
	l.ask("", n, func() ([]spool.Record, error) { return l.d.claimFor(c) })
}

// probe claims one message to find out whether hold key is over, when it is
// time and nothing else is open. It returns when to look again.
func (l *lane) probe(key string, now time.Time) time.Time {
	if l.work.open > 0 || l.claims.running || !l.line.Waiting() {
		return time.Time{}
	}
	ok, again := l.d.holds.TakeProbe(key, l.key, now)
	if !ok {
		return again
	}
	l.askProbe(key, spool.Hold{}, now)
	return time.Time{}
}

// askProbe claims the least recently attempted message that a hold stops, of the
// turn behind that of the last probe.
func (l *lane) askProbe(key string, h spool.Hold, now time.Time) {
	l.work.probing = true
	c := spool.Claim{Mailbox: l.mailbox, Now: now, Limit: 1, Probe: true, OnlyFrom: h.From, OnlyOver: h.Above}
	c.Turns = l.line.Ring(h.Client)
	l.ask(key, 1, func() ([]spool.Record, error) {
		if len(c.Turns) == 0 && h.Client != "" {
			return nil, nil
		}
		return l.d.claimFor(c)
	})
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
			l.askProbe(h.Key, h, now)
			return time.Time{}
		}
		again = pacing.Earlier(again, next)
	}
	return again
}

func (d *Delivery) claimFor(c spool.Claim) ([]spool.Record, error) {
	return d.cfg.Store.Claim(d.shutdown.store, c)
}

// ask runs a claim of up to limit messages beside the lane.
func (l *lane) ask(probe string, limit int, do func() ([]spool.Record, error)) {
	l.claims.running = true
	go func() {
		recs, err := do()
		c := claim{probe: probe, err: err, short: len(recs) < limit, recs: recs}
		for _, rec := range recs {
			if dec, ok := l.d.review(rec); !ok {
				if c.refused == nil {
					c.refused = map[envelope.QueueID]Decision{}
				}
				c.refused[rec.ID] = dec
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
	l.work.open += len(c.recs)
	switch {
	case c.probe != "" && len(c.recs) > 0:
		l.line.Probed(c.recs[0])
	case c.probe == "" && c.err != nil:
		l.line.Failed(l.claims.picked)
	case c.probe == "":
		l.adapt(c)
		var lost bool
		if c.recs, lost = l.line.Took(l.claims.picked, c.recs, l.lookAgain()); lost {
			l.d.askPoll()
		}
	}
	for _, rec := range c.recs {
		if dec, is := c.refused[rec.ID]; is {
			l.refuse(rec, dec)
		} else {
			l.work.ready = append(l.work.ready, pending{rec, c.probe})
		}
	}
	if c.probe != "" && len(c.recs) == len(c.refused) {
		l.noProbe(c)
	}
	if c.err != nil {
		l.claimFailed(c.err)
		return
	}
	l.claims.failures = 0
}

// lookAgain is when to look again for what a claim did not find, where holds of
// addresses or of large mail stop some of it.
func (l *lane) lookAgain() time.Time {
	if slices.ContainsFunc(l.narrow(), func(h spool.Hold) bool { return h.Client == "" }) {
		return l.d.cfg.Now().Add(time.Minute)
	}
	return time.Time{}
}

// noProbe follows a probe that found no message.
func (l *lane) noProbe(c claim) {
	l.work.probing = false
	if c.err == nil && len(c.refused) == 0 {
		l.d.holds.Postpone(c.probe, l.d.cfg.Now().Add(longestSleep))
		if !slices.ContainsFunc(l.d.holds.Narrow(l.mailbox), func(h spool.Hold) bool { return h.Key == c.probe }) {
			l.line.Clear()
		}
	}
	l.d.holds.DropProbe(c.probe)
	l.d.wakeAll()
}

// claimFailed makes the lane wait before it asks the store again.
func (l *lane) claimFailed(err error) {
	l.claims.failures++
	wait := pacing.Backoff(time.Second, longestStoreWait, l.claims.failures)
	l.claims.after = l.d.cfg.Now().Add(wait)
	if !l.stopping {
		l.d.cfg.Log.Error("cannot claim messages from the queue; retrying",
			"mailbox", l.mailbox.String(), "after", wait, "error", err)
	}
}

// refuse records what Review decided instead of the attempt.
func (l *lane) refuse(rec spool.Record, dec Decision) {
	if dec.State == spool.Deferred {
		l.unclaim(rec, dec.Next)
		return
	}
	l.line.Refund(rec)
	l.record(settling{rec: rec, dec: dec, at: l.d.cfg.Now()})
}

// unclaim takes an attempt back that was not made, beside the lane.
func (l *lane) unclaim(rec spool.Record, next time.Time) {
	l.line.Refund(rec)
	l.settle(rec, func() time.Time { return l.d.unclaim(rec, next) })
}

// record writes an outcome beside the lane.
func (l *lane) record(o settling) {
	l.settle(o.rec, func() time.Time { return l.d.record(o) })
}

func (l *lane) settle(rec spool.Record, write func() time.Time) {
	go func() { l.inbox.settled <- settled{rec.Turn(), write()} }()
}
