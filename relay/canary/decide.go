package canary

import (
	"time"

	"graphrelay/relay/spool"
)

// Stage is how far the newest canary has come.
type Stage string

// The stages.
const (
	Queued  Stage = "queued"  // it waits in the queue or is being sent: what stops it is another fault
	Sent    Stage = "sent"    // Microsoft accepted it, and it is looked for
	Missing Stage = "missing" // it should be in the Inbox, and is still looked for
	Arrived Stage = "arrived"
	Failed  Stage = "failed"  // it was given up, or came back
	Deleted Stage = "deleted" // by an operator
)

const (
	// Every is the time from one canary to the next.
	Every = 24 * time.Hour
	// Patience is how long after Microsoft accepted it a canary may take to arrive.
	Patience = time.Hour

	// A clock that leapt, or a host that slept, must not raise an alarm before the mailbox
	// was read some times, nor put one off: at one look a minute the most take over an hour.
	fewestLooks = 5
	mostLooks   = 80
)

// search is what looking for a canary has shown since the start.
type search struct {
	looks int  // in vain
	junk  bool // it is in Junk Email
}

// stage decides how far a canary has come: rec is what the queue knows of it, nil where its
// history ended before it was found, and arrived whether it was found. It is pure.
func stage(rec *spool.Record, arrived bool, seen search, now time.Time) Stage {
	switch {
	case arrived:
		return Arrived
	case rec == nil:
		return Missing
	case rec.State == spool.Deleted:
		return Deleted
	case rec.State == spool.Failed || rec.State == spool.Damaged || rec.Bounces > 0:
		return Failed
	case rec.State != spool.Sent:
		return Queued
	case seen.looks >= fewestLooks && now.Sub(rec.FinishedAt) >= Patience || seen.looks >= mostLooks || seen.junk:
		return Missing
	}
	return Sent
}

// due decides whether the next canary is to be sent, with the newest one, which was begun
// then, at a stage: never while that waits in the queue. A day that lies ahead means that
// the clock was wrong. It is pure.
func due(begun time.Time, s Stage, now time.Time) bool {
	return s != Queued && now.Sub(begun).Abs() >= Every
}

// travel is how long a message was on its way: the clocks of two hosts may differ.
func travel(accepted, received time.Time) time.Duration { return max(received.Sub(accepted), 0) }
