package model

// State is everything that a rule or a promise may look at. It is comparable, and
// holds no time of day: only how many ticks remain, so that what cannot be told
// apart is one state.
type State struct {
	Main    Database // what a new transaction of the primary sees
	Standby Database // what would remain after a failover
	// Txs are the transactions at the server: that of each node's connection, and one
	// whose connection its node has lost.
	Txs   [maxNodes][2]Tx
	Nodes [maxNodes]Node
	// Graph has the requests that Graph may still take, by message and attempt.
	Graph [maxMessages][maxAttempts + 1]Request
	Seen  [maxMessages]Seen
	Left  Bounds
	// OldPrimary is set after a failover in which the former primary lives on, without
	// its standby.
	OldPrimary bool
	Broken     Promise // by the step that led here
}

// Database is what is stored.
type Database struct {
	Rows  [maxMessages]Row
	Nodes [maxRows]NodeRow // that with ID 1 first
	Lanes [maxLanes]uint8  // the ID of the node that sends its mail; 0: none
}

// NodeRow is the lease of one process: it works as long as the row is there.
type NodeRow struct {
	Is bool
	// Batch is the number of the last transaction of the process. Numbers are kept
	// modulo 2: only the last two can be asked for.
	Batch uint8
}

// Row is a message in the database.
type Row struct {
	Is       Condition
	Attempts uint8
}

// Condition is the state of a message in the database.
type Condition uint8

// The conditions of a message.
const (
	Absent Condition = iota
	Queued
	Sending
	Held
	Sent
	Deleted // by an operator
	Wiped   // by the node that was in doubt about it
)

// laneSet has a bit for each lane.
type laneSet uint8

func (set laneSet) has(l int) bool        { return set&(1<<l) != 0 }
func (set laneSet) with(l int) laneSet    { return set | 1<<l }
func (set laneSet) without(l int) laneSet { return set &^ (1 << l) }

// Tx is a transaction, or a node's note of it.
type Tx struct {
	Kind    Kind
	Phase   Phase
	Of      int8 // the message; or the lane; or the row of a node, from 0
	ID      uint8
	Attempt uint8
	Was     Row    // the message, as a transaction read it before it writes
	Result  Result // that it settles
	Left    uint8  // ticks for which attempts that it finds open may run, counted from its statement
	Lanes   laneSet
	Sending [maxMessages]uint8 // attempts that it finds open in them
	Batch   uint8
	Claims  bool  // of a decision: what is in doubt is a claim
	Wipe    bool  // the caller has been answered with an error meanwhile
	Found   bool  // of a decision: the transaction in doubt is committed
	Wiped   bool  // of a decision: it undoes that
	Locks   locks // that it holds
}

// Kind is what a transaction does.
type Kind uint8

// The kinds of transactions.
const (
	NoTx      Kind = iota
	Join           // the row of a process
	Accept         // a message
	Claim          // records an attempt
	Settle         // its outcome
	Late           // settles as sent, for a process whose row is gone
	Delete         // what an operator wants
	Take           // a lane that no node has
	GiveBack       // a lane
	TakeOver       // deletes the row of another process and takes its lanes
	BringBack      // ends an attempt of a process that is gone
	Decide         // whether a transaction whose answer was lost is committed
)

// Phase is how far a transaction is at the server.
type Phase uint8

// The phases of a transaction.
const (
	NoPhase Phase = iota
	Open          // its statements have run, its locks are held; COMMIT is under way
	Local         // flushed here; waits for the standby, invisible, locks held
	Done          // visible; the answer is under way
)

// Result is what a node knows of a request that is over.
type Result uint8

// The results of a request.
const (
	NotSent Result = iota
	NotMade        // the attempt was recorded, but no request began
	Taken
	Unclear
)

