package model

import (
	"fmt"
	"strings"
)

// Limits of the arrays in a State. A Model uses a part of them.
const (
	maxNodes    = 3
	maxRows     = 5 // of nodes: one for each process
	maxMessages = 2
	maxLanes    = 2
	maxAttempts = 3
)

// Model is one question to the checker: how many take part, under which rules,
// and how much may go wrong.
type Model struct {
	Name     string
	Nodes    int
	Messages int
	Slots    int   // requests at once in a lane
	Trust    uint8 // ticks for which requests may begin after a renewal was asked for
	TwoLanes bool  // message 2 is in a lane of its own
	First    bool  // a node records the first attempt with a message of its own lanes
	Hold     bool  // delivery.unknown_outcome is hold; otherwise retry

	May   Bounds // what may happen, and how often
	Fault Fault  // the rule that is left out
}

// Bounds are how often something may happen in one run. They make the number of
// states finite.
type Bounds struct {
	Attempts  uint8 // of one message
	Takeovers uint8
	Handovers uint8 // lanes that their node gives back
	Joins     uint8 // processes that start
	Losses    uint8 // connections to the database that break
	Crashes   uint8 // of nodes
	Restarts  uint8 // of the database
	Cancels   uint8 // waits for the standby that an administrator cancels
	Failovers uint8
	Releases  uint8 // of held messages, by an operator
	Deletes   uint8 // of messages, by an operator
}

const (
	limit = 2 // ticks that a request may run
	skew  = 2 // ticks that a clock leaps ahead (fault NodeClock)
)

// lane returns the lane of a message.
func (m *Model) lane(msg int) int {
	if m.TwoLanes {
		return msg
	}
	return 0
}

func (m *Model) lanes() int {
	if m.TwoLanes {
		return 2
	}
	return 1
}

// initial is the state in which every node works, the first has the first lane, and the last
// the second, if there is one.
func (m *Model) initial() State {
	s := State{Left: m.May}
	for n := range m.Nodes {
		s.Nodes[n].ID = uint8(n + 1)
		s.Main.Nodes[n].Is = true
	}
	for l := range m.lanes() {
		owner := l * (m.Nodes - 1)
		s.Main.Lanes[l] = s.Nodes[owner].ID
		s.Nodes[owner].Mine = laneSet(0).with(l)
	}
	s.Standby = s.Main
	return s
}

// steps calls emit with every state that may follow, and what happens then.
func (m *Model) steps(s *State, to Emit) {
	emit := func(next State, text string, node, msg int) {
		next.simplify()
		to(next, text, node, msg)
	}
	for n := range m.Nodes {
		m.nodeSteps(s, n, emit)
		m.txSteps(s, n, emit)
	}
	m.databaseSteps(s, emit)
	for msg := range m.Messages {
		m.graphSteps(s, msg, emit)
		m.operatorSteps(s, msg, emit)
	}
	if next, ok := s.tick(m); ok {
		emit(next, "a tick of time passes", 0, 0)
	}
}

// Emit takes a state, and the step that leads to it, with the node (from 0) and the
// message, lane or row of a node (from 0) that its text calls NODE and MSG.
type Emit func(next State, text string, node, msg int)

// String lists what may happen.
func (b Bounds) String() string {
	var list []string
	for _, c := range []struct {
		n    uint8
		what string
	}{
		{b.Attempts, "attempts"}, {b.Takeovers, "takeovers"}, {b.Handovers, "lanes given back"}, {b.Joins, "starts"},
		{b.Losses, "lost connections"}, {b.Crashes, "crashes"}, {b.Restarts, "restarts of the database"},
		{b.Cancels, "cancelled waits"}, {b.Failovers, "failovers"}, {b.Releases, "releases"}, {b.Deletes, "deletes"},
	} {
		if c.n > 0 {
			list = append(list, fmt.Sprint(c.what, " ", c.n))
		}
	}
	return strings.Join(list, ", ")
}
