package model

// join starts a process at a node: with a row that nobody had before.
func (m *Model) join(s State, n int, emit Emit) {
	node := &s.Nodes[n]
	if node.View != Idle || s.Txs[n][0].Kind != NoTx || !spend(&s.Left.Joins) {
		return
	}
	if row := s.Main.Nodes[n]; m.Fault == SameRow && row.Is && s.held()&nodeLock(n) == 0 {
		node.ID, node.Batch = uint8(n+1), row.Batch
		for l := range m.lanes() {
			if s.Main.Lanes[l] == node.ID {
				node.Mine = node.Mine.with(l)
			}
		}
		emit(s, "NODE starts again, with the row that it had", n, 0)
		return
	}
	id := uint8(m.Nodes) + m.May.Joins - s.Left.Joins
	m.send(s, n, Tx{Kind: Join, ID: id}, "NODE starts, and sends COMMIT of its row", emit)
}

// laneSteps are how lanes change hands.
func (m *Model) laneSteps(s *State, n int, emit Emit) {
	node := &s.Nodes[n]
	for l := range m.lanes() {
		m.take(*s, n, l, emit)
		m.giveBack(*s, n, l, emit)
	}
	for row := range s.Main.Nodes {
		if uint8(row+1) != node.ID {
			m.takeOver(*s, n, row, emit)
		}
	}
}

// take takes a lane that no node has.
func (m *Model) take(s State, n, l int, emit Emit) {
	node, free := &s.Nodes[n], s.Main.Lanes[l] == 0
	if node.View == Idle && free {
		node.View, node.Job = Reading, Tx{Kind: Take, Of: int8(l)}
		emit(s, "NODE reads that no node has the lane", n, l)
	}
	if job := node.Job; node.View == Reading && job.Kind == Take && int(job.Of) == l {
		m.write(s, n, free, "NODE sends COMMIT of taking the lane", emit)
	}
}

// giveBack gives a lane to whichever node wants it, if none of its messages is being sent:
// neither by this node nor by a process that is gone.
func (m *Model) giveBack(s State, n, l int, emit Emit) {
	node := &s.Nodes[n]
	if !node.Mine.has(l) || node.View != Idle || !spend(&s.Left.Handovers) {
		return
	}
	for msg := range m.Messages {
		if m.lane(msg) != l || s.Main.Rows[msg].Is != Sending {
			continue
		}
		if node.Elsewhere[msg].Attempt > 0 && m.Fault != ElsewhereGivenBack {
			return
		}
		if node.Elsewhere[msg].Attempt == 0 && m.Fault != OpenGivenBack {
			return
		}
	}
	if m.Fault != KeepsClaiming {
		node.Mine = node.Mine.without(l)
	}
	m.send(s, n, Tx{Kind: GiveBack, Of: int8(l)}, "NODE gives the lane back, and sends COMMIT of that", emit)
}

// takeOver deletes the row of another process, which may be alive, and takes its lanes. It may
// do so at any time here, whether the lease has run out or not: no promise rests on how long
// leases last.
func (m *Model) takeOver(s State, n, row int, emit Emit) {
	node := &s.Nodes[n]
	if m.Fault == LanesLater {
		m.takeLater(s, n, row, emit)
	}
	if !s.Main.Nodes[row].Is || node.View != Idle || !spend(&s.Left.Takeovers) {
		return
	}
	tx := Tx{Kind: TakeOver, Of: int8(row), Left: m.Trust + limit}
	if m.Fault == ElsewhereWithoutTrust {
		tx.Left = limit
	}
	for l := range m.lanes() {
		if s.Main.Lanes[l] == uint8(row+1) {
			tx.Lanes = tx.Lanes.with(l)
		}
	}
	m.findOpen(&s, &tx)
	m.send(s, n, tx, "NODE sends COMMIT of the takeover from node "+string(rune('1'+row)), emit)
}

// takeLater takes the lanes of a process in a transaction that follows the one which deleted
// its row (fault LanesLater).
func (m *Model) takeLater(s State, n, row int, emit Emit) {
	node := &s.Nodes[n]
	if node.View != Reading || node.Job.Kind != TakeOver || int(node.Job.Of) != row {
		return
	}
	tx := node.Job
	node.View, node.Job = Idle, Tx{}
	s.caughtUp(m)
	s.Main.moveLanes(&tx)
	s.Standby.moveLanes(&tx)
	m.tookOver(&s, n, &tx)
	emit(s, "NODE takes the lanes of the process whose row it has deleted", n, row)
}

// findOpen reads which messages of its lanes a process was sending.
func (m *Model) findOpen(s *State, tx *Tx) {
	for msg := range m.Messages {
		tx.Sending[msg] = 0
		if row := s.Main.Rows[msg]; tx.Lanes.has(m.lane(msg)) && row.Is == Sending {
			tx.Sending[msg] = row.Attempts
		}
	}
}

// tookOver notes the lanes of a process that is gone, and what it may still be sending: as the
// takeover itself has read it. What is read later may not be durable yet.
func (m *Model) tookOver(s *State, n int, tx *Tx) {
	node := &s.Nodes[n]
	node.Mine |= tx.Lanes
	if m.Fault == ReadsAfterwards {
		m.findOpen(s, tx)
	}
	for msg := range m.Messages {
		if attempt := tx.Sending[msg]; attempt > 0 && m.Fault != ElsewhereForgotten && m.Fault != NoElsewhere {
			node.Elsewhere[msg] = Away{Attempt: attempt, Left: tx.Left}
		}
	}
}

// bringBack ends an attempt of a process that is gone, when no request of it can run: if it is
// still open.
func (m *Model) bringBack(s State, n, msg int, emit Emit) {
	node := &s.Nodes[n]
	away := node.Elsewhere[msg]
	due := away.Left == 0 || m.Fault == NodeClock && away.Left <= skew
	if away.Attempt == 0 || !due || node.View != Idle {
		return
	}
	tx := Tx{Kind: BringBack, Of: int8(msg), Attempt: away.Attempt}
	m.send(s, n, tx, "NODE sends COMMIT of the unknown outcome of MSG", emit)
}

// renew confirms the node's lease on a connection of its own. One that comes before the attempt
// whose request it allows is no better than one that follows it, so only those are made here.
func (m *Model) renew(s State, n int, emit Emit) {
	node := &s.Nodes[n]
	if node.Asked > 0 {
		next := s
		next.Nodes[n].Fresh, next.Nodes[n].Asked = node.Asked, 0 // asked for before now: so much less
		emit(next, "NODE reads that its lease is renewed", n, 0)
	}
	if s.OldPrimary && node.mayBegin() && node.Asked < m.Trust {
		next := s
		next.Nodes[n].Asked = m.Trust
		emit(next, "NODE renews its lease at the former primary", n, 0)
	}
	row := int(node.ID - 1)
	if s.held()&nodeLock(row) != 0 {
		return
	}
	if !s.Main.Nodes[row].Is {
		if s.Txs[n][1].Kind != NoTx {
			return // as in lose
		}
		s.orphan(n)
		m.forget(&s, n)
		emit(s, "NODE finds that its lease is lost, and ends", n, 0)
		return
	}
	if !node.mayBegin() || node.Asked == m.Trust || node.Fresh == m.Trust {
		return
	}
	node.Asked = m.Trust
	s.caughtUp(m)
	emit(s, "NODE renews its lease", n, 0)
}
