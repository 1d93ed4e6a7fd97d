package delivery

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"graphrelay/relay/delivery/pace"
	"graphrelay/relay/delivery/turns"
	"graphrelay/relay/envelope"
	"graphrelay/relay/pacing"
	"graphrelay/relay/spool"
)

// longestSleep bounds a lane's sleep, so that a clock that jumped forward is noticed.
const longestSleep = time.Minute

// lane sends the mail of one mailbox. But for inbox and view all of it belongs
// to the goroutine of run.
type lane struct {
	d       *Delivery
	mailbox envelope.Address
	key     string

	inbox  inbox
	view   view
	line   *turns.Line // who waits
	work   work
	claims claims

	wishes []*wish // to be answered at the end of this look

	pace       *pace.Mailbox
	place      *pace.Place // where it waits for the slots of its identity
	slots      int         // as of the last look
	configured int         // slots of the configuration, as of the last look
	limit      int64       // what is larger goes apart, as of the last look; 0: nothing does
	mine       bool        // this node sends its mail, as of the last look
	left       carried     // what the store has of its pace
	stopping   bool
}

// inbox is how other goroutines reach a lane.
type inbox struct {
	wake     chan struct{} // look again
	claimed  chan claim    // the answer of the store
	answered chan answer   // an attempt is over: its slot is free
	settled  chan settled  // its outcome is recorded

	mu   sync.Mutex
	hint hint // since the lane looked last
}

// settled says when a message is due again; zero if never.
type settled struct {
	turn spool.Turn
	due  time.Time
}

// view is what other goroutines see of a lane.
type view struct {
	looks    atomic.Uint64              // how often it has looked
	status   atomic.Pointer[LaneStatus] // as of the last look
	occupied atomic.Bool                // a wish would be refused, as of then
}

// hint says what others know of the mail of a lane.
type hint struct {
	came   map[spool.Turn]arrivals
	polled *polled
	all    bool // whatever waits may be due
	aside  int  // requests that others made in the mailbox
	resume resume
	wishes []*wish
	ended  []*wish // of those that were granted
}

// arrivals are messages that were accepted. The first may have been due before the lane
// looked last, and come to the store after that.
type arrivals struct {
	n     int
	first time.Time
}

// polled is what waited in the store at a time.
type polled struct {
	spool.Lane
	asOf time.Time
}

func (h *hint) add(o hint) {
	if h.came == nil {
		h.came = o.came
	} else {
		for t, a := range o.came {
			if old, is := h.came[t]; is {
				a.n, a.first = a.n+old.n, pacing.Earlier(old.first, a.first)
			}
			h.came[t] = a
		}
	}
	if o.polled != nil {
		h.polled = o.polled
	}
	h.all, h.resume, h.aside = h.all || o.all, max(h.resume, o.resume), h.aside+o.aside
	h.wishes, h.ended = append(h.wishes, o.wishes...), append(h.ended, o.ended...)
}

func (h *hint) empty() bool {
	return h.came == nil && h.polled == nil && !h.all && h.resume == noResume && h.aside == 0 &&
		len(h.wishes)+len(h.ended) == 0
}

// work is the messages that a lane has in memory.
type work struct {
	ready   []pending    // claimed, not begun
	busy    int          // requests under way, and those whose slot is reserved
	apart   int          // submissions under way, which take no slot
	barred  bool         // what is ready waits for a slot that others leave
	long    []spool.Turn // those of requests under way that take minutes
	open    int          // messages that are Active for this lane: reserved, ready, under way, or being recorded
	probing bool         // a claimed message is a probe, or may become one
}

// pending is a claimed message whose attempt has not begun.
type pending struct {
	rec   spool.Record
	probe string // key of the hold it probes
}

func newLane(d *Delivery, mailbox envelope.Address, p *pace.Mailbox) *lane {
	p.Restart()
	l := &lane{
		d: d, mailbox: mailbox, key: mailbox.Key(), pace: p, place: pace.NewPlace(),
		line: turns.New(d.weigh),
		inbox: inbox{
			wake: make(chan struct{}, 1), claimed: make(chan claim), answered: make(chan answer),
			settled: make(chan settled),
		},
	}
	l.view.status.Store(&LaneStatus{}) // it has not looked yet
	return l
}

