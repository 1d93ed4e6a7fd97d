package spool

import (
	"cmp"
	"time"
)

// Turn is whose message it is where the mail of a mailbox takes turns: a client, and
// inside it one address or one user of this host. The zero Turn is the service's own.
type Turn struct{ Client, Member string }

// Turn returns whose message it is. Reports and test mail are the service's own.
func (m Message) Turn() Turn {
	t := Turn{m.Client.Name, m.Client.String()}
	switch {
	case m.ReportOf != "" || m.Client.Own():
		return Turn{}
	case m.Client.User != "":
		t.Member = "user " + m.Client.User
	}
	return t
}

// Compare orders turns by client, then member.
func (t Turn) Compare(o Turn) int {
	return cmp.Or(cmp.Compare(t.Client, o.Client), cmp.Compare(t.Member, o.Member))
}

// Quota is how many messages of one turn a claim takes at most, and the store's answer
// when the rest of them is due.
type Quota struct {
	Turn
	Limit int       // = 1
	After time.Time // skip messages that were due before: the claim is known to skip them all

	// Next is set by Claim, but by no probe: the earliest NextAttempt of what is left,
	// or where the claim found less than Limit, of what is due after its Now; zero: none is.
	Next time.Time
}

// Waits is what waits for an attempt in one turn of a lane.
type Waits struct {
	Turn
	Messages int
	Next     time.Time // earliest NextAttempt
}

// MaxTurns is how many turns of a lane Lanes lists at most, so that nobody fills
// memory by sending each message from another address.
const MaxTurns = 10_000
