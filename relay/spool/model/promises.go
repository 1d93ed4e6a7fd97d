package model

// Promise is what must hold in every state.
type Promise uint8

// The promises. Kept means that none is broken.
const (
	Kept Promise = iota
	AcceptedIsKept
	RefusedStaysAway
	DeletedWasNeverTried
	AttemptIsDurable
	OneRequestAtATime
	TwiceOnlyIfUnknown
	NumberOnlyOnce
	DeadTokenWritesNothing
	TokenOnlyOnce
	SlotsAreKept
	NothingIsForgotten
	DoubtWaits
	AWayOut
)

var promises = map[Promise]string{
	AcceptedIsKept:         "a message answered with 250 is stored until Graph has accepted it",
	RefusedStaysAway:       "a message whose commit certainly failed does not come back",
	DeletedWasNeverTried:   "a message that is deleted after a doubtful commit was never sent by anybody",
	AttemptIsDurable:       "an attempt is durable before its request begins",
	OneRequestAtATime:      "no request for a message begins while an earlier one may be running",
	TwiceOnlyIfUnknown:     "a message is sent twice only after an unknown outcome, and only if configured or released",
	NumberOnlyOnce:         "no two requests for a message have the same attempt number",
	DeadTokenWritesNothing: "a dead token writes nothing",
	TokenOnlyOnce:          "no two nodes hold the same lease under the same token",
	SlotsAreKept:           "a lane never has more requests at once than slots, over all nodes",
	NothingIsForgotten:     "an open attempt is known to the node of its token, if that still runs",
	DoubtWaits:             "a node sends nothing of a message while it does not know whether the message is committed",
	AWayOut:                "from every state there is a way to one in which each message is sent, held or refused",
}

// String is the promise in words.
func (p Promise) String() string { return promises[p] }

// broken returns the first promise that a state breaks.
func (m *Model) broken(s *State) Promise {
	if s.Broken != Kept {
		return s.Broken
	}
	for l := range m.leases() {
		holders := 0
		for n := range m.Nodes {
			if s.Nodes[n].Token[l] == s.Main.Leases[l].Token {
				holders++
			}
		}
		if holders > 1 {
			return TokenOnlyOnce
		}
	}
	var running [maxLeases]int
	for msg := range m.Messages {
		if p := m.brokenFor(s, msg); p != Kept {
			return p
		}
		ofMessage := 0
		for _, r := range s.Graph[msg] {
			if r.Left > 0 {
				ofMessage++
			}
		}
		if ofMessage > 1 {
			return OneRequestAtATime
		}
		running[m.lane(msg)] += ofMessage
	}
	if max(running[0], running[1]) > m.Slots {
		return SlotsAreKept
	}
	return Kept
}

func (m *Model) brokenFor(s *State, msg int) Promise {
	row, seen := s.Main.Rows[msg], s.Seen[msg]
	isStored := row.Is != Absent && row.Is != Deleted
	switch {
	case seen.Client == Accepted && (!isStored || row.Is == Sent && seen.Taken == 0):
		return AcceptedIsKept
	case seen.Client == Refused && isStored:
		return RefusedStaysAway
	case row.Is == Deleted && seen.Begun != 0:
		return DeletedWasNeverTried
	case row.Is == Sending && m.forgotten(s, msg):
		return NothingIsForgotten
	}
	for n := range m.Nodes {
		node := &s.Nodes[n]
		inDoubt := node.View >= Doubt && node.Job.Kind == Accept && int(node.Job.Msg) == msg
		if inDoubt && node.Hands[msg].Step >= Requested {
			return DoubtWaits
		}
	}
	return Kept
}

// forgotten reports whether an open attempt is nobody's: its token is dead, or its node
// lives and does not know of it.
func (m *Model) forgotten(s *State, msg int) bool {
	token, l := s.Main.Rows[msg].Token, m.lease(msg)
	if token != s.Main.Leases[l].Token {
		return true
	}
	for n := range m.Nodes {
		node := &s.Nodes[n]
		if node.Token[l] == token {
			return node.Hands[msg].Step == NoStep && (node.View == Idle || int(node.Job.Msg) != msg)
		}
	}
	return false
}
