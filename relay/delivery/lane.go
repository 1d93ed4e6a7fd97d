package delivery

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/spool"
)

const (
	defaultSlots         = 3  // Route.MaxConcurrent; Graph allows 4 per app and mailbox
	defaultIdentitySlots = 64 // Route.IdentityConcurrent

	// longestSleep bounds a lane's sleep, so that a clock that jumped forward
	// is noticed.
	longestSleep = time.Minute

	// troubleAfter failures in a row make a lane try one message at a time.
	troubleAfter   = 5
	longestTrouble = 5 * time.Minute
)

// lane sends the mail of one mailbox. Everything below mu belongs to the
// goroutine of run; what others have to say arrives in channels.
type lane struct {
	d       *Delivery
	mailbox envelope.Address
	key     string

	wake     chan struct{}  // look again
	looks    atomic.Uint64  // how often it has looked
	granted  chan *gate     // the slot of the identity that the lane stood in line for
	claimed  chan claim     // the answer of the store
	answered chan answer    // an attempt is over: its slot is free
	settled  chan time.Time // its outcome is recorded; when it is due again, zero if never

	mu     sync.Mutex
	told   news       // what was said since the lane looked last
	status LaneStatus // as of the last look

	news
	ready      []pending // claimed, not begun
	busy       int       // requests under way
	open       int       // messages that are Active for this lane: ready, under way, or being recorded
	limit      int       // slots, as of the last look
	ahead      int       // attempts to record ahead for each slot
	backlog    bool      // the last claim found all that it asked for
	claiming   bool
	probing    bool      // a claimed message is a probe, or may become one
	gate       *gate     // where the lane stands in line; nil if nowhere
	slot       *gate     // where it has a slot that it does not use yet
	stale      bool      // a planned claim was made: the earliest due time is not known any more
	quiet      time.Time // what is known of due messages before this is what SendAs holds stop
	claimAfter time.Time // the store failed; no claim before this
	claimFails int
	pace       *pace
	configured int // slots of the configuration, as of the last look
	trouble    int // failures in a row
	stopping   bool
}

// news says that mail may be due.
type news struct {
	fresh bool      // now
	due   time.Time // then; zero if nothing is known
}

func (n *news) add(m news) {
	n.fresh = n.fresh || m.fresh
	if !m.due.IsZero() && (n.due.IsZero() || m.due.Before(n.due)) {
		n.due = m.due
	}
}

// pending is a claimed message whose attempt has not begun.
type pending struct {
	rec   spool.Record
	probe string // key of the hold it probes
}

// answer is the end of an attempt.
type answer struct {
	pending
	identity *identity
	began    time.Time
	outcome.Answer
	damaged, panicked bool

	looked  bool      // the message was looked up first
	again   time.Time // it was not sent, and is due then; zero otherwise
	verdict *Decision // what was decided without sending it
}

func newLane(d *Delivery, mailbox envelope.Address, p *pace) *lane {
	return &lane{d: d, mailbox: mailbox, key: mailbox.Key(), pace: p,
		wake: make(chan struct{}, 1), granted: make(chan *gate, 1), claimed: make(chan claim),
		answered: make(chan answer), settled: make(chan time.Time)}
}

// tell passes news to the lane from another goroutine. It never blocks.
func (l *lane) tell(n news) {
	l.mu.Lock()
	l.told.add(n)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// listen takes over what was told.
func (l *lane) listen() {
	l.mu.Lock()
	n := l.told
	l.told = news{}
	l.mu.Unlock()
	if !n.due.IsZero() && n.due.Before(l.quiet) {
		n.due = l.quiet
	}
	l.add(n)
}

// run is the lane's goroutine. It ends when there is nothing to do or to wait
// for, or when the delivery stops and everything open is recorded.
func (l *lane) run() {
	stop := l.d.stopping
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next := l.look()
		l.looks.Add(1)
		if l.idle() && l.d.retire(l) {
			return
		}
		timer.Reset(l.sleep(next))
		select {
		case <-l.wake:
		case <-timer.C:
		case <-stop:
			stop, l.stopping = nil, true
		case g := <-l.granted:
			l.gate, l.slot = nil, g
		case c := <-l.claimed:
			l.take(c)
		case a := <-l.answered:
			l.busy--
			l.conclude(a)
		case due := <-l.settled:
			l.open--
			l.add(news{due: due})
		}
	}
}

func (l *lane) sleep(until time.Time) time.Duration {
	if until.IsZero() {
		return longestSleep
	}
	return min(max(until.Sub(l.d.cfg.Now()), 0), longestSleep)
}

func (l *lane) idle() bool {
	waits := l.fresh || !l.due.IsZero() || l.stale
	return l.open == 0 && !l.claiming && (l.stopping || !waits)
}

// look does what can be done now, and returns when to look again (zero: when
// something happens).
func (l *lane) look() time.Time {
	l.listen()
	now := l.d.cfg.Now()
	route, ok := l.d.route(l.mailbox)
	l.configured = route.MaxConcurrent
	l.pace.budgets.setRate(route.Rate)
	l.publish(route, now)
	if l.stopping {
		l.giveBack(now, func(pending) bool { return true })
		l.leaveLine()
		return time.Time{}
	}
	if !ok {
		return l.unrouted(now)
	}
	l.d.endMissing(l.mailbox)
	id := l.d.identity(route)
	until := later(l.pace.pausedUntil(now), id.pausedUntil(now))
	held := l.d.heldBy(route.Identity, l.mailbox)
	l.withhold(now, held, until)
	switch {
	case held != "":
		if until.IsZero() {
			until = l.probe(held, now)
			l.begin(route, id, now)
		}
	case until.IsZero():
		until = l.work(route, id, now)
	}
	if dry := l.pace.pausedUntil(now); !dry.IsZero() {
		l.giveBack(now, func(pending) bool { return true })
		until = later(until, dry)
	}
	if len(l.ready) == 0 {
		l.leaveLine()
	}
	return until
}

