//go:build torture

package torture

// pending counts the acked messages that have not arrived yet.
func (l *ledger) pending() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, m := range l.mail {
		if m.acked > 0 && len(m.arrivals) == 0 {
			n++
		}
	}
	return n
}

// arrivalsOf counts how often a message has arrived.
func (l *ledger) arrivalsOf(id string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.mail[id]; n != nil {
		return len(n.arrivals)
	}
	return 0
}

// add sums up several runs.
func (v *verdict) add(o verdict) {
	v.Acked += o.Acked
	v.InFlight += o.InFlight
	v.Unanswered += o.Unanswered
	v.MostCut = max(v.MostCut, o.MostCut)
	v.Lost = append(v.Lost, o.Lost...)
	v.Truncated = append(v.Truncated, o.Truncated...)
	v.Invented = append(v.Invented, o.Invented...)
	v.Unexplained = append(v.Unexplained, o.Unexplained...)
}
