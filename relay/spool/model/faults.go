package model

// Fault is a rule that is left out, to show that the checker notices.
type Fault uint8

// The faults; String says what goes wrong.
const (
	NoFault Fault = iota
	EarlyReply
	AsyncCommit
	AsyncAcquire
	AsyncRenewal
	AsyncDecision
	IgnoredNotice
	LostMeansCommitted
	LostMeansFailed
	DecisionReads
	DecisionIgnoresToken
	BatchGoesOn
	WritesInDoubt
	ClaimsInDoubt
	DoubtForgotten
	WipeTried
	EarlyRequest
	LocksRemain
	FenceReads
	NoFence
	NoDeadline
	DeadlineFromClaim
	DeadlineWithoutTrust
	DeadlineFromRequest
	NoCheck
	FreshFromAnswer
	RetryIgnoresDeadline
	NodeClock
	NotUnknown
	HoldIgnored
	NumberTakenBack
	SlotsForgotten
	LateSettlesAll
)

var faults = map[Fault]string{
	EarlyReply:           "250 when COMMIT has been sent",
	AsyncCommit:          "nothing waits for the standby",
	AsyncAcquire:         "a takeover does not wait for the standby",
	AsyncRenewal:         "a renewal does not wait for the standby, and the former primary lives on",
	AsyncDecision:        "the decision about a lost COMMIT does not wait for the standby",
	IgnoredNotice:        "a cancelled wait for the standby counts as a commit",
	LostMeansCommitted:   "a lost COMMIT counts as committed",
	LostMeansFailed:      "a lost COMMIT counts as failed",
	DecisionReads:        "the decision does not wait for the locks of what is in doubt",
	DecisionIgnoresToken: "the decision compares the number of the batch alone",
	BatchGoesOn:          "a takeover leaves the former holder's batch in the row",
	WritesInDoubt:        "a second writer commits while a transaction is in doubt",
	ClaimsInDoubt:        "attempts are recorded on another connection while a transaction is in doubt",
	DoubtForgotten:       "a doubtful claim is not taken back",
	WipeTried:            "a doubtful message is deleted even if it was tried",
	EarlyRequest:         "the request begins before the attempt is durable",
	LocksRemain:          "the database never ends a transaction whose connection broke",
	FenceReads:           "the token is read and not locked",
	NoFence:              "nobody compares the token",
	NoDeadline:           "attempts brought back are due at once",
	DeadlineFromClaim:    "the takeover sets the deadline by when the attempt was recorded, not by its own time",
	DeadlineWithoutTrust: "the deadline leaves out how long the former holder may still begin",
	DeadlineFromRequest:  "the time limit begins with the request, not before the attempt is recorded",
	NoCheck:              "a request begins without a fresh confirmation of the lease",
	FreshFromAnswer:      "a confirmation counts from its answer",
	RetryIgnoresDeadline: "an operator's retry makes a message due at once",
	NodeClock:            "the deadline is compared with a node's clock, which is ahead",
	NotUnknown:           "attempts brought back are not marked unknown",
	HoldIgnored:          "attempts brought back are retried whatever is configured",
	NumberTakenBack:      "an attempt that ends without an answer is not counted",
	SlotsForgotten:       "running requests of a former holder take no slot",
	LateSettlesAll:       "a late answer settles whatever attempt is open",
}

// String is the fault in words.
func (f Fault) String() string { return faults[f] }
