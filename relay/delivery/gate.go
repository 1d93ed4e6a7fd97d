package delivery

import (
	"slices"
	"sync"
)

// gate shares the slots of an identity among its lanes. A lane stands in line
// at most once, and goes to the end of the line for each further slot: so a
// mailbox with much mail gets no more than one with little.
type gate struct {
	mu    sync.Mutex
	limit int
	busy  int
	line  []*lane
}

// enter takes a slot if one is free and nobody is waiting. Otherwise it puts l
// in line; the slot arrives on l.granted. A lane that is in line, or has a slot
// unread in l.granted, must not enter again.
func (g *gate) enter(l *lane) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.busy < g.limit && len(g.line) == 0 {
		g.busy++
		return true
	}
	g.line = append(g.line, l)
	return false
}

// leave gives a slot back, to the first in line.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy--
	g.serve()
}

// quit takes l out of the line; a slot it was given meanwhile goes back.
func (g *gate) quit(l *lane) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.line, l); i >= 0 {
		g.line = slices.Delete(g.line, i, i+1)
		return
	}
	select {
	case <-l.granted:
		g.busy--
		g.serve()
	default:
	}
}

// resize changes the limit; slots in use above it are not taken away.
func (g *gate) resize(limit int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if limit != g.limit {
		g.limit = limit
		g.serve()
	}
}

// inUse is how many slots are taken.
func (g *gate) inUse() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.busy
}

// crowded tells whether lanes are waiting for slots.
func (g *gate) crowded() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.busy >= g.limit
}

func (g *gate) serve() {
	for g.busy < g.limit && len(g.line) > 0 {
		l := g.line[0]
		g.line = slices.Delete(g.line, 0, 1)
		g.busy++
		l.granted <- g // room for the one slot a lane may be waiting for
	}
}
