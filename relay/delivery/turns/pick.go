package turns

import (
	"slices"
	"time"

	"graphrelay/relay/pacing"
	"graphrelay/relay/spool"
)

// Picked is whose messages to claim.
type Picked struct {
	Turns []spool.Quota
	Now   time.Time // as of which mail is due

	order []spool.Turn // message by message
}

// Pick chooses whose the next n messages are, and charges each one attempt. It skips
// clients, asked with no member, and members that may not take a turn now. Took must
// follow.
func (l *Line) Pick(n int, now time.Time, skip Skip) Picked {
	l.reweigh()
	p := Picked{Now: now}
	var last *node
	for range n {
		m := l.lowest(skip)
		if m == nil {
			break
		}
		l.serve(m)
		last = m
		p.order = append(p.order, m.turn())
		p.quota(m).Limit++
		p.Now = pacing.Later(p.Now, m.asOf)
		m.came = false
		if m.messages = max(m.messages-1, 0); m.messages == 0 {
			m.done() // it gets no more of this pick
		}
	}
	if last != nil && len(p.order) < n { // alone: ask for all that there may be, to know whether it is all
		p.quota(last).Limit += n - len(p.order)
	}
	return p
}

func (p *Picked) quota(m *node) *spool.Quota {
	t := m.turn()
	i := slices.IndexFunc(p.Turns, func(q spool.Quota) bool { return q.Turn == t })
	if i < 0 {
		i = len(p.Turns)
		p.Turns = append(p.Turns, spool.Quota{Turn: t, After: m.after})
	}
	return &p.Turns[i]
}

// reweigh asks for the weights, and makes what a client paid with an old one count
// as if it had been the new one.
func (l *Line) reweigh() {
	for _, c := range l.root.children {
		w := float64(max(l.weigh(c.name), 1))
		if ahead := c.pass - l.root.present; ahead > 0 && w != c.weight {
			c.pass = l.root.present + ahead*c.weight/w
		}
		c.weight = w
	}
	slices.SortFunc(l.root.due, byPass)
}

// lowest finds the member whose turn it is. Those before it that may not take theirs
// do not earn credit by that.
func (l *Line) lowest(skip Skip) *node {
	for i, c := range l.root.due {
		if skip(c.name, "") {
			continue
		}
		for j, m := range c.due {
			if !skip(c.name, m.name) {
				level(c.due[:j+1])
				level(l.root.due[:i+1])
				return m
			}
		}
	}
	return nil
}

// level gives all the pass of the last.
func level(list []*node) {
	for _, n := range list {
		n.pass = list[len(list)-1].pass
	}
	slices.SortFunc(list, byPass)
}

func (l *Line) serve(m *node) {
	for n := m; n.parent != nil; n = n.parent {
		n.parent.present = max(n.parent.present, n.pass)
	}
	l.served++
	m.pay(1, l.served)
}

// Serve charges the turn of a message that is taken while nothing is due.
func (l *Line) Serve(r spool.Record) {
	l.reweigh()
	m := l.member(r.Turn())
	m.ripe()
	l.serve(m)
	m.pay(Cost(r.Size)-1, 0)
	m.done()
}

// Took says what a claim found, and when the rest is due (Next of p.Turns): it pays for
// large messages, and has back what was paid for those that were not there. It returns
// the messages in the order of the turns, and lost where only the store knows whether
// there is a rest, and whose. until, if it is not zero, says that a hold may stop what
// was not found, and not to look before.
func (l *Line) Took(p Picked, found []spool.Record, until time.Time) (ordered []spool.Record, lost bool) {
	by := map[spool.Turn][]spool.Record{}
	for _, r := range found {
		by[r.Turn()] = append(by[r.Turn()], r)
	}
	for _, q := range p.Turns {
		l.took(q, by[q.Turn], p.count(q.Turn), p.Now, until)
		m := l.member(q.Turn)
		lost = lost || m.messages > 0 && !m.ready && m.at.IsZero()
	}
	for _, t := range p.order {
		if of := by[t]; len(of) > 0 {
			ordered, by[t] = append(ordered, of[0]), of[1:]
		}
	}
	for _, q := range p.Turns {
		ordered = append(ordered, by[q.Turn]...)
	}
	return ordered, lost || l.more && len(l.root.due) == 0
}

func (p *Picked) count(t spool.Turn) (n int) {
	for _, o := range p.order {
		if o == t {
			n++
		}
	}
	return n
}

func (l *Line) took(q spool.Quota, found []spool.Record, paid int, now, until time.Time) {
	m := l.member(q.Turn)
	cost := -float64(paid)
	for _, r := range found {
		cost += Cost(r.Size)
	}
	m.pay(cost, 0)
	full := len(found) >= q.Limit
	m.messages, m.asOf = max(m.messages+paid-len(found), 0), time.Time{}
	if !q.Next.IsZero() {
		m.messages = max(m.messages, 1) // more than were known of: nobody knows how many are left
	}
	left := !q.Next.IsZero() && !q.Next.After(now)
	if !left && !q.Next.IsZero() {
		l.plan(m, pacing.Earlier(m.at, q.Next))
	}
	switch {
	case m.came || left || full && m.messages > 0:
		m.ripe()
	default:
		m.done()
	}
	switch {
	case until.IsZero():
	case full:
		if last := found[len(found)-1]; last.Attempts == 1 { // it was due when it was accepted
			m.after = pacing.Later(m.after, last.Accepted)
		}
	case m.messages > 0 && !m.ready:
		if m.after = now; !m.until.After(now) {
			m.until = until
		}
		l.plan(m, pacing.Earlier(m.at, m.until))
	}
}

// Failed says that the store did not answer.
func (l *Line) Failed(p Picked) {
	for _, q := range p.Turns {
		m := l.member(q.Turn)
		paid := p.count(q.Turn)
		m.pay(-float64(paid), 0)
		m.messages += paid
		m.ripe()
	}
}

// Refund gives back what an attempt cost that was not made, or ended for a reason
// that is not the message's.
func (l *Line) Refund(r spool.Record) {
	if m := l.known(r.Turn()); m != nil {
		m.pay(-Cost(r.Size), 0)
	}
}

// Ended says that an attempt ended for the message's own reason. One that was deferred
// or held costs nothing, but only one for each that is sent: else a client whose
// mail is always deferred would never let others pass.
func (l *Line) Ended(r spool.Record, waits bool) {
	c := l.root.children[r.Turn().Client]
	if c == nil {
		return
	}
	if waits && !c.excused {
		l.Refund(r)
	}
	c.excused = waits
}

// Probed says that a message was taken for a probe, which costs nothing.
func (l *Line) Probed(r spool.Record) {
	l.probed = r.Turn()
	if m := l.known(l.probed); m != nil {
		m.messages = max(m.messages-1, 0)
	}
}

// Ring lists the turns in which mail waits, from the one behind that of the last probe
// on: of one client, or with none of all.
func (l *Line) Ring(client string) (ring []spool.Quota) {
	l.each(func(m *node) {
		if t := m.turn(); m.messages > 0 && (client == "" || t.Client == client) {
			ring = append(ring, spool.Quota{Turn: t, Limit: 1})
		}
	})
	slices.SortFunc(ring, func(a, b spool.Quota) int { return a.Compare(b.Turn) })
	i, found := slices.BinarySearchFunc(ring, l.probed, func(q spool.Quota, t spool.Turn) int { return q.Compare(t) })
	if found {
		i++
	}
	return slices.Concat(ring[i:], ring[:i])
}
