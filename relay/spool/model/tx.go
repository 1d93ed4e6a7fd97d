package model

// locks are the rows that a transaction holds, a bit for each.
type locks uint16

func nodeLock(row int) locks  { return 1 << row }
func laneLock(l int) locks    { return 1 << (maxRows + l) }
func messageLock(i int) locks { return 1 << (maxRows + maxLanes + i) }

// held are the locks of all transactions at the server.
func (s *State) held() (all locks) {
	for n := range s.Txs {
		all |= s.Txs[n][0].Locks | s.Txs[n][1].Locks
	}
	return all
}

// locksOf are the rows that the statements of a transaction write.
func (m *Model) locksOf(tx *Tx) locks {
	all := nodeLock(int(tx.ID - 1))
	switch {
	case tx.Kind == Join:
		return all
	case tx.Kind == Decide && m.Fault == DecisionReads:
		return 0
	case tx.Kind == Decide && !tx.Wipe:
		return all
	case m.Fault == FenceReads || !m.fenced(tx):
		all = 0
	}
	switch tx.Kind {
	case Take, GiveBack:
		return all | laneLock(int(tx.Of))
	case TakeOver:
		all |= nodeLock(int(tx.Of))
		for l := range m.lanes() {
			if tx.Lanes.has(l) {
				all |= laneLock(l)
			}
		}
		return all
	}
	return all | messageLock(int(tx.Of))
}

// fenced reports whether a transaction first changes the row of its process.
func (m *Model) fenced(tx *Tx) bool {
	switch tx.Kind {
	case Join, Late:
		return false
	case TakeOver:
		return m.Fault != NoFence && m.Fault != UnfencedTakeover
	}
	return m.Fault != NoFence
}

// send runs the statements of a transaction at the server. It does nothing while another one
// holds a row that it writes: PostgreSQL waits then. If the other one commits, this one fails
// for its snapshot is older, and runs again: so it is as if it had not begun before.
func (m *Model) send(s State, n int, tx Tx, text string, emit Emit) {
	node := &s.Nodes[n]
	if tx.Kind != Join {
		tx.ID = node.ID
	}
	tx.Locks, tx.Phase = m.locksOf(&tx), Open
	if s.Txs[n][0].Kind != NoTx || tx.Locks&s.held() != 0 {
		return
	}
	if m.fenced(&tx) && !s.Main.Nodes[tx.ID-1].Is {
		m.displaced(&s, n, &tx)
		emit(s, "NODE finds its row gone, and ends ("+text+")", n, int(tx.Of))
		return
	}
	if tx.Kind == Decide {
		node.View = Deciding
	} else {
		if tx.Kind != Join && tx.Kind != Late {
			node.Batch ^= 1
		}
		tx.Batch = node.Batch
		node.Job, node.View = tx, Waiting
		node.Job.Locks, node.Job.Phase = 0, NoPhase
	}
	s.Txs[n][0] = tx
	emit(s, text, n, int(tx.Of))
}

// displaced ends a process whose row is gone. What it was about to write is not stored.
func (m *Model) displaced(s *State, n int, tx *Tx) {
	switch {
	case tx.Kind == Accept:
		s.Seen[tx.Of].Client = Refused
	case tx.Kind == Decide && m.Fault == GoneMeansFailed && s.Nodes[n].Job.Kind == Accept:
		s.Seen[tx.Of].Client = Refused
	}
	m.forget(s, n)
}

// forget ends a node's process: its memory is gone, its requests may still arrive.
func (m *Model) forget(s *State, n int) {
	node := &s.Nodes[n]
	if node.View != Idle && node.Job.Kind == Accept {
		if reply := &s.Seen[node.Job.Of].Client; *reply == NoReply || *reply == Doubtful {
			*reply = DoubtLeft
		}
	}
	*node = Node{}
}

// waits reports whether COMMIT of a transaction returns only when the standby has it.
func (m *Model) waits(tx *Tx) bool {
	switch tx.Kind {
	case TakeOver:
		return m.Fault != AsyncTakeover
	case Decide:
		return m.Fault != AsyncDecision
	}
	return m.Fault != AsyncCommit
}

// txSteps are those of a node's transactions at the server.
func (m *Model) txSteps(s *State, n int, emit Emit) {
	for i := range s.Txs[n] {
		tx := s.Txs[n][i]
		switch {
		case i == 1 && m.Fault == LocksRemain:
		case tx.Phase == Open && s.Left.Restarts+s.Left.Cancels+s.Left.Failovers == 0:
			next := *s
			next.finish(m, n, i)
			emit(next, "the database commits for NODE", n, 0)
		case tx.Phase == Open && m.waits(&tx):
			next := *s
			next.Txs[n][i].Phase = Local
			emit(next, "the database flushes COMMIT of NODE and waits for the standby", n, 0)
		case tx.Phase == Open:
			next := *s
			next.finish(m, n, i)
			emit(next, "the database commits for NODE without the standby", n, 0)
		case tx.Phase == Local && m.May.Cancels > 0:
			m.cancel(*s, n, i, emit)
		}
	}
	if s.Txs[n][1].Phase == Open && m.Fault != LocksRemain {
		next := *s
		next.Txs[n][1] = Tx{}
		emit(next, "the database rolls back the transaction whose connection NODE lost", n, 0)
	}
}

// cancel is an administrator's cancellation of the wait for the standby: the commit is
// visible, and the node gets a notice.
func (m *Model) cancel(s State, n, i int, emit Emit) {
	if !spend(&s.Left.Cancels) {
		return
	}
	s.finish(m, n, i)
	if i == 0 && m.Fault != IgnoredNotice {
		m.lost(&s, n)
		s.Txs[n][0] = Tx{}
	}
	emit(s, "an administrator cancels the wait for the standby of COMMIT of NODE", n, 0)
}

// finish makes a commit visible and releases its locks.
func (s *State) finish(m *Model, n, i int) {
	tx := &s.Txs[n][i]
	m.apply(s, tx)
	if i == 1 {
		*tx = Tx{} // nobody waits for its answer
		return
	}
	tx.Phase, tx.Locks = Done, 0
}

// caughtUp lets the standby catch up: commits that waited for it become visible.
func (s *State) caughtUp(m *Model) {
	for n := range s.Txs {
		for i := range s.Txs[n] {
			if s.Txs[n][i].Phase == Local {
				s.finish(m, n, i)
			}
		}
	}
	s.Standby = s.Main
}
