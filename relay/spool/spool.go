// Package spool is the contract of graphrelay's durable queue: its types, its
// errors, and the rules that every store keeps. A message answered with 250 is
// in the queue until its fate is recorded; its history stays for some time.
//
// # Promises
//
// A message that Commit accepted survives SIGKILL, a kernel crash and a power
// cut on storage that honours flush. A message whose Commit failed is not kept
// and does not come back after a restart. An attempt is durable before it is
// made. Memory stays bounded whatever the backlog or the size of a message.
// Nothing is deleted because of an error.
//
// # On failure
//
// After a failed commit a store reopens itself. Where that fails too, the store
// is unhealthy: Begin, Commit, Claim and Settle return ErrUnhealthy, and stored
// messages can still be read. With a full disk, Begin and Commit return ErrFull
// while Settle still works.
//
// # What it must not know
//
// A store knows neither SMTP nor Graph nor when to retry: callers say which
// state a message gets and when it is due. This package knows no engine either.
// relay/spool/sqlite is the engine, relay/spool/spooltest has a store in memory
// and the suite that both pass.
package spool

import (
	"errors"
	"fmt"

	"graphrelay/relay/envelope"
)

// Errors that callers distinguish with errors.Is.
var (
	ErrFull      = errors.New("spool: no room")                              // disk, inodes, or queue.max_messages
	ErrUnhealthy = errors.New("spool: unhealthy after a failed commit")      // nothing is written until the store recovers
	ErrNotFound  = errors.New("spool: no such message")                      // unknown queue ID
	ErrState     = errors.New("spool: message is in another state")          // e.g. settling an attempt that is not open
	ErrDamaged   = errors.New("spool: stored message is damaged")            // checksum or missing chunk
	ErrLocked    = errors.New("spool: another graphrelay uses this store")   // one daemon per store
	ErrSchema    = errors.New("spool: store was written by a newer version") // downgrade refused
	ErrSandbox   = errors.New("spool: store is of the other kind")           // a sandbox's store for a real relay, or the reverse

	// ErrClosed is returned for calls after Close; it is an ErrUnhealthy.
	ErrClosed = fmt.Errorf("%w: the store is closed", ErrUnhealthy)
	// ErrDraftOver is returned by a draft that was committed or aborted.
	ErrDraftOver = errors.New("spool: the draft is over")
	// ErrBodyClosed is returned by a stored message that was closed.
	ErrBodyClosed = errors.New("spool: the stored message is closed")
)

// NotFound is the ErrNotFound for a queue ID.
func NotFound(id envelope.QueueID) error { return fmt.Errorf("%w: %s", ErrNotFound, id) }

// NoReportOwed is the ErrState for a report of a message that owes none.
func NoReportOwed(id envelope.QueueID) error {
	return fmt.Errorf("%w: message %s owes no report", ErrState, id)
}

// WrongState is the ErrState for a message that a change does not fit; doing is
// an infinitive such as "settle".
func WrongState(id envelope.QueueID, doing string, is State, attempts int) error {
	return fmt.Errorf("%w: cannot %s message %s, which is %s after %d attempts", ErrState, doing, id, is, attempts)
}
