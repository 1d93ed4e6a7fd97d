package model

// apply writes what a transaction changes.
func (m *Model) apply(s *State, n int, tx *Tx) {
	db := &s.Main
	s.violate(DeadTokenWritesNothing, m.fenced(tx) && tx.Token != db.Leases[m.leaseOf(tx)].Token)
	if tx.Kind == Acquire {
		m.applyAcquire(s, tx)
		return
	}
	row := &db.Rows[tx.Msg]
	switch tx.Kind {
	case Accept:
		row.Is = Queued
	case Claim:
		row.Is, row.Attempts, row.Token = Sending, tx.Attempt, tx.Token
		if m.Lanes || m.Fault == DeadlineFromClaim {
			row.Deadline = tx.Left
		}
	case Settle:
		m.settleRow(s, row, tx)
	case Late:
		row.Is, row.Deadline = Sent, 0
	case Decide:
		if tx.Wiped {
			undo(row, tx)
		}
		return
	}
	if !tx.Dead || !m.Lanes {
		*m.batch(db, n) = tx.Batch
	}
}

func (m *Model) settleRow(s *State, row *Row, tx *Tx) {
	row.Deadline = 0
	switch tx.Result {
	case Taken:
		row.Is = Sent
	case NotMade:
		row.Is = Queued
		row.Attempts--
	case NotSent:
		row.Is = Queued
	case Unclear:
		m.unknown(s, int(tx.Msg))
		if m.Fault == NumberTakenBack {
			row.Attempts--
		}
	}
}

// unknown makes a message wait whose last attempt may have succeeded.
func (m *Model) unknown(s *State, msg int) {
	s.Main.Rows[msg].Is = Queued
	if m.Hold {
		s.Main.Rows[msg].Is = Held
	}
	s.Seen[msg].Unknown = true
}

// undo removes what a transaction left whose caller got an error.
func undo(row *Row, decision *Tx) {
	if decision.Attempt > 0 { // it was a claim
		row.Is, row.Deadline = Queued, 0
		row.Attempts--
		return
	}
	row.Is = Deleted
}

// applyAcquire gives the lease to the next holder and brings the attempts back that
// the former one left open.
func (m *Model) applyAcquire(s *State, tx *Tx) {
	l := &s.Main.Leases[tx.Msg]
	l.Token = tx.Token
	if m.Fault != BatchGoesOn {
		l.Batch = 0
	}
	for msg := range m.Messages {
		row := &s.Main.Rows[msg]
		if m.lease(msg) != int(tx.Msg) || row.Is != Sending {
			continue
		}
		known := s.Seen[msg].Unknown
		m.unknown(s, msg)
		switch {
		case m.Fault == NoDeadline:
			row.Deadline = 0
		case !m.Lanes && m.Fault != DeadlineFromClaim:
			row.Deadline = tx.Left
		}
		switch m.Fault {
		case HoldIgnored:
			row.Is = Queued
		case NotUnknown:
			row.Is, s.Seen[msg].Unknown = Queued, known
		}
	}
}

// databaseSteps are those of the database as a whole.
func (m *Model) databaseSteps(s *State, emit Emit) {
	next := *s
	next.caughtUp(m)
	if next != *s {
		emit(next, "the standby catches up", 0, 0)
	}
	next = *s
	if spend(&next.Left.Restarts) {
		next.cut(m, true)
		emit(next, "the database crashes and starts again", 0, 0)
	}
	next = *s
	if spend(&next.Left.Failovers) {
		next.cut(m, false)
		next.Main, next.OldPrimary = next.Standby, m.Fault == AsyncRenewal
		emit(next, "the standby is promoted", 0, 0)
	}
}

// cut breaks every connection. What was flushed remains if the same server returns.
func (s *State) cut(m *Model, flushed bool) {
	for n := range m.Nodes {
		for i := range s.Txs[n] {
			if flushed && s.Txs[n][i].Phase == Local {
				s.finish(m, n, i)
			}
			s.Txs[n][i] = Tx{}
		}
		m.lost(s, n)
	}
}

// lost notes that the answer to a node's transaction does not arrive.
func (m *Model) lost(s *State, n int) {
	node := &s.Nodes[n]
	node.Asked = 0
	switch {
	case node.View == Idle:
	case node.Job.Kind == Acquire || node.Job.Kind == Late:
		node.View, node.Job = Idle, Tx{} // asked again from the beginning
	default:
		node.View = Doubt
	}
}

// graphSteps are what becomes of the requests of a message.
func (m *Model) graphSteps(s *State, msg int, emit Emit) {
	for k := range s.Graph[msg] {
		r := s.Graph[msg][k]
		if r.Left == 0 {
			continue
		}
		next := *s
		next.Graph[msg][k] = Request{}
		n := int(r.Node)
		hand := &next.Nodes[n].Hands[msg]
		listens := hand.Step == Requested && int(hand.Attempt) == k
		if listens {
			hand.Step, hand.Result = Answered, NotSent
			emit(next, "Graph refuses MSG of NODE for now", n, msg)
		}
		next.taken(m, msg)
		if listens {
			hand.Result = Taken
			emit(next, "Graph accepts MSG of NODE", n, msg)
			hand.Result = Unclear
		}
		emit(next, "Graph accepts MSG of NODE, and its answer is lost", n, msg)
	}
}

// taken notes that Graph accepts a message, maybe not for the first time.
func (s *State) taken(m *Model, msg int) {
	seen := &s.Seen[msg]
	allowed := seen.Unknown && (!m.Hold || seen.Released)
	s.violate(TwiceOnlyIfUnknown, seen.Taken > 0 && !allowed)
	seen.Taken = min(seen.Taken+1, 2)
}

// operatorSteps are what an operator does with a message.
func (m *Model) operatorSteps(s *State, msg int, emit Emit) {
	row := s.Main.Rows[msg]
	next := *s
	change := func(text string, do func(*Row)) {
		if s.held()&(messageLock(msg)|leaseLock(m.lease(msg))) != 0 {
			return
		}
		next.caughtUp(m)
		do(&next.Main.Rows[msg])
		do(&next.Standby.Rows[msg])
		emit(next, text, 0, msg)
	}
	if row.Is == Held && spend(&next.Left.Releases) {
		next.Seen[msg].Released = true
		change("an operator releases MSG", func(r *Row) { r.Is = Queued })
	}
	if m.Fault == RetryIgnoresDeadline && row.Is == Queued && row.Deadline > 0 {
		change("an operator retries MSG, which is due at once", func(r *Row) { r.Deadline = 0 })
	}
}
