package model

// apply writes what a transaction changes.
func (m *Model) apply(s *State, tx *Tx) {
	db := &s.Main
	own := &db.Nodes[tx.ID-1]
	needsRow := tx.Kind != Join && tx.Kind != Late && m.Fault != DecisionReads
	s.violate(DeadNodeWritesNothing, needsRow && !own.Is)
	switch tx.Kind {
	case Join:
		own.Is = true
	case Take:
		db.Lanes[tx.Of] = tx.ID
	case GiveBack:
		db.Lanes[tx.Of] = 0
	case TakeOver:
		m.applyTakeOver(s, tx)
	case Decide:
		if tx.Wiped {
			undo(&db.Rows[tx.Of], tx)
		}
	default:
		row := &db.Rows[tx.Of]
		before := *row
		m.applyMessage(s, row, tx)
		s.violate(DeletedStaysAway, before.Is == Deleted && row.Is != Deleted)
	}
	if tx.Kind != Decide && tx.Kind != Join && tx.Kind != Late {
		own.Batch = tx.Batch
	}
}

func (m *Model) applyMessage(s *State, row *Row, tx *Tx) {
	switch tx.Kind {
	case Accept, Claim:
		row.Is, row.Attempts = Queued, tx.Attempt
		if tx.Attempt > 0 {
			row.Is = Sending
		}
	case Settle:
		m.settleRow(s, row, tx)
	case Late:
		row.Is = Sent
	case Delete:
		row.Is = Deleted
	case BringBack:
		if row.Is == Sending && row.Attempts == tx.Attempt {
			m.unknown(s, int(tx.Of))
		}
	}
}

func (m *Model) settleRow(s *State, row *Row, tx *Tx) {
	switch tx.Result {
	case Taken:
		row.Is = Sent
	case NotMade:
		row.Is = Queued
		row.Attempts--
	case NotSent:
		row.Is = Queued
	case Unclear:
		m.unknown(s, int(tx.Of))
		if m.Fault == NumberTakenBack {
			row.Attempts--
		}
	}
}

// unknown makes a message wait whose last attempt may have succeeded.
func (m *Model) unknown(s *State, msg int) {
	row := &s.Main.Rows[msg]
	row.Is = Queued
	if m.Hold && m.Fault != HoldIgnored {
		row.Is = Held
	}
	if m.Fault != NotUnknown {
		s.Seen[msg].Unknown = true
	}
}

// undo removes what a transaction left whose caller got an error.
func undo(row *Row, decision *Tx) {
	if decision.Claims {
		row.Is = Queued
		row.Attempts--
		return
	}
	row.Is = Wiped
}

// applyTakeOver deletes the row of a process that is gone and takes its lanes. The messages
// that it was sending stay Sending.
func (m *Model) applyTakeOver(s *State, tx *Tx) {
	if m.Fault != RowStays {
		s.Main.Nodes[tx.Of] = NodeRow{}
	}
	if m.Fault == LanesLater {
		return
	}
	s.Main.moveLanes(tx)
	for msg := range m.Messages {
		if m.Fault == NoElsewhere && tx.Lanes.has(m.lane(msg)) && s.Main.Rows[msg].Is == Sending {
			m.unknown(s, msg)
		}
	}
}

func (db *Database) moveLanes(tx *Tx) {
	for l := range db.Lanes {
		if tx.Lanes.has(l) {
			db.Lanes[l] = tx.ID
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
	case node.View == Reading || node.Job.Kind == Join || node.Job.Kind == Late: // begun again from the beginning
		node.View, node.Job = Idle, Tx{}
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

// operatorSteps are what an operator does with a message, at any node, in one statement.
func (m *Model) operatorSteps(s *State, msg int, emit Emit) {
	row, next := s.Main.Rows[msg], *s
	if s.held()&messageLock(msg) != 0 {
		return
	}
	queue := func() {
		next.caughtUp(m)
		next.Main.Rows[msg].Is, next.Standby.Rows[msg].Is = Queued, Queued
	}
	if row.Is == Held && spend(&next.Left.Releases) {
		next.Seen[msg].Released = true
		queue()
		emit(next, "an operator releases MSG", 0, msg)
	}
	if m.Fault == RetryWhileSending && row.Is == Sending {
		queue()
		emit(next, "an operator retries MSG, which is being sent", 0, msg)
	}
}
