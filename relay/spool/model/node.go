package model

// nodeSteps are what a node may do next. A node that is paused simply does none of
// them, for as long as it is.
func (m *Model) nodeSteps(s *State, n int, emit Emit) {
	if s.Nodes[n].ID == 0 {
		m.join(*s, n, emit)
		m.confirm(*s, n, emit)
		return
	}
	for msg := range m.Messages {
		m.accept(*s, n, msg, emit)
		m.claim(*s, n, msg, emit)
		m.begin(*s, n, msg, emit)
		m.settle(*s, n, msg, emit)
		m.delete(*s, n, msg, emit)
		m.bringBack(*s, n, msg, emit)
		if hand := s.Nodes[n].Hands[msg]; hand.Step == Requested && s.Graph[msg][hand.Attempt].Left == 0 {
			next := *s
			next.Nodes[n].Hands[msg].Step, next.Nodes[n].Hands[msg].Result = Answered, Unclear
			emit(next, "the request of NODE for MSG ends without an answer", n, msg)
		}
	}
	m.laneSteps(s, n, emit)
	m.renew(*s, n, emit)
	m.confirm(*s, n, emit)
	m.doubtSteps(s, n, emit)
	m.lose(*s, n, emit)
}

// accept takes a message from the client, of whichever lane. If the lane is its own, a node may
// record the first attempt with the message.
func (m *Model) accept(s State, n, msg int, emit Emit) {
	if s.Seen[msg].Client != NotHandedOver || s.Nodes[n].View != Idle {
		return
	}
	s.Seen[msg].Client = NoReply
	if m.Fault == EarlyReply {
		s.Seen[msg].Client = Accepted
	}
	m.send(s, n, Tx{Kind: Accept, Of: int8(msg)}, "NODE sends COMMIT of MSG", emit)
	node := &s.Nodes[n]
	switch {
	case !m.First || m.slotsUsed(node, msg) >= m.Slots:
	case node.Mine.has(m.lane(msg)) || m.Fault == FirstOfOthers:
		tx := Tx{Kind: Accept, Of: int8(msg), Attempt: 1}
		m.send(s, n, tx, "NODE sends COMMIT of MSG with its first attempt", emit)
	}
}

// claim records an attempt of a message that is due.
func (m *Model) claim(s State, n, msg int, emit Emit) {
	node, row := &s.Nodes[n], s.Main.Rows[msg]
	switch {
	case node.View != Idle || node.Hands[msg].Step != NoStep:
		return
	case !node.Mine.has(m.lane(msg)) && (m.Fault != LateClaim || s.Main.Lanes[m.lane(msg)] != 0):
		return
	case row.Is != Queued || row.Attempts == m.May.Attempts:
		return
	case m.slotsUsed(node, msg) >= m.Slots:
		return
	}
	tx := Tx{Kind: Claim, Of: int8(msg), Attempt: row.Attempts + 1}
	if m.Fault == EarlyRequest {
		node.Hands[msg] = Hand{Step: Claimed, Attempt: tx.Attempt}
	}
	m.send(s, n, tx, "NODE sends COMMIT of an attempt of MSG", emit)
}

// slotsUsed counts the requests of a lane that may be running: the node's own, and
// those of processes that are gone.
func (m *Model) slotsUsed(node *Node, msg int) (used int) {
	for other := range m.Messages {
		switch {
		case m.lane(other) != m.lane(msg):
		case node.Hands[other].Step != NoStep:
			used++
		case node.Elsewhere[other].Attempt > 0 && m.Fault != SlotsForgotten:
			used++
		}
	}
	return used
}

