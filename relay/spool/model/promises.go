package model

// Promise is what must hold in every state.
type Promise uint8

// The promises. Kept means that none is broken.
const (
	Kept Promise = iota
	AcceptedIsKept
	RefusedStaysAway
	WipedWasNeverTried
	DeletedStaysAway
	DoubtIsCounted
	AttemptIsDurable
	OneRequestAtATime
	TwiceOnlyIfUnknown
	NumberOnlyOnce
	DeadNodeWritesNothing
	LaneIsItsNodes
	SlotsAreKept
	NothingIsForgotten
	AWayOut
)

var promises = map[Promise]string{
	AcceptedIsKept:        "a message answered with 250 is stored until Graph accepts it or an operator deletes it",
	RefusedStaysAway:      "a message whose commit certainly failed does not come back",
	WipedWasNeverTried:    "a message that is deleted after a doubtful commit was never sent by anybody",
	DeletedStaysAway:      "a message that an operator has deleted is not sent afterwards and does not come back",
	DoubtIsCounted:        "a message that stays though it was refused is counted, unless its node ended in doubt",
	AttemptIsDurable:      "an attempt is durable before its request begins",
	OneRequestAtATime:     "no request for a message begins while an earlier one may be running",
	TwiceOnlyIfUnknown:    "a message is sent twice only after an unknown outcome, and only if configured or released",
	NumberOnlyOnce:        "no two requests for a message have the same attempt number",
	DeadNodeWritesNothing: "a node whose row is gone writes nothing but a late delivery",
	LaneIsItsNodes:        "a node with a row believes to have only lanes that are its own in the database",
	SlotsAreKept:          "a lane never has more requests at once than slots, over all nodes",
	NothingIsForgotten:    "an open attempt is known to the node that has the lane, if that still runs",
	AWayOut:               "from every state there is a way to one in which each message is sent, held or refused",
}

// String is the promise in words.
func (p Promise) String() string { return promises[p] }

// broken returns the first promise that a state breaks.
func (m *Model) broken(s *State) Promise {
	if s.Broken != Kept {
		return s.Broken
	}
	for n := range m.Nodes {
		if m.believesWrongly(s, &s.Nodes[n]) {
			return LaneIsItsNodes
		}
	}
	var running [maxLanes]int
	for msg := range m.Messages {
		if p := m.brokenFor(s, msg); p != Kept {
			return p
		}
		if s.running(msg) > 1 {
			return OneRequestAtATime
		}
		running[m.lane(msg)] += s.running(msg)
	}
	if max(running[0], running[1]) > m.Slots {
		return SlotsAreKept
	}
	return Kept
}

func (m *Model) believesWrongly(s *State, node *Node) bool {
	if node.ID == 0 || !s.Main.Nodes[node.ID-1].Is {
		return false
	}
	for l := range m.lanes() {
		if node.Mine.has(l) && s.Main.Lanes[l] != node.ID {
			return true
		}
	}
	return false
}

func (m *Model) brokenFor(s *State, msg int) Promise {
	row, seen := s.Main.Rows[msg], s.Seen[msg]
	isStored := row.Is != Absent && row.Is != Wiped && row.Is != Deleted
	switch {
	case seen.Client == Accepted && (row.Is == Absent || row.Is == Wiped || row.Is == Sent && seen.Taken == 0):
		return AcceptedIsKept
	case seen.Client == Refused && isStored:
		return RefusedStaysAway
	case row.Is == Wiped && seen.Begun != 0:
		return WipedWasNeverTried
	case seen.Client == Doubtful && isStored && !m.inDoubt(s, msg):
		return DoubtIsCounted
	case row.Is == Sending && m.forgotten(s, msg):
		return NothingIsForgotten
	}
	return Kept
}

// inDoubt reports whether a node still wants to know whether it has stored a message.
func (m *Model) inDoubt(s *State, msg int) bool {
	for n := range m.Nodes {
		node := &s.Nodes[n]
		if node.View >= Doubt && node.Job.Kind == Accept && int(node.Job.Of) == msg {
			return true
		}
	}
	return false
}

// forgotten reports whether an open attempt is nobody's: its lane is, or the node that has it
// lives and does not know of the attempt.
func (m *Model) forgotten(s *State, msg int) bool {
	owner := s.Main.Lanes[m.lane(msg)]
	if owner == 0 {
		return true
	}
	node, works := s.works(owner)
	if !works {
		return false
	}
	return node.Hands[msg].Step == NoStep && node.Elsewhere[msg].Attempt == 0 && !node.willKnow(msg, m.lane(msg))
}

// willKnow reports whether a node waits for a commit that tells it of an attempt.
func (node *Node) willKnow(msg, lane int) bool {
	switch job := node.Job; job.Kind {
	case Accept, Claim:
		return int(job.Of) == msg
	case TakeOver:
		return job.Lanes.has(lane)
	}
	return false
}