// Node is the memory of a node. It is empty while no process runs there.
type Node struct {
	ID    uint8   // of its row, from 1
	Mine  laneSet // the lanes that it believes to have
	Fresh uint8   // ticks for which requests may begin
	Asked uint8   // the same, of a renewal not yet confirmed
	Batch uint8
	View  View
	Job   Tx // what View is about
	Hands [maxMessages]Hand
	// Elsewhere are the attempts of processes that are gone, whose requests may run.
	Elsewhere [maxMessages]Away
}

// View is what a node knows of its transaction.
type View uint8

// The views of a transaction.
const (
	Idle    View = iota
	Reading      // it has read, and not yet written
	Waiting
	Doubt    // the connection broke: it may be committed
	Deciding // the decision is under way
)

// Hand is a message that a node attempts.
type Hand struct {
	Step    Step
	Attempt uint8
	Result  Result
}

// Away is an attempt that somebody else may still be making.
type Away struct {
	Attempt uint8 // 0: none
	Left    uint8 // ticks until no request of it can run any more
}

// Step is how far an attempt is.
type Step uint8

// The steps of an attempt.
const (
	NoStep Step = iota
	Claimed
	Requested
	Answered
)

// Request is a request at Graph, which may take it while Left is not 0.
type Request struct {
	Left uint8
	Node int8
}

// Seen is what an observer of everything knows of a message.
type Seen struct {
	Client   Reply
	Taken    uint8 // how often Graph took it; 2 = more than once
	Begun    uint8 // a bit for each attempt of which a request began
	Unknown  bool  // some outcome of it was recorded as unknown
	Released bool  // by an operator, after it was held
}

// Reply is what the client has read.
type Reply uint8

// The replies to a message.
const (
	NotHandedOver Reply = iota
	NoReply
	Accepted  // 250
	Refused   // 451, and it is certain that the message is not kept
	Doubtful  // 451, and its node does not know yet
	Counted   // 451, and it stays: its node has counted it as a possible duplicate
	DoubtLeft // 451 or nothing, and its node has ended without knowing
)

// tick lets time pass; ok is false if that changes nothing.
func (s *State) tick(m *Model) (next State, ok bool) {
	next = *s
	down := func(ticks *uint8) {
		if *ticks > 0 {
			*ticks--
		}
	}
	for n := range m.Nodes {
		node := &next.Nodes[n]
		down(&node.Fresh)
		down(&node.Job.Left)
		if m.Fault != FreshFromAnswer {
			down(&node.Asked)
		}
		for i := range node.Elsewhere {
			down(&node.Elsewhere[i].Left)
		}
	}
	for i := range next.Graph {
		for j := range next.Graph[i] {
			down(&next.Graph[i][j].Left)
		}
	}
	return next, next != *s
}

// simplify forgets what can make no difference any more, so that there are fewer states.
func (s *State) simplify() {
	if s.Left.Failovers == 0 {
		s.Standby = s.Main
	}
	for n := range s.Nodes {
		if node := &s.Nodes[n]; !node.mayBegin() {
			node.Fresh, node.Asked = 0, 0
		}
	}
}

// mayBegin reports whether a node has, or may get, an attempt of which no request has begun.
func (node *Node) mayBegin() bool {
	for _, hand := range node.Hands {
		if hand.Step == Claimed {
			return true
		}
	}
	return node.Job.Attempt > 0 && (node.Job.Kind == Claim || node.Job.Kind == Accept)
}

// running counts the requests of a message that Graph may still take.
func (s *State) running(msg int) (n int) {
	for _, r := range s.Graph[msg] {
		if r.Left > 0 {
			n++
		}
	}
	return n
}

// works returns the node whose process has an ID.
func (s *State) works(id uint8) (node *Node, ok bool) {
	for n := range s.Nodes {
		if id > 0 && s.Nodes[n].ID == id {
			return &s.Nodes[n], true
		}
	}
	return nil, false
}

// spend takes one of a bound, and reports whether there was one.
func spend(left *uint8) bool {
	if *left == 0 {
		return false
	}
	*left--
	return true
}

// violate notes the first promise that a step breaks.
func (s *State) violate(p Promise, broken bool) {
	if broken && s.Broken == Kept {
		s.Broken = p
	}
}
