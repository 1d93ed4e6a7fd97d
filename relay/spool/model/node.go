package model

// nodeSteps are what a node may do next. A node that is paused simply does none of
// them, for as long as it is.
func (m *Model) nodeSteps(s *State, n int, emit Emit) {
	for msg := range m.Messages {
		m.accept(*s, n, msg, emit)
		m.claim(*s, n, msg, emit)
		m.begin(*s, n, msg, emit)
		m.settle(*s, n, msg, emit)
		if hand := s.Nodes[n].Hands[msg]; hand.Step == Requested && s.Graph[msg][hand.Attempt].Left == 0 {
			next := *s
			next.Nodes[n].Hands[msg].Step, next.Nodes[n].Hands[msg].Result = Answered, Unclear
			emit(next, "the request of NODE for MSG ends without an answer", n, msg)
		}
	}
	for l := range m.leases() {
		m.acquire(*s, n, l, emit)
	}
	if !m.Lanes {
		m.renew(*s, n, emit)
	}
	m.confirm(*s, n, emit)
	m.doubtSteps(s, n, emit)
	m.lose(*s, n, emit)
}

// accept takes a message from the client.
func (m *Model) accept(s State, n, msg int, emit Emit) {
	node := &s.Nodes[n]
	if s.Seen[msg].Client != NotHandedOver || node.View != Idle || !m.Lanes && node.Token[0] == 0 {
		return
	}
	s.Seen[msg].Client = NoReply
	tx := Tx{Kind: Accept, Msg: int8(msg), Token: node.Token[m.lease(msg)]}
	if m.Fault == EarlyReply {
		s.Seen[msg].Client = Accepted
	}
	m.send(s, n, tx, "NODE sends COMMIT of MSG", emit)
}

// claim records an attempt of a message that is due.
func (m *Model) claim(s State, n, msg int, emit Emit) {
	node, row := &s.Nodes[n], s.Main.Rows[msg]
	token := node.Token[m.lease(msg)]
	switch {
	case token == 0 || node.View != Idle || node.Hands[msg].Step != NoStep:
		return
	case row.Is != Queued || row.Attempts == m.May.Attempts || m.mayBeRunning(&row):
		return
	case m.slotsUsed(&s, n, msg) >= m.Slots:
		return
	}
	tx := Tx{Kind: Claim, Msg: int8(msg), Token: token, Attempt: row.Attempts + 1, Left: limit}
	if m.Fault == EarlyRequest {
		node.Hands[msg] = handOf(&tx)
	}
	m.send(s, n, tx, "NODE sends COMMIT of an attempt of MSG", emit)
}

// claimBeside records an attempt on another connection while one is in doubt.
func (m *Model) claimBeside(s State, n, msg int, emit Emit) {
	node, row := &s.Nodes[n], &s.Main.Rows[msg]
	token := node.Token[m.lease(msg)]
	if row.Is != Queued || token != s.Main.Leases[m.lease(msg)].Token || s.held() != 0 {
		return
	}
	row.Is, row.Token = Sending, token
	row.Attempts++
	node.Hands[msg] = Hand{Step: Claimed, Attempt: row.Attempts, Token: token, Left: limit}
	s.caughtUp(m)
	emit(s, "NODE records an attempt of MSG on another connection", n, msg)
}

// mayBeRunning reports whether an earlier request for a message may be.
func (m *Model) mayBeRunning(row *Row) bool {
	if m.Fault == NodeClock {
		return row.Deadline > skew
	}
	return row.Deadline > 0
}

// slotsUsed counts the requests of a lane that may be running: the node's own, and
// those that somebody else left.
func (m *Model) slotsUsed(s *State, n, msg int) (used int) {
	token := s.Nodes[n].Token[m.lease(msg)]
	for other := range m.Messages {
		row := &s.Main.Rows[other]
		switch {
		case m.lane(other) != m.lane(msg):
		case s.Nodes[n].Hands[other].Step != NoStep:
			used++
		case m.mayBeRunning(row) && row.Token != token && m.Fault != SlotsForgotten:
			used++
		}
	}
	return used
}

func handOf(claim *Tx) Hand {
	return Hand{Step: Claimed, Attempt: claim.Attempt, Token: claim.Token, Left: claim.Left}
}