// send passes a hint to the lane and wakes it. It never blocks.
func (b *inbox) send(h hint) {
	b.mu.Lock()
	b.hint.add(h)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// readInbox notes what others said about the lane's mail.
func (l *lane) readInbox() {
	l.inbox.mu.Lock()
	h := l.inbox.hint
	l.inbox.hint = hint{}
	l.inbox.mu.Unlock()
	now := l.d.cfg.Now()
	if p := h.polled; p != nil {
		l.line.Set(p.Turns, p.asOf, l.claims.running, len(p.Turns) == spool.MaxTurns, now)
	}
	for t, a := range h.came {
		l.line.Add(t, a.n, pacing.Earlier(a.first, now), now)
	}
	if h.all {
		l.line.All()
	}
	if h.aside > 0 {
		l.pace.Aside(now, int64(h.aside))
	}
	l.resume(h.resume)
	for _, w := range h.ended {
		l.endWish(w)
	}
	l.wishes = h.wishes
}

// run is the lane's goroutine. It ends when there is nothing to do or to wait
// for, or when the delivery stops or another node sends its mail and everything open is recorded.
func (l *lane) run() {
	stop := l.d.shutdown.begun
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next := l.carry(l.look())
		l.answerWishes()
		l.view.looks.Add(1)
		if l.idle() && l.d.retire(l) {
			return
		}
		timer.Reset(l.sleep(next))
		select {
		case <-l.inbox.wake:
		case <-timer.C:
		case <-stop:
			stop, l.stopping = nil, true
		case slot := <-l.place.Granted():
			l.place.Accept(slot)
		case c := <-l.inbox.claimed:
			l.take(c)
		case a := <-l.inbox.answered:
			l.end(a)
		case s := <-l.inbox.settled:
			l.work.open--
			if !s.due.IsZero() {
				l.line.Add(s.turn, 1, s.due, l.d.cfg.Now())
			}
		}
	}
}

// end frees the slot of an attempt, and concludes it.
func (l *lane) end(a answer) {
	l.leave(a)
	if i := slices.Index(l.work.long, a.rec.Turn()); a.long && i >= 0 {
		l.work.long = slices.Delete(l.work.long, i, i+1)
	}
	l.conclude(a)
}

func (l *lane) sleep(until time.Time) time.Duration {
	if until.IsZero() {
		return longestSleep
	}
	return min(max(until.Sub(l.d.cfg.Now()), 0), longestSleep)
}

func (l *lane) idle() bool {
	return l.work.open == 0 && !l.claims.running && (l.stopping || !l.mine || !l.line.Waiting())
}

// look does what can be done now, and returns when to look again (zero: when
// something happens).
func (l *lane) look() time.Time {
	l.readInbox()
	now := l.d.cfg.Now()
	route, ok := l.d.route(l.mailbox)
	l.configured, l.limit = route.MaxConcurrent, route.limitApart()
	l.pace.SetRate(route.Rate)
	l.publish(route, now)
	if l.isMine(now); l.stopping || !l.mine {
		l.giveBackAll(now)
		l.place.Leave()
		return time.Time{}
	}
	if !ok {
		return l.unrouted(now)
	}
	l.d.endMissing(l.mailbox)
	id := l.d.identity(route)
	until := pacing.Later(l.pace.PausedUntil(now), id.PausedUntil(now))
	held := l.d.heldBy(route.Identity, l.mailbox)
	l.withhold(now, held, until)
	switch {
	case held != "":
		if until.IsZero() {
			until = l.probe(held, now)
			l.begin(route, id, now)
		}
	case until.IsZero():
		until = l.proceed(route, id, now)
	}
	if dry := l.pace.PausedUntil(now); !dry.IsZero() {
		l.giveBackAll(now)
		until = pacing.Later(until, dry)
	}
	if len(l.work.ready) == 0 {
		l.place.Leave()
	}
	return until
}

