package model

// Fault is a rule that is left out, to show that the checker notices.
type Fault uint8

// The faults; String says what goes wrong.
const (
	NoFault Fault = iota
	EarlyReply
	AsyncCommit
	AsyncTakeover
	AsyncRenewal
	AsyncDecision
	IgnoredNotice
	LostMeansCommitted
	LostMeansFailed
	GoneMeansFailed
	DecisionReads
	WritesInDoubt
	DoubtForgotten
	DoubtUncounted
	WipeTried
	EarlyRequest
	FirstOfOthers
	LocksRemain
	FenceReads
	NoFence
	UnfencedTakeover
	ConflictIgnored
	SameRow
	RowStays
	LanesLater
	KeepsClaiming
	LateClaim
	OpenGivenBack
	ElsewhereGivenBack
	NoElsewhere
	ElsewhereForgotten
	ReadsAfterwards
	ElsewhereWithoutTrust
	NoCheck
	FreshFromAnswer
	RetryWhileSending
	NodeClock
	NotUnknown
	HoldIgnored
	NumberTakenBack
	SlotsForgotten
	LateSettlesAll
)

var faults = map[Fault]string{
	EarlyReply:            "250 when COMMIT has been sent",
	AsyncCommit:           "nothing waits for the standby",
	AsyncTakeover:         "a takeover does not wait for the standby",
	AsyncRenewal:          "a renewal does not wait for the standby, and the former primary lives on",
	AsyncDecision:         "the decision about a lost COMMIT does not wait for the standby",
	IgnoredNotice:         "a cancelled wait for the standby counts as a commit",
	LostMeansCommitted:    "a lost COMMIT counts as committed",
	LostMeansFailed:       "a lost COMMIT counts as failed",
	GoneMeansFailed:       "a node whose row is gone takes what is in doubt for failed",
	DecisionReads:         "the decision does not wait for the locks of what is in doubt",
	WritesInDoubt:         "a second writer commits while a transaction is in doubt",
	DoubtForgotten:        "a doubtful claim is not taken back",
	DoubtUncounted:        "a doubtful message that stays is not counted",
	WipeTried:             "a doubtful message is deleted even if it was tried",
	EarlyRequest:          "the request begins before the attempt is durable",
	FirstOfOthers:         "the first attempt is recorded with a message of another node's lane",
	LocksRemain:           "the database never ends a transaction whose connection broke",
	FenceReads:            "a node's row is read and not locked",
	NoFence:               "nobody looks whether the node's row is there",
	UnfencedTakeover:      "a takeover does not depend on the row of the node that makes it",
	ConflictIgnored:       "a transaction writes what another one has changed since it was read",
	SameRow:               "a node that starts again takes the row that it had",
	RowStays:              "a takeover takes the lanes and leaves the row",
	LanesLater:            "a takeover deletes the row first and takes the lanes later",
	KeepsClaiming:         "a node continues to use a lane that it gives back",
	LateClaim:             "an attempt that was asked for is recorded after its lane was given back",
	OpenGivenBack:         "a lane is given back while a message of it is being sent",
	ElsewhereGivenBack:    "a lane is given back while the process before may be sending a message of it",
	NoElsewhere:           "attempts of a dead process are due at once",
	ElsewhereForgotten:    "a takeover does not look which messages are being sent",
	ReadsAfterwards:       "a takeover looks after its commit which messages are being sent",
	ElsewhereWithoutTrust: "the wait for them leaves out how long their process may still begin requests",
	NoCheck:               "a node that wakes begins a request without a fresh confirmation of its lease",
	FreshFromAnswer:       "a confirmation counts from its answer",
	RetryWhileSending:     "an operator's retry makes a message due that is being sent",
	NodeClock:             "the wait is measured with a clock that somebody may set",
	NotUnknown:            "attempts brought back are not marked unknown",
	HoldIgnored:           "attempts brought back are retried whatever is configured",
	NumberTakenBack:       "an attempt that ends without an answer is not counted",
	SlotsForgotten:        "attempts of a dead process take no slot",
	LateSettlesAll:        "a late delivery is recorded whatever happened to the message since",
}

// String is the fault in words.
func (f Fault) String() string { return faults[f] }
