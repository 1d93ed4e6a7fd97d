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
		if reply := &s.Seen[node.Job.Of].Client; node.Job.Kind == Accept && tx.Wiped {
			*reply = Refused
		} else if node.Job.Kind == Accept && m.Fault != DoubtUncounted {
			*reply = Counted
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
	node.View, node.Job = Idle, Tx{}
	switch job.Kind {
	case Join:
		node.ID = job.ID
	case Accept, Claim:
		if job.Kind == Accept {
			s.Seen[job.Of].Client = Accepted
		}
		if job.Attempt > 0 && m.Fault != EarlyRequest {
			node.Hands[job.Of] = Hand{Step: Claimed, Attempt: job.Attempt}
		}
	case Settle, Late:
		node.Hands[job.Of] = Hand{}
	case Take:
		node.Mine = node.Mine.with(int(job.Of))
	case TakeOver:
		if m.Fault == LanesLater {
			node.View, node.Job = Reading, job
			return
		}
		m.tookOver(s, n, &job)
	case BringBack:
		node.Elsewhere[job.Of] = Away{}
	}
}

// fail does what follows a transaction that is certainly not committed. Its number is
// not in the row, so that the next one may have it.
func (s *State) fail(n int) {
	node := &s.Nodes[n]
	node.Batch ^= 1
	switch node.Job.Kind {
	case Accept:
		s.Seen[node.Job.Of].Client = Refused
	case GiveBack:
		node.Mine = node.Mine.with(int(node.Job.Of))
	}
	node.View, node.Job = Idle, Tx{}
}

// doubtSteps are those of a node that does not know whether its transaction is committed.
func (m *Model) doubtSteps(s *State, n int, emit Emit) {
	node := &s.Nodes[n]
	if node.View != Doubt && node.View != Deciding {
		return
	}
	of, row := int(node.Job.Of), int(node.ID-1)
	if kind := node.Job.Kind; !node.Job.Wipe && (kind == Accept || kind == Claim) {
		next := *s
		next.Nodes[n].Job.Wipe = true
		if kind == Accept {
			next.Seen[of].Client = Doubtful
		}
		emit(next, "NODE answers with an error, for the outcome of COMMIT is unknown for too long", n, of)
	}
	if m.Fault == WritesInDoubt && s.held()&nodeLock(row) == 0 && s.Main.Nodes[row].Is {
		next := *s
		next.Main.Nodes[row].Batch = 2 // neither this number nor the one before
		next.Standby = next.Main
		emit(next, "another writer of NODE commits", n, of)
	}
	if node.View != Doubt {
		return
	}
	next := *s
	switch m.Fault {
	case LostMeansCommitted:
		next.succeed(m, n)
		emit(next, "NODE takes the lost COMMIT for a success", n, of)
	case LostMeansFailed:
		next.fail(n)
		emit(next, "NODE takes the lost COMMIT for a failure", n, of)
	default:
		m.decide(*s, n, emit)
	}
}

// decide asks whether the transaction in doubt is committed. It waits for the row of the
// process, which that one wrote, writes it itself, and counts only when its own COMMIT is
// confirmed. A message that its client was refused goes, unless somebody has tried it: the node
// that has the lane may have, while this one was away.
func (m *Model) decide(s State, n int, emit Emit) {
	job := s.Nodes[n].Job
	tx := Tx{Kind: Decide, Of: job.Of, Attempt: job.Attempt, Claims: job.Kind == Claim, Wipe: job.Wipe}
	tx.Found = s.Main.Nodes[s.Nodes[n].ID-1] == NodeRow{Is: true, Batch: job.Batch}
	if tx.Found && tx.Wipe {
		row, untried, own := s.Main.Rows[job.Of], Row{Is: Queued}, Row{Is: Sending, Attempts: job.Attempt}
		switch {
		case job.Kind == Accept:
			tx.Wiped = row == untried || job.Attempt > 0 && row == own || m.Fault == WipeTried
		case job.Kind == Claim:
			tx.Wiped = row == own && m.Fault != DoubtForgotten
		}
	}
	m.send(s, n, tx, "NODE asks whether COMMIT took effect", emit)
}
