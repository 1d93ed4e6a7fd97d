// Package turns decides whose mail of a mailbox is next: clients take turns by their
// weights, and inside a client its addresses and users of this host take turns alike.
//
// # Promises
//
//   - Of turns with mail due, each gets messages in proportion to its weight
//     (stride scheduling: the lowest pass is next, and pays cost/weight for it).
//   - None waits for more than the turns of the others before it. Who comes, or comes
//     back, starts at the present pass: rest earns no credit, and mail that comes one
//     by one gets no more than a backlog.
//   - A weight that changes counts at once, also for what was paid before.
//   - What is known of who waits may be wrong for a while: too much costs a look-up,
//     too little a minute.
//
// The package is pure: passes are in memory only, and the caller, of one goroutine,
// brings the time and what the store says. It must not know what stops mail or how
// it is sent.
package turns

import (
	"cmp"
	"slices"
	"time"

	"graphrelay/relay/pacing"
	"graphrelay/relay/spool"
)

// perCost is how many bytes cost as much as one attempt more.
const perCost = 4 << 20

// Cost is what an attempt costs: one, and one more for each 4 MiB.
func Cost(size int64) float64 { return float64(1 + size/perCost) }

// Line is who waits in a lane. Make one with New.
type Line struct {
	weigh  func(client string) int
	root   node
	later  []*node // members whose mail is due later, the earliest first
	more   bool    // the store has turns that it did not list
	served uint64  // so far, and who came
	probed spool.Turn
}

// node is a client or, below it, a member with mail of its own; above them is the lane.
type node struct {
	name     string
	parent   *node
	children map[string]*node
	due      []*node // children with mail due, the lowest pass first
	present  float64 // pass of the child that was served last
	pass     float64
	weight   float64
	served   uint64 // when last, or when it came; no two have the same
	born     uint64

	excused bool // of a client: a message that was deferred or held cost it nothing since it sent one

	// of a member
	ready    bool      // mail is due, as far as is known
	came     bool      // some came since the last pick
	messages int       // that wait, as far as is known, due or not
	at       time.Time // when the earliest of those that are not due is; zero if unknown
	asOf     time.Time // mail planned for then is due: the clock was set back
	after    time.Time // what was due before is stopped
	until    time.Time // and is not looked at before
	noted    time.Time // when the last came
}

// New makes an empty Line. weigh is asked at each pick for the weights of clients.
func New(weigh func(client string) int) *Line {
	return &Line{weigh: weigh, root: node{children: map[string]*node{}}}
}

func (n *node) turn() spool.Turn { return spool.Turn{Client: n.parent.name, Member: n.name} }

func (n *node) child(name string, l *Line) *node {
	c := n.children[name]
	if c == nil {
		l.served++
		c = &node{name: name, parent: n, children: map[string]*node{}, weight: 1, served: l.served, born: l.served}
		n.children[name] = c
	}
	return c
}

// member finds a turn, or makes it.
func (l *Line) member(t spool.Turn) *node { return l.root.child(t.Client, l).child(t.Member, l) }

// known finds a turn; nil if there is none.
func (l *Line) known(t spool.Turn) *node {
	if c := l.root.children[t.Client]; c != nil {
		return c.children[t.Member]
	}
	return nil
}

func byPass(a, b *node) int {
	return cmp.Or(cmp.Compare(a.pass, b.pass), cmp.Compare(a.served, b.served))
}

// enter puts a node in line among its siblings, not before the present pass.
func (n *node) enter() {
	p := n.parent
	if p == nil {
		return
	}
	if i, in := slices.BinarySearchFunc(p.due, n, byPass); !in {
		if n.pass < p.present {
			n.pass = p.present
			i, _ = slices.BinarySearchFunc(p.due, n, byPass)
		}
		p.due = slices.Insert(p.due, i, n)
		p.enter()
	}
}

// quit takes a node out of line.
func (n *node) quit() {
	p := n.parent
	if p == nil {
		return
	}
	if i, in := slices.BinarySearchFunc(p.due, n, byPass); in {
		if p.due = slices.Delete(p.due, i, i+1); len(p.due) == 0 {
			p.quit()
		}
	}
}

// pay adds a cost to the passes of a member and its client, or with a negative one
// gives it back. served, if not 0, is when they are served.
func (n *node) pay(cost float64, served uint64) {
	for ; n.parent != nil; n = n.parent {
		i, in := slices.BinarySearchFunc(n.parent.due, n, byPass)
		if in {
			n.parent.due = slices.Delete(n.parent.due, i, i+1)
		}
		n.pass, n.served = n.pass+cost/n.weight, cmp.Or(served, n.served)
		if in {
			i, _ = slices.BinarySearchFunc(n.parent.due, n, byPass)
			n.parent.due = slices.Insert(n.parent.due, i, n)
		}
	}
}

