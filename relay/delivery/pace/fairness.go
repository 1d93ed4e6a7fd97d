package pace

import (
	"slices"
	"sync"
)

// slotQueue shares the slots of an identity among its lanes. A lane waits in
// line at most once, and goes to the end of the line for each further slot, so
// a busy mailbox gets no larger share than a quiet one.
type slotQueue struct {
	mu    sync.Mutex
	limit int
	busy  int
	line  []*Place
}

// enter takes a slot if one is free and nobody is waiting. Otherwise it puts p
// in line; the slot arrives on p.granted. A place that is in line, or has a slot
// unread in p.granted, must not enter again.
func (q *slotQueue) enter(p *Place) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.busy < q.limit && len(q.line) == 0 {
		q.busy++
		return true
	}
	q.line = append(q.line, p)
	return false
}

// leave returns a slot, to the first in line.
func (q *slotQueue) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy--
	q.serve()
}

// quit takes p out of the line; a slot it was granted meanwhile is returned.
func (q *slotQueue) quit(p *Place) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.line, p); i >= 0 {
		q.line = slices.Delete(q.line, i, i+1)
		return
	}
	select {
	case <-p.granted:
		q.busy--
		q.serve()
	default:
	}
}

// resize changes the limit; slots in use above it are not taken away.
func (q *slotQueue) resize(limit int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if limit != q.limit {
		q.limit = limit
		q.serve()
	}
}

func (q *slotQueue) load() Load {
	q.mu.Lock()
	defer q.mu.Unlock()
	return Load{Limit: q.limit, Busy: q.busy, Waiting: len(q.line)}
}

func (q *slotQueue) serve() {
	for q.busy < q.limit && len(q.line) > 0 {
		p := q.line[0]
		q.line = slices.Delete(q.line, 0, 1)
		q.busy++
		p.granted <- Slot{q} // has room for the one slot a place may be waiting for
	}
}

// Slot is the right to have one request of an identity under way.
type Slot struct{ queue *slotQueue }

// Place is where a lane waits for slots of its identity: nowhere, in one line,
// or with a slot that it does not use yet. It belongs to the lane's goroutine.
type Place struct {
	granted chan Slot
	line    *slotQueue // where it waits; nil if nowhere
	unused  *slotQueue // whose slot it has and does not use yet
}

// NewPlace returns one that waits nowhere.
func NewPlace() *Place { return &Place{granted: make(chan Slot, 1)} }

// Granted delivers the slot that the place has waited for; pass it to Accept.
func (p *Place) Granted() <-chan Slot { return p.granted }

// Accept keeps a granted slot for the next Take.
func (p *Place) Accept(s Slot) { p.line, p.unused = nil, s.queue }

// Take reports whether the lane may begin a request now. If so the slot is in
// use until Identity.Leave; if not the place waits in line.
func (p *Place) Take(id *Identity) bool {
	q := &id.queue
	if p.unused != nil && p.unused != q {
		p.Leave() // the mailbox has moved to another identity
	}
	if p.unused == nil && p.line == nil && !q.enter(p) {
		p.line = q
	}
	if p.line != nil {
		return false
	}
	p.unused = nil
	return true
}

// Keep has a slot that Take took, and that is not used, ready for the next Take.
func (p *Place) Keep(id *Identity) {
	if p.unused != nil || p.line != nil {
		id.Leave()
		return
	}
	p.unused = &id.queue
}

// Leave gives up a slot that is waited for or not used.
func (p *Place) Leave() {
	if p.line != nil {
		p.line.quit(p)
		p.line = nil
	}
	if p.unused != nil {
		p.unused.leave()
		p.unused = nil
	}
}