// work begins what is ready, and claims more.
func (l *lane) work(route Route, id *identity, now time.Time) time.Time {
	l.begin(route, id, now)
	if !l.pace.pausedUntil(now).IsZero() {
		return time.Time{}
	}
	again := l.probeFroms(now)
	switch {
	case l.claiming:
		return again
	case !l.isDue(now):
		return earlier(again, l.due)
	case now.Before(l.claimAfter):
		return earlier(again, l.claimAfter)
	case len(l.ready) == 0 && !l.pace.afford(now, 0):
		return again
	}
	l.claim(l.want(route, id), now)
	return again
}

// begin starts attempts while there are messages and slots.
func (l *lane) begin(route Route, id *identity, now time.Time) {
	for len(l.ready) > 0 && l.busy < l.slots(route, now) {
		if !l.pace.afford(now, l.ready[0].rec.Size) {
			return
		}
		if l.slot != nil && l.slot != &id.gate {
			l.leaveLine() // the mailbox has moved to another identity
		}
		if l.slot == nil && l.gate == nil && !id.gate.enter(l) {
			l.gate = &id.gate
		}
		if l.gate != nil {
			return
		}
		l.slot = nil
		p := l.ready[0]
		l.ready = slices.Delete(l.ready, 0, 1)
		l.attempt(p, route, id, now)
	}
}

func (l *lane) attempt(p pending, route Route, id *identity, now time.Time) {
	l.busy++
	l.pace.budgets.spend(now, p.rec.Size)
	l.d.emit(Event{Kind: spool.Attempted, Record: p.rec, Identity: id.name, Duplicate: p.rec.Unknown})
	go func() {
		a := answer{pending: p, identity: id, began: now}
		if l.d.settleDoubt(&a, route.Finder) {
			a.looked = false
			a.Answer, a.damaged, a.panicked = l.d.send(route, p.rec)
		}
		id.gate.leave()
		l.answered <- a
	}()
}

// leaveLine gives up a slot that is waited for or not used.
func (l *lane) leaveLine() {
	if l.gate != nil {
		l.gate.quit(l)
		l.gate = nil
	}
	if l.slot != nil {
		l.slot.leave()
		l.slot = nil
	}
}

// slots is how many requests the lane may have under way.
func (l *lane) slots(r Route, now time.Time) int {
	if l.trouble >= troubleAfter {
		return 1
	}
	return min(l.pace.limiter.allowed(now, r.MaxConcurrent), r.MaxConcurrent)
}

// unrouted holds the lane of a mailbox that no sender uses any more.
func (l *lane) unrouted(now time.Time) time.Time {
	l.giveBack(now, func(pending) bool { return true })
	l.leaveLine()
	if l.fresh || !l.due.IsZero() || l.open > 0 {
		l.d.holdMissing(l.mailbox, now)
	}
	return time.Time{}
}

// withhold gives back what may not be sent now.
func (l *lane) withhold(now time.Time, held string, until time.Time) {
	if len(l.ready) == 0 {
		return
	}
	if held != "" || !until.IsZero() {
		l.giveBack(now, func(p pending) bool { return p.probe == "" || p.probe != held })
		return
	}
	froms := l.d.holds.froms(l.mailbox)
	l.giveBack(now, func(p pending) bool { return p.probe == "" && heldFrom(froms, p.rec.From) })
}

func heldFrom(froms []spool.Hold, from envelope.Address) bool {
	return slices.ContainsFunc(froms, func(h spool.Hold) bool { return h.From.Equal(from) })
}

// giveBack takes back the attempts of chosen messages, for they are not made.
func (l *lane) giveBack(now time.Time, chosen func(pending) bool) {
	l.ready = slices.DeleteFunc(l.ready, func(p pending) bool {
		if !chosen(p) {
			return false
		}
		if p.probe != "" {
			l.probing = false
			l.d.holds.dropProbe(p.probe)
		}
		l.unclaim(p.rec, now)
		return true
	})
}

// unclaim makes a message Queued and due again.
func (l *lane) unclaim(rec spool.Record, now time.Time) {
	go func() { l.settled <- l.d.unclaim(rec, dueAgain(rec, now)) }()
}

// dueAgain is when a message that was claimed is due, so that it keeps its place
// in line. A claimed message does not tell when it was due; whatever was tried
// before, only to probe a hold perhaps, has come to its turn when it is claimed.
func dueAgain(rec spool.Record, now time.Time) time.Time { return earlier(rec.Accepted, now) }

// LaneStatus tells how one mailbox is doing.
type LaneStatus struct {
	Mailbox     envelope.Address
	Identity    string
	Slots       int // limit of concurrent requests
	Busy        int // requests under way
	Ahead       int // attempts recorded ahead
	Failures    int // in a row
	PausedUntil time.Time

	slowed bool // Graph has throttled the mailbox, and not all slots are back
}

func (l *lane) publish(r Route, now time.Time) {
	l.limit = l.slots(r, now)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status = LaneStatus{Mailbox: l.mailbox, Identity: r.Identity, Slots: l.limit, Busy: l.busy,
		Ahead: len(l.ready), Failures: l.trouble, PausedUntil: l.pace.pausedUntil(now), slowed: l.pace.limiter.lowered > 0}
}

func (l *lane) view() LaneStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// later and earlier compare times of which zero means "none".
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
