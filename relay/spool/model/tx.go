package model

// locks are the rows that a transaction holds, a bit for each.
type locks uint8

func leaseLock(l int) locks   { return 1 << l }
func nodeLock(n int) locks    { return 1 << (maxLeases + n) }
func messageLock(i int) locks { return 1 << (maxLeases + maxNodes + i) }

// held are the locks of all transactions at the server.
func (s *State) held() (all locks) {
	for n := range s.Txs {
		all |= s.Txs[n][0].Locks | s.Txs[n][1].Locks
	}
	return all
}

// locksOf are the rows that the statements of a transaction write.
func (m *Model) locksOf(s *State, n int, tx *Tx) (all locks) {
	fence := leaseLock(m.leaseOf(tx))
	if !m.Lanes {
		all = fence
	} else {
		all = nodeLock(n)
	}
	switch tx.Kind {
	case Acquire:
		all |= fence
		for msg := range m.Messages {
			if m.lease(msg) == int(tx.Msg) && s.Main.Rows[msg].Is == Sending {
				all |= messageLock(msg)
			}
		}
		return all
	case Decide:
		if m.Fault == DecisionReads {
			return 0
		}
		if tx.Wipe {
			all |= messageLock(int(tx.Msg))
		}
		return all
	case Claim, Settle:
		all |= fence
	}
	if m.Fault == FenceReads || m.Fault == NoFence {
		all &^= fence
	}
	return all | messageLock(int(tx.Msg))
}

func (m *Model) leaseOf(tx *Tx) int {
	if tx.Kind == Acquire {
		return int(tx.Msg)
	}
	return m.lease(int(tx.Msg))
}

// fenced reports whether a transaction is one that only the holder of the lease may
// commit.
func (m *Model) fenced(tx *Tx) bool {
	switch tx.Kind {
	case Claim, Settle:
		return true
	case Accept:
		return !m.Lanes
	case Decide:
		return !m.Lanes && m.Fault != DecisionIgnoresToken
	}
	return false
}

// batch is where the number of a node's last transaction is stored.
func (m *Model) batch(db *Database, n int) *uint8 {
	if m.Lanes {
		return &db.Batches[n]
	}
	return &db.Leases[0].Batch
}

// send runs the statements of a transaction at the server. It does nothing while
// another one holds a row that it writes: PostgreSQL waits then, and looks at the rows
// as they are afterwards.
func (m *Model) send(s State, n int, tx Tx, text string, emit Emit) {
	tx.Locks, tx.Phase = m.locksOf(&s, n, &tx), Open
	if s.Txs[n][0].Kind != NoTx || tx.Locks&s.held() != 0 {
		return
	}
	if m.fenced(&tx) && m.Fault != NoFence && tx.Token != s.Main.Leases[m.leaseOf(&tx)].Token {
		m.displaced(&s, n, &tx)
		emit(s, "NODE finds that its token is dead ("+text+")", n, int(tx.Msg))
		return
	}
	node := &s.Nodes[n]
	switch tx.Kind {
	case Accept, Claim, Settle, Late:
		node.Batch ^= 1
		tx.Batch = node.Batch
		node.Job, node.View = tx, Waiting
	case Acquire:
		node.Job, node.View = tx, Waiting
	case Decide:
		node.View = Deciding
	}
	s.Txs[n][0] = tx
	emit(s, text, n, int(tx.Msg))
}

// displaced ends a node's work under a dead token. Where one lease covers the store,
// the process ends; a lane is just not its any more.
func (m *Model) displaced(s *State, n int, tx *Tx) {
	if !m.Lanes {
		if tx.Kind == Accept {
			s.Seen[tx.Msg].Client = Refused
		}
		m.forget(s, n)
		return
	}
	s.Nodes[n].Token[m.leaseOf(tx)] = 0
}

// forget ends a node's process: its memory is gone, its requests may still arrive.
func (m *Model) forget(s *State, n int) {
	node := &s.Nodes[n]
	if node.View != Idle && node.Job.Kind == Accept && s.Seen[node.Job.Msg].Client == NoReply {
		s.Seen[node.Job.Msg].Client = Doubtful
	}
	*node = Node{}
	if m.Lanes { // a new process has a row of its own
		s.Main.Batches[n], s.Standby.Batches[n] = 0, 0
		s.Txs[n][1].Locks &^= nodeLock(n)
		s.Txs[n][1].Dead = true
	}
}

// waits reports whether COMMIT of a transaction returns only when the standby has it.
func (m *Model) waits(tx *Tx) bool {
	switch tx.Kind {
	case Acquire:
		return m.Fault != AsyncAcquire
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
	m.apply(s, n, tx)
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
