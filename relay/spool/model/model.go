package model

import (
	"fmt"
	"strings"
)

// Limits of the arrays in a State. A Model uses a part of them.
const (
	maxNodes    = 3
	maxMessages = 2
	maxLeases   = 2
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

	// Lanes: the lanes are leased one by one, any node accepts mail, and an attempt
	// stores its deadline. Otherwise one lease covers the store, only its holder works,
	// and the takeover sets the deadline of the attempts that it finds open.
	Lanes bool
	Hold  bool // delivery.unknown_outcome is hold; otherwise retry

	May   Bounds // what may happen, and how often
	Fault Fault  // the rule that is left out
}

// Bounds are how often something may happen in one run. They make the number of
// states finite.
type Bounds struct {
	Attempts  uint8 // of one message
	Takeovers uint8 // acquired leases, beyond those held at the beginning
	Losses    uint8 // connections to the database that break
	Crashes   uint8 // of nodes
	Restarts  uint8 // of the database
	Cancels   uint8 // waits for the standby that an administrator cancels
	Failovers uint8
	Releases  uint8 // of held messages, by an operator
}

const (
	limit = 2 // ticks that a request may run
	skew  = 1 // ticks that a node's clock is ahead of the database's (fault NodeClock)
)

// lane returns the lane of a message.
func (m *Model) lane(msg int) int {
	if m.TwoLanes {
		return msg
	}
	return 0
}

// lease returns the lease that covers a message.
func (m *Model) lease(msg int) int {
	if m.Lanes {
		return m.lane(msg)
	}
	return 0
}

func (m *Model) leases() int {
	if m.Lanes && m.TwoLanes {
		return 2
	}
	return 1
}

// initial is the state in which the first node holds the first lease, and the last
// node the second, if there is one.
func (m *Model) initial() State {
	s := State{Left: m.May}
	for l := range m.leases() {
		holder := l * (m.Nodes - 1)
		s.Main.Leases[l] = Lease{Token: 1}
		s.Nodes[holder].Token[l] = 1
	}
	s.Standby = s.Main
	return s
}

// steps calls emit with every state that may follow, and what happens then.
func (m *Model) steps(s *State, emit Emit) {
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
// message (from 0) that its text calls NODE and MSG.
type Emit func(next State, text string, node, msg int)

// String lists what may happen.
func (b Bounds) String() string {
	var list []string
	for _, c := range []struct {
		n    uint8
		what string
	}{
		{b.Attempts, "attempts"}, {b.Takeovers, "takeovers"}, {b.Losses, "lost connections"}, {b.Crashes, "crashes"},
		{b.Restarts, "restarts of the database"}, {b.Cancels, "cancelled waits"}, {b.Failovers, "failovers"},
		{b.Releases, "releases"},
	} {
		if c.n > 0 {
			list = append(list, fmt.Sprint(c.what, " ", c.n))
		}
	}
	return strings.Join(list, ", ")
}