// begin sends the request of a recorded attempt, if it may.
func (m *Model) begin(s State, n, msg int, emit Emit) {
	node := &s.Nodes[n]
	hand := &node.Hands[msg]
	if hand.Step != Claimed {
		return
	}
	left := uint8(limit)
	switch {
	case !m.Lanes && node.Fresh == 0 && m.Fault != NoCheck:
		return // until the lease is confirmed again
	case m.Lanes && hand.Left == 0 && m.Fault != DeadlineFromRequest:
		hand.Step, hand.Result = Answered, NotMade
		emit(s, "NODE finds that the time of its attempt of MSG is over", n, msg)
		return
	case m.Lanes && m.Fault != DeadlineFromRequest:
		left = hand.Left
	}
	seen, attempt := &s.Seen[msg], hand.Attempt
	s.violate(AttemptIsDurable, s.Standby.Rows[msg].Attempts < attempt)
	s.violate(NumberOnlyOnce, seen.Begun&(1<<attempt) != 0)
	seen.Begun |= 1 << attempt
	hand.Step = Requested
	s.Graph[msg][attempt] = Request{Left: left, Node: int8(n)}
	emit(s, "NODE begins the request for MSG", n, msg)
}

// settle records the outcome of an attempt.
func (m *Model) settle(s State, n, msg int, emit Emit) {
	node, row := &s.Nodes[n], s.Main.Rows[msg]
	hand := &node.Hands[msg]
	if hand.Step != Answered || node.View != Idle {
		return
	}
	tx := Tx{Kind: Settle, Msg: int8(msg), Token: hand.Token, Attempt: hand.Attempt, Result: hand.Result}
	isOpen := row.Is == Sending && row.Attempts == hand.Attempt && row.Token == hand.Token
	if m.Lanes && hand.Token != node.Token[m.lease(msg)] {
		m.late(s, n, tx, emit)
		return
	}
	if !isOpen && s.Main.Leases[m.lease(msg)].Token == hand.Token {
		*hand = Hand{}
		emit(s, "NODE finds its attempt of MSG settled", n, msg)
		return
	}
	m.send(s, n, tx, "NODE sends COMMIT of the outcome of MSG", emit)
}

// late keeps a delivery that the node learns of after it lost the lane: if nothing was
// tried since. Another outcome changes nothing.
func (m *Model) late(s State, n int, tx Tx, emit Emit) {
	msg := int(tx.Msg)
	row, hand := s.Main.Rows[msg], &s.Nodes[n].Hands[msg]
	if m.Fault == LateSettlesAll && row.Is == Sending && tx.Result == NotSent {
		tx.Kind, tx.Token, tx.Attempt = Settle, row.Token, row.Attempts
		m.send(s, n, tx, "NODE sends COMMIT of the late outcome of MSG", emit)
		return
	}
	if tx.Result != Taken || row.Attempts != tx.Attempt || row.Is != Queued && row.Is != Held {
		*hand = Hand{}
		emit(s, "NODE drops the late outcome of MSG", n, msg)
		return
	}
	tx.Kind = Late
	m.send(s, n, tx, "NODE sends COMMIT of the late delivery of MSG", emit)
}

// acquire takes a lease. It may do so at any time here, run out or not: no promise rests
// on how long leases last.
func (m *Model) acquire(s State, n, l int, emit Emit) {
	node, row := &s.Nodes[n], s.Main.Leases[l]
	if node.Token[l] != 0 || node.View != Idle {
		return
	}
	if spend(&s.Left.Takeovers) {
		tx := Tx{Kind: Acquire, Msg: int8(l), Token: row.Token + 1, Left: m.Trust + limit}
		if m.Fault == DeadlineWithoutTrust {
			tx.Left = limit
		}
		m.send(s, n, tx, "NODE sends COMMIT of a takeover", emit)
	}
}

// renew confirms the lease of the whole store on a connection of its own.
func (m *Model) renew(s State, n int, emit Emit) {
	node := &s.Nodes[n]
	if node.Asked > 0 {
		next := s
		next.Nodes[n].Fresh, next.Nodes[n].Asked = node.Asked, 0 // asked for before now: so much less
		emit(next, "NODE reads that its lease is renewed", n, 0)
	}
	if node.Token[0] == 0 || node.Asked == m.Trust || node.Fresh == m.Trust {
		return
	}
	if s.OldPrimary {
		next := s
		next.Nodes[n].Asked = m.Trust
		emit(next, "NODE renews its lease at the former primary", n, 0)
	}
	if s.held()&leaseLock(0) != 0 {
		return
	}
	if s.Main.Leases[0].Token != node.Token[0] {
		m.forget(&s, n)
		emit(s, "NODE finds that its lease is lost", n, 0)
		return
	}
	node.Asked = m.Trust
	s.caughtUp(m)
	emit(s, "NODE renews its lease", n, 0)
}