// ripe says that mail of a member is due.
func (n *node) ripe() {
	if !n.ready {
		n.ready = true
		n.enter()
	}
}

// done says that no mail of a member is due.
func (n *node) done() {
	if n.ready {
		n.quit()
		n.ready = false
	}
}

func byTime(a, b *node) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.born, b.born)) }

// plan notes when the earliest of a member's mail that is not due is; zero: unknown.
func (l *Line) plan(n *node, at time.Time) {
	if i, in := slices.BinarySearchFunc(l.later, n, byTime); in {
		l.later = slices.Delete(l.later, i, i+1)
	}
	if n.at = at; !at.IsZero() {
		i, _ := slices.BinarySearchFunc(l.later, n, byTime)
		l.later = slices.Insert(l.later, i, n)
	}
}

// Add says that n more messages of a turn wait, and are due at a time.
func (l *Line) Add(t spool.Turn, n int, at, now time.Time) {
	m := l.member(t)
	m.messages, m.noted = m.messages+n, now
	if at.Before(m.after) {
		m.after = at // what was due before that is stopped all the same
	}
	if at.After(now) {
		l.plan(m, pacing.Earlier(m.at, at))
		return
	}
	m.came = true
	m.ripe()
}

// Set says who waited in the store at a time. While a claim was under way (claiming)
// nobody knows whether it was before or after. more says that others wait, too.
func (l *Line) Set(waits []spool.Waits, asOf time.Time, claiming, more bool, now time.Time) {
	l.more = more
	seen := map[*node]bool{}
	for _, w := range waits {
		m := l.member(w.Turn)
		seen[m] = true
		if claiming || !m.noted.Before(asOf) {
			m.messages = max(m.messages, w.Messages)
		} else {
			m.messages = w.Messages
		}
		switch next := w.Next; {
		case !m.after.IsZero() && !m.at.IsZero(): // it is known to be stopped until then
		case next.After(now):
			l.plan(m, next)
		default:
			m.came = true // a claim under way may not know of it
			m.ripe()
		}
	}
	for _, c := range l.root.children {
		for _, m := range c.children {
			if !seen[m] && !claiming && !more && m.noted.Before(asOf) {
				l.empty(m)
			}
			l.forget(m)
		}
		l.forget(c)
	}
}

func (l *Line) empty(m *node) {
	m.done()
	l.plan(m, time.Time{})
	m.messages = 0
}

// forget drops a node without mail, once the others have caught up with its pass.
func (l *Line) forget(n *node) {
	if n.messages == 0 && !n.ready && len(n.children) == 0 && n.pass <= n.parent.present {
		delete(n.parent.children, n.name)
	}
}

// Clear says that nothing waits.
func (l *Line) Clear() {
	l.more = false
	l.each(l.empty)
}

// All says that whatever waits may be due, and that nothing is known to be stopped.
func (l *Line) All() {
	l.each(func(m *node) {
		m.after = time.Time{}
		if m.messages > 0 {
			m.came = true
			m.ripe()
		}
	})
}

func (l *Line) each(do func(*node)) {
	for _, c := range l.root.children {
		for _, m := range c.children {
			do(m)
		}
	}
}

// Waiting reports whether anything waits.
func (l *Line) Waiting() bool {
	if len(l.root.due)+len(l.later) > 0 || l.more {
		return true
	}
	found := false
	l.each(func(m *node) { found = found || m.messages > 0 })
	return found
}

// Due makes due what has come to its time, or was planned for after a horizon by a
// clock that was set back since, and reports whether anything is due.
func (l *Line) Due(now, horizon time.Time) bool {
	for len(l.later) > 0 && !l.later[0].at.After(now) {
		l.ripen(l.later[0])
	}
	for n := len(l.later); n > 0 && l.later[n-1].at.After(horizon); n = len(l.later) {
		l.later[n-1].asOf = l.later[n-1].at
		l.ripen(l.later[n-1])
	}
	return len(l.root.due) > 0
}

func (l *Line) ripen(m *node) {
	if !m.at.Before(m.until) {
		m.after = time.Time{}
	}
	l.plan(m, time.Time{})
	m.ripe()
}

// Next is when something becomes due; zero if that is not known.
func (l *Line) Next() time.Time {
	if len(l.later) == 0 {
		return time.Time{}
	}
	return l.later[0].at
}

// Skip says who may not take a turn now: a client, asked with no member, or one member.
type Skip func(client, member string) bool

// Others reports whether mail is due of anybody else who may take a turn: of another
// client, or else of another member of the same one.
func (l *Line) Others(t spool.Turn, skip Skip) (client, member bool) {
	for _, c := range l.root.due {
		switch {
		case skip(c.name, ""):
		case c.name != t.Client:
			return true, false
		default:
			member = slices.ContainsFunc(c.due, func(m *node) bool { return m.name != t.Member })
		}
	}
	return false, member
}
