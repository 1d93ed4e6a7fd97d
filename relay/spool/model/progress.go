package model

// CheckProgress looks for a state from which no sequence of steps leads to an end, however
// lucky: something waits for ever there. The steps that cost a bound need not happen.
func (m *Model) CheckProgress(limit int) Report {
	s := newSearch(m)
	s.keep = true
	r := s.find(limit, func(*State) bool { return false })
	before := make([][]int32, s.count)
	for _, e := range s.edges {
		before[e.to] = append(before[e.to], e.from)
	}
	ends := make([]bool, s.count)
	var queue []int32
	reach := func(i int32) {
		if !ends[i] {
			ends[i] = true
			queue = append(queue, i)
		}
	}
	for i := int32(1); i < s.count; i++ {
		if m.ended(&s.at(i).state) {
			reach(i)
		}
	}
	for len(queue) > 0 {
		i := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for _, from := range before[i] {
			reach(from)
		}
	}
	for i := int32(1); i < s.count && r.Whole; i++ {
		if !ends[i] {
			r.Broken, r.Last, r.Depth, r.Trace = AWayOut, s.at(i).state, int(s.at(i).depth)-1, s.trace(i)
			break
		}
	}
	return r
}

// ended reports whether every message is sent, held or refused, as far as the bounds allow,
// and no node is in doubt.
func (m *Model) ended(s *State) bool {
	for n := range m.Nodes {
		if s.Nodes[n].View != Idle {
			return false
		}
	}
	for msg := range m.Messages {
		row := s.Main.Rows[msg]
		switch {
		case s.Seen[msg].Client == NoReply:
			return false
		case row.Is == Sending && m.hasSender(s, msg):
			return false
		case row.Is == Queued && row.Attempts < m.May.Attempts && m.hasSender(s, msg):
			return false
		}
	}
	return true
}

// hasSender reports whether a living node has, or may still get, the lane of a message.
func (m *Model) hasSender(s *State, msg int) bool {
	owner := s.Main.Lanes[m.lane(msg)]
	if _, works := s.works(owner); works {
		return true
	}
	someone := s.Left.Joins > 0
	for n := range m.Nodes {
		id := s.Nodes[n].ID
		someone = someone || id > 0 && s.Main.Nodes[id-1].Is
	}
	hasRow := owner > 0 && s.Main.Nodes[owner-1].Is
	return someone && (!hasRow || s.Left.Takeovers > 0)
}
