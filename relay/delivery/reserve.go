package delivery

import (
	"sync/atomic"
	"time"

	"graphrelay/relay/delivery/pace"
	"graphrelay/relay/spool"
)

// A message that arrives when its lane has nothing else to do is attempted at once. So
// the attempt is recorded in the commit that accepts the message: one flush less, and
// nothing to claim. First the lane keeps for it what the attempt needs: a slot of the
// mailbox and one of the identity, its part of the budgets, and its turn. After the
// commit the message is one that was claimed, and may be taken back like any other;
// without a commit all of that is given back. A crash between the commit and the attempt
// leaves an attempt of unknown outcome, as one after a claim does: so nothing is
// reserved where somebody would have to decide or look up what became of it.

// reserveWithin is how long an answer of the lane is waited for.
const reserveWithin = 20 * time.Millisecond

// wish asks a lane to keep what the first attempt of a message needs.
type wish struct {
	rec      spool.Record // as the store has it if the commit succeeds
	state    atomic.Int32 // decided once: granted or refused
	answered chan struct{}

	// of one that was granted
	identity  *pace.Identity
	began     time.Time
	cost      int64
	committed bool
}

const (
	granted int32 = 1 + iota
	refused
)

// Reserve reports whether the first attempt of a message may be recorded in the commit
// that accepts it, begun at a time. Then it returns what is to be called, once, when that
// is decided; else nil: the message is to be committed as Queued. It takes a few
// milliseconds at most.
func (d *Delivery) Reserve(m spool.Message, at time.Time) (end func(committed bool)) {
	if !d.polls.done.Load() || d.rules().Unknown != Retry {
		return nil
	}
	w := &wish{
		rec:      spool.Record{Message: m, State: spool.Sending, Attempts: 1, LastAttempt: at},
		answered: make(chan struct{}),
	}
	d.mu.Lock()
	l := d.laneFor(m.Mailbox)
	asked := l != nil && !l.view.occupied.Load()
	if asked {
		l.inbox.send(hint{wishes: []*wish{w}})
	}
	d.mu.Unlock()
	if !asked {
		return nil
	}
	timer := time.NewTimer(reserveWithin)
	defer timer.Stop()
	select {
	case <-w.answered:
	case <-timer.C:
		w.state.CompareAndSwap(0, refused)
	}
	if w.state.Load() != granted {
		return nil
	}
	return func(committed bool) {
		w.committed = committed
		l.inbox.send(hint{ended: []*wish{w}})
	}
}

// answerWishes grants what can be granted now.
func (l *lane) answerWishes() {
	now := l.d.cfg.Now()
	for _, w := range l.wishes {
		if !l.grant(w, now) {
			w.state.CompareAndSwap(0, refused)
		}
		close(w.answered)
	}
	l.wishes = nil
	l.view.occupied.Store(l.occupied(now))
}

// occupied reports whether a message that arrives now would have to wait for others.
func (l *lane) occupied(now time.Time) bool {
	return l.stopping || !l.mine || l.claims.running || l.work.probing || len(l.work.ready) > 0 ||
		l.work.busy >= l.slots || now.Before(l.claims.after) || l.isDue(now)
}

// grant keeps what the attempt of a message needs, if all of it can be had.
func (l *lane) grant(w *wish, now time.Time) bool {
	route, ok := l.d.route(l.mailbox)
	size := w.rec.Size
	if !ok || l.occupied(now) || route.tooLarge(size) || route.stranded(size) ||
		l.d.heldBy(route.Identity, l.mailbox) != "" || covered(l.d.holds.Narrow(l.mailbox), w.rec) {
		return false
	}
	id := l.d.identity(route)
	if !l.pace.PausedUntil(now).IsZero() || !id.PausedUntil(now).IsZero() || !l.pace.Afford(now, route.cost(size)) {
		return false
	}
	if !l.place.Take(id) {
		l.place.Leave()
		return false
	}
	if !w.state.CompareAndSwap(0, granted) {
		id.Leave() // nobody waits for it any more
		return false
	}
	w.identity, w.began, w.cost = id, now, route.cost(size)
	l.pace.Spend(now, w.cost)
	l.line.Serve(w.rec)
	l.work.busy++
	l.work.open++
	return true
}

// endWish makes a message that was committed one of those that are claimed, and gives
// back what was kept for another.
func (l *lane) endWish(w *wish) {
	l.work.busy--
	l.pace.Unspend(w.began, w.cost)
	if w.committed {
		l.place.Keep(w.identity)
		l.work.ready = append(l.work.ready, pending{rec: w.rec})
		return
	}
	w.identity.Leave()
	l.line.Refund(w.rec)
	l.work.open--
}