// begin sends the request of a recorded attempt, if it may; or the node takes the attempt back,
// for it wants to give the lane back.
func (m *Model) begin(s State, n, msg int, emit Emit) {
	node := &s.Nodes[n]
	hand := &node.Hands[msg]
	if hand.Step != Claimed {
		return
	}
	if s.Left.Handovers > 0 {
		next := s
		next.Nodes[n].Hands[msg].Step, next.Nodes[n].Hands[msg].Result = Answered, NotMade
		emit(next, "NODE gives its attempt of MSG up before the request", n, msg)
	}
	if node.Fresh == 0 && m.Fault != NoCheck {
		return // until the lease is confirmed again
	}
	seen, attempt := &s.Seen[msg], hand.Attempt
	s.violate(AttemptIsDurable, s.Standby.Rows[msg].Attempts < attempt)
	s.violate(NumberOnlyOnce, seen.Begun&(1<<attempt) != 0)
	s.violate(DeletedStaysAway, s.Main.Rows[msg].Is == Deleted)
	seen.Begun |= 1 << attempt
	hand.Step = Requested
	s.Graph[msg][attempt] = Request{Left: limit, Node: int8(n)}
	emit(s, "NODE begins the request for MSG", n, msg)
}

// settle records the outcome of an attempt.
func (m *Model) settle(s State, n, msg int, emit Emit) {
	node, row := &s.Nodes[n], s.Main.Rows[msg]
	hand := &node.Hands[msg]
	if hand.Step != Answered || node.View != Idle {
		return
	}
	isOpen := row.Is == Sending && row.Attempts == hand.Attempt
	works := s.Main.Nodes[node.ID-1].Is
	if !works && hand.Result == Taken {
		m.late(s, n, msg, emit)
	}
	if works && !isOpen {
		*hand = Hand{}
		emit(s, "NODE finds its attempt of MSG settled", n, msg)
		return
	}
	tx := Tx{Kind: Settle, Of: int8(msg), Attempt: hand.Attempt, Result: hand.Result}
	m.send(s, n, tx, "NODE sends COMMIT of the outcome of MSG", emit)
}

// late records a delivery that the node learns of after its row is gone: if nothing was tried since,
// and the message waits or its attempt is still open. In any case the process ends: a failover may
// bring the row back.
func (m *Model) late(s State, n, msg int, emit Emit) {
	row, hand := s.Main.Rows[msg], &s.Nodes[n].Hands[msg]
	waits := row.Is == Sending || row.Is == Queued || row.Is == Held
	if (!waits || row.Attempts != hand.Attempt) && m.Fault != LateSettlesAll {
		m.forget(&s, n)
		emit(s, "NODE drops the late delivery of MSG, and ends", n, msg)
		return
	}
	tx := Tx{Kind: Late, Of: int8(msg), Attempt: hand.Attempt}
	m.send(s, n, tx, "NODE sends COMMIT of the late delivery of MSG", emit)
}

// delete is what an operator wants at a node, whichever has the lane: the node reads the
// message, and then writes it, if nobody else has in between.
func (m *Model) delete(s State, n, msg int, emit Emit) {
	node, row := &s.Nodes[n], s.Main.Rows[msg]
	if node.View == Idle && (row.Is == Queued || row.Is == Held) && spend(&s.Left.Deletes) {
		node.View, node.Job = Reading, Tx{Kind: Delete, Of: int8(msg), Was: row}
		emit(s, "an operator wants MSG deleted, and NODE reads it", n, msg)
	}
	if job := node.Job; node.View == Reading && job.Kind == Delete && int(job.Of) == msg {
		m.write(s, n, job.Was == row, "NODE sends COMMIT of the deletion of MSG", emit)
	}
}

// write sends the transaction that a node has begun by reading. If what it read has changed
// since, the database refuses it, and the node begins again.
func (m *Model) write(s State, n int, unchanged bool, text string, emit Emit) {
	node := &s.Nodes[n]
	job := node.Job
	if unchanged || m.Fault == ConflictIgnored {
		m.send(s, n, job, text, emit)
		return
	}
	node.View, node.Job = Idle, Tx{}
	emit(s, "the database refuses the transaction of NODE, for what it read has changed", n, int(job.Of))
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
	if spend(&next.Left.Crashes) {
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