// proceed begins what is ready, and claims more.
func (l *lane) proceed(route Route, id *pace.Identity, now time.Time) time.Time {
	l.begin(route, id, now)
	if !l.pace.PausedUntil(now).IsZero() {
		return time.Time{}
	}
	again := l.probeNarrow(now)
	switch {
	case l.claims.running:
		return again
	case !l.isDue(now):
		return pacing.Earlier(again, l.line.Next())
	case now.Before(l.claims.after):
		return pacing.Earlier(again, l.claims.after)
	case len(l.work.ready) == 0 && !l.pace.Afford(now, 0):
		return again
	}
	l.claim(l.want(route, id), now)
	return pacing.Earlier(again, l.line.Next()) // perhaps all that is due may not be taken now
}

// begin starts attempts while there are messages and slots.
func (l *lane) begin(route Route, id *pace.Identity, now time.Time) {
	for {
		free, skip := l.work.busy < l.slotsOf(route, now), l.skips(l.slots)
		i := slices.IndexFunc(l.work.ready, func(p pending) bool {
			apart := route.apart(p.rec.Size)
			return (apart && !l.full() || !apart && free) && !p.barred(skip)
		})
		if free {
			l.work.barred = i < 0 && len(l.work.ready) > 0
		}
		if i < 0 || !l.pace.Afford(now, route.cost(l.work.ready[i].rec.Size)) || !l.place.Take(id) {
			return
		}
		p := l.work.ready[i]
		l.work.ready = slices.Delete(l.work.ready, i, i+1)
		l.attempt(p, route, id, now)
	}
}

// slotsOf is how many requests may be under way: one less for each that another node, which had
// the queue before, may still be making. It never is none, for one of them may never have
// begun, and the lane has to go on.
func (l *lane) slotsOf(route Route, now time.Time) int {
	slots := l.pace.Slots(now, route.MaxConcurrent)
	return max(slots-l.d.cfg.Store.Elsewhere(l.mailbox), min(slots, 1))
}

// unrouted holds the lane of a mailbox that no sender uses any more.
func (l *lane) unrouted(now time.Time) time.Time {
	l.giveBackAll(now)
	l.place.Leave()
	if l.line.Waiting() || l.work.open > 0 {
		l.d.holdMissing(l.mailbox, now)
	}
	return time.Time{}
}

// withhold gives back what may not be sent now.
func (l *lane) withhold(now time.Time, held string, until time.Time) {
	if len(l.work.ready) == 0 {
		return
	}
	if held != "" || !until.IsZero() {
		l.giveBack(now, func(p pending) bool { return p.probe == "" || p.probe != held })
		return
	}
	narrow := l.narrow()
	l.giveBack(now, func(p pending) bool { return p.probe == "" && covered(narrow, p.rec) })
}

// covered reports whether one of the holds of a mailbox stops a message.
func covered(holds []spool.Hold, rec spool.Record) bool {
	return slices.ContainsFunc(holds, func(h spool.Hold) bool { return h.Covers(rec.Message) })
}

func (l *lane) giveBackAll(now time.Time) { l.giveBack(now, func(pending) bool { return true }) }

// giveBack takes back the attempts of chosen messages, for they are not made.
func (l *lane) giveBack(now time.Time, chosen func(pending) bool) {
	l.work.ready = slices.DeleteFunc(l.work.ready, func(p pending) bool {
		if !chosen(p) {
			return false
		}
		l.giveBackOne(p, now)
		return true
	})
}

func (l *lane) giveBackOne(p pending, now time.Time) {
	if p.probe != "" {
		l.work.probing = false
		l.d.holds.DropProbe(p.probe)
	}
	l.unclaim(p.rec, dueAgain(p.rec, now))
}

// takeBack follows an attempt that the store did not let begin: nothing was sent. The store
// gives out nothing more soon.
func (l *lane) takeBack(a answer, now time.Time) {
	l.d.cfg.Log.Warn("an attempt must not begin now and is taken back", "queue_id", string(a.rec.ID),
		"mailbox", a.rec.Mailbox.String(), "error", a.withheld)
	l.claims.after = now.Add(time.Second)
	l.pace.Unspend(a.began, a.cost())
	l.giveBackOne(a.pending, now)
}

// dueAgain is when a message that was claimed is due, so that it keeps its place
// in line. A claimed message does not say when it was due; whatever was tried
// before, only to probe a hold perhaps, has come to its turn when it is claimed.
func dueAgain(rec spool.Record, now time.Time) time.Time { return pacing.Earlier(rec.Accepted, now) }
