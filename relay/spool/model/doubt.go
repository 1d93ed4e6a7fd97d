package model

// confirm reads the answer to COMMIT.
func (m *Model) confirm(s State, n int, emit Emit) {
	node, tx := &s.Nodes[n], s.Txs[n][0]
	if tx.Phase != Done {
		return
	}
	s.Txs[n][0] = Tx{}
	if tx.Kind != Decide {
		s.succeed(m, n)
		emit(s, "NODE reads that COMMIT succeeded", n, 0)
		return
	}
	switch {
	case !tx.Found:
		s.fail(n)
	case node.Job.Wipe && !tx.Wipe:
		node.View = Doubt // its caller was answered meanwhile
	case node.Job.Wipe:
		if tx.Wiped && node.Job.Kind == Accept {
			s.Seen[node.Job.Msg].Client = Refused
		}
		node.View, node.Job = Idle, Tx{}
	default:
		s.succeed(m, n)
	}
	emit(s, "NODE reads the decision", n, 0)
}

// succeed does what waited for a commit.
func (s *State) succeed(m *Model, n int) {
	node := &s.Nodes[n]
	job := node.Job
	switch job.Kind {
	case Accept:
		s.Seen[job.Msg].Client = Accepted
	case Claim:
		if m.Fault != EarlyRequest {
			node.Hands[job.Msg] = handOf(&job)
		}
	case Settle, Late:
		node.Hands[job.Msg] = Hand{}
	case Acquire:
		node.Token[job.Msg] = job.Token
		if !m.Lanes {
			node.Batch = 0
		}
	}
	node.View, node.Job = Idle, Tx{}
}

// fail does what follows a transaction that is certainly not committed. Its number is
// not in the row, so that the next one may have it.
func (s *State) fail(n int) {
	node := &s.Nodes[n]
	node.Batch ^= 1
	if node.Job.Kind == Accept {
		s.Seen[node.Job.Msg].Client = Refused
	}
	node.View, node.Job = Idle, Tx{}
}

// doubtSteps are those of a node that does not know whether its transaction is committed.
func (m *Model) doubtSteps(s *State, n int, emit Emit) {
	node := &s.Nodes[n]
	if node.View != Doubt && node.View != Deciding {
		return
	}
	msg := int(node.Job.Msg)
	if kind := node.Job.Kind; !node.Job.Wipe && (kind == Accept || kind == Claim) {
		next := *s
		next.Nodes[n].Job.Wipe = true
		if kind == Accept {
			next.Seen[msg].Client = Doubtful
		}
		emit(next, "NODE answers with an error, for the outcome of COMMIT is unknown for too long", n, msg)
	}
	if m.Fault == ClaimsInDoubt {
		m.claimBeside(*s, n, msg, emit)
	}
	if row := s.Main.Leases[0]; m.Fault == WritesInDoubt && s.held()&leaseLock(0) == 0 && row.Token == node.Token[0] {
		next := *s
		next.Main.Leases[0].Batch = 2 // neither this number nor the one before
		next.Standby = next.Main
		emit(next, "another writer of NODE commits", n, msg)
	}
	if node.View != Doubt {
		return
	}
	next := *s
	switch m.Fault {
	case LostMeansCommitted:
		next.succeed(m, n)
		emit(next, "NODE takes the lost COMMIT for a success", n, msg)
	case LostMeansFailed:
		next.fail(n)
		emit(next, "NODE takes the lost COMMIT for a failure", n, msg)
	default:
		m.decide(*s, n, emit)
	}
}

// decide asks whether the transaction in doubt is committed. It waits for the rows that
// this one wrote, writes them itself, and counts only when its own COMMIT is confirmed.
func (m *Model) decide(s State, n int, emit Emit) {
	job := s.Nodes[n].Job
	row := &s.Main.Rows[job.Msg]
	tx := Tx{Kind: Decide, Msg: job.Msg, Token: job.Token, Attempt: job.Attempt, Wipe: job.Wipe}
	tx.Found = *m.batch(&s.Main, n) == job.Batch
	untried := row.Is == Queued && row.Attempts == 0
	attempted := row.Is == Sending && row.Attempts == job.Attempt && row.Token == job.Token
	switch {
	case !tx.Found || !tx.Wipe:
	case job.Kind == Accept:
		tx.Wiped = untried || m.Fault == WipeTried
	case job.Kind == Claim:
		tx.Wiped = attempted && m.Fault != DoubtForgotten
	}
	m.send(s, n, tx, "NODE asks whether COMMIT took effect", emit)
}

// lose breaks a connection, or ends a process.
func (m *Model) lose(s State, n int, emit Emit) {
	if s.Txs[n][1].Kind != NoTx {
		return // of which there is one already: bound
	}
	node, next := &s.Nodes[n], s
	if (node.View == Waiting || node.View == Deciding) && spend(&next.Left.Losses) {
		next.orphan(n)
		m.lost(&next, n)
		emit(next, "NODE loses its connection to the database", n, 0)
	}
	next = s
	if *node != (Node{}) && spend(&next.Left.Crashes) {
		next.orphan(n)
		m.forget(&next, n)
		emit(next, "NODE crashes", n, 0)
	}
}

// orphan leaves a transaction at the server without a connection.
func (s *State) orphan(n int) {
	if tx := s.Txs[n][0]; tx.Phase != Done {
		s.Txs[n][1] = tx
	}
	s.Txs[n][0] = Tx{}
}
