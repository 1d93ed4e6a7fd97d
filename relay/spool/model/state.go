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
	Rows   [maxMessages]Row
	Leases [maxLeases]Lease
	// Batches are the last batch committed by each node, if lanes are leased one by one.
	Batches [maxNodes]uint8
}

// Lease is a row that one node holds.
type Lease struct {
	Token uint8
	// Batch is the number of the last transaction under this token. Numbers are kept
	// modulo 2: under one token only the last two can be asked for.
	Batch uint8
}

// Row is a message in the database.
type Row struct {
	Is       Condition
	Attempts uint8
	Token    uint8 // under which the last attempt was recorded
	Deadline uint8 // ticks until no request of it can be running any more
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
	Deleted
)

// Tx is a transaction, or a node's note of it.
type Tx struct {
	Kind    Kind
	Phase   Phase
	Msg     int8 // or the lease that it acquires
	Token   uint8
	Attempt uint8
	Result  Result // that it settles
	Left    uint8  // ticks until the deadline that it stores, counted from its statement
	Batch   uint8
	Wipe    bool  // the caller has been answered with an error meanwhile
	Found   bool  // of a decision: the transaction in doubt is committed
	Wiped   bool  // of a decision: it undoes that
	Dead    bool  // the process that sent it has ended
	Locks   locks // that it holds
}

// Kind is what a transaction does.
type Kind uint8

// The kinds of transactions.
const (
	NoTx    Kind = iota
	Accept       // a message
	Claim        // records an attempt
	Settle       // its outcome
	Late         // settles as sent after the lease was lost
	Acquire      // a lease
	Decide       // whether a transaction whose answer was lost is committed
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

// Node is the memory of a node.
type Node struct {
	Token [maxLeases]uint8 // of the leases that it believes to hold
	Fresh uint8            // ticks for which requests may begin
	Asked uint8            // the same, of a renewal not yet confirmed
	Batch uint8
	View  View
	Job   Tx // what View is about
	Hands [maxMessages]Hand
}

// View is what a node knows of its transaction.
type View uint8

// The views of a transaction.
const (
	Idle View = iota
	Waiting
	Doubt    // the connection broke: it may be committed
	Deciding // the decision is under way
)

// Hand is a message that a node attempts.
type Hand struct {
	Step    Step
	Attempt uint8
	Token   uint8
	Left    uint8 // ticks until the attempt must be over, if lanes are leased one by one
	Result  Result
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
	Accepted // 250
	Refused  // 451, and it is certain that the message is not kept
	Doubtful // 451, and nobody knows
)

// tick lets time pass; ok is false if that changes nothing.
func (s *State) tick(m *Model) (next State, ok bool) {
	next = *s
	down := func(ticks *uint8) {
		if *ticks > 0 {
			*ticks--
		}
	}
	for _, db := range []*Database{&next.Main, &next.Standby} {
		for i := range db.Rows {
			down(&db.Rows[i].Deadline)
		}
	}
	for n := range m.Nodes {
		node := &next.Nodes[n]
		for _, ticks := range []*uint8{&node.Fresh, &node.Job.Left, &next.Txs[n][0].Left, &next.Txs[n][1].Left} {
			down(ticks)
		}
		if m.Fault != FreshFromAnswer {
			down(&node.Asked)
		}
		for i := range node.Hands {
			down(&node.Hands[i].Left)
		}
	}
	for i := range next.Graph {
		for j := range next.Graph[i] {
			down(&next.Graph[i][j].Left)
		}
	}
	return next, next != *s
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
