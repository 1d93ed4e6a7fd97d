package spool

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"graphrelay/relay/envelope"
)

// The rules that every store keeps. They are pure: a store looks up, asks here, and writes.

// States lists every state.
func States() []State {
	return []State{Queued, Deferred, Paused, Sending, Held, Failed, Damaged, Sent, Deleted}
}

// Waiting lists the states in which a message waits for an attempt.
func Waiting() []State { return []State{Queued, Deferred, Paused} }

// Unsent lists the states of messages that are stored and not sent.
func Unsent() []State { return []State{Queued, Deferred, Paused, Sending, Held, Failed, Damaged} }

// ParseStates reads the name of a state. Names of older versions select what they
// selected then; "waiting" was the console's.
func ParseStates(name string) ([]State, error) {
	old := map[string][]State{
		"active": {Sending}, "bounced": {Failed}, "waiting": append(Waiting(), Sending),
	}
	if states := old[name]; states != nil {
		return states, nil
	}
	return []State{State(name)}, State(name).Check()
}

// Stored is the state under which a store keeps a message in this state.
func (s State) Stored() State {
	if slices.Contains(Waiting(), s) {
		return Queued
	}
	return s
}

// Shown returns a record as people see it, from the record as it is stored and the
// holds in force: a message that waits is Paused by a hold that stops it, else
// Deferred if it was attempted. It is the only place that decides so, and stores
// return nothing else. It is pure.
func Shown(r Record, holds []Hold) Record {
	if r.State != Queued {
		return r
	}
	for i, h := range holds {
		if h.Stops(r.Message) && (r.PausedBy == nil || r.PausedBy.Narrow() && !h.Narrow()) {
			r.State, r.PausedBy = Paused, &holds[i]
		}
	}
	if r.State == Queued && r.Attempts > 0 {
		r.State = Deferred
	}
	return r
}

// Check returns an error for a state that does not exist.
func (s State) Check() error {
	if slices.Contains(States(), s) {
		return nil
	}
	return fmt.Errorf("spool: %q is not a state", string(s))
}

// InQueue returns whether messages in this state count against queue.max_messages.
func (s State) InQueue() bool { return s.Stored() == Queued || s == Sending || s == Held }

// KeepsBody returns whether messages in this state keep their stored bytes.
func (s State) KeepsBody() bool { return s.InQueue() || s == Failed || s == Damaged }

// CheckMessage refuses a message that no store can keep.
func CheckMessage(m *Message) error {
	switch {
	case m.ID == "":
		return errors.New("spool: a message needs a queue ID")
	case m.Mailbox.IsZero():
		return errors.New("spool: a message needs a mailbox")
	}
	return nil
}

// CheckOutcome refuses a state that is not the outcome of an attempt.
func CheckOutcome(to State) error {
	if err := to.Check(); err != nil {
		return err
	}
	if to == Sending || to == Deleted {
		return fmt.Errorf("%w: %s is not an outcome", ErrState, to)
	}
	return nil
}

// CanMove returns whether Move may take a message from one state to another.
func CanMove(from, to State, bodyGone bool) bool {
	switch from.Stored() {
	case Queued, Held:
		return to != Sending && to != Deleted
	case Failed, Damaged:
		return !bodyGone && (to == Queued || to == Held)
	}
	return false
}

// CanDelete returns whether Delete applies to a message in this state.
func CanDelete(from State) bool { return from != Sending && from.KeepsBody() }

// MoveSetsText returns whether a move replaces LastText by its reason.
func MoveSetsText(from, to State) bool { return to == Held || from == Held && to == Queued }

// OutcomeEvent is the history row of an attempt that ended in a state.
func OutcomeEvent(to State) EventKind {
	return cmp.Or(map[State]EventKind{
		Queued: EventDeferred, Deferred: EventDeferred, Paused: EventPaused, Held: EventHeld, Sent: EventSent,
		Deleted: EventDeleted,
	}[to], EventFailed)
}

// MoveEvent is the history row of a move.
func MoveEvent(to State) EventKind {
	if to == Queued {
		return EventReleased
	}
	return OutcomeEvent(to)
}

// History completes the stored events of a message, in order, by its acceptance.
func History(id envelope.QueueID, accepted time.Time, stored []Event) []Event {
	events := append([]Event{{At: accepted, Kind: Accepted}}, stored...)
	for i := range events {
		events[i].ID = id
	}
	return events
}

// Reportable returns whether an event is a bounce that its sender should know of.
func (e Event) Reportable() bool { return e.Kind == EventBounced && !e.Probable }

// ClientKey is the key of the hold of one client's mail in a mailbox.
func ClientKey(mailbox envelope.Address, client string) string {
	return "client:" + mailbox.Key() + " of " + client
}

// ClientOf is the client whose mail in a mailbox the hold with this key stops; ""
// for other holds.
func ClientOf(key string, mailbox envelope.Address) string {
	if client, ok := strings.CutPrefix(key, ClientKey(mailbox, "")); ok {
		return client
	}
	return ""
}

// LargeKey is the key of the hold of the messages of a mailbox that have more than
// above bytes.
func LargeKey(mailbox envelope.Address, above int64) string {
	return "large:" + mailbox.Key() + " above " + strconv.FormatInt(above, 10)
}

// AboveOf is the size above which the hold with this key stops messages of a mailbox;
// 0 for other holds.
func AboveOf(key string, mailbox envelope.Address) int64 {
	size, _ := strings.CutPrefix(key, strings.TrimSuffix(LargeKey(mailbox, 0), "0"))
	above, _ := strconv.ParseInt(size, 10, 64)
	return above
}

// Narrow reports whether a hold stops only some of the mail of its mailbox.
func (h Hold) Narrow() bool { return !h.From.IsZero() || h.Client != "" || h.Above > 0 }

// Reaches reports whether a hold stops mail of a mailbox, or some of it. That of an
// identity stops the mailboxes that it names: none until mail of the identity met it.
func (h Hold) Reaches(mailbox envelope.Address) bool {
	if !h.Mailbox.IsZero() {
		return h.Mailbox.Equal(mailbox)
	}
	return slices.ContainsFunc(h.Mailboxes, mailbox.Equal)
}

// Stops reports whether a hold stops a message.
func (h Hold) Stops(m Message) bool { return h.Reaches(m.Mailbox) && h.Covers(m) }

// Covers reports whether a hold stops a message of a mailbox that it stops.
func (h Hold) Covers(m Message) bool {
	return (h.From.IsZero() || h.From.Equal(m.From)) && (h.Client == "" || h.Client == m.Client.Name) &&
		(h.Above == 0 || m.Size > h.Above)
}

// HeldTime adds a hold that stopped a message from since (or from when it was
// accepted) until its end to the time that the message was held before. However
// many holds overlap, the sum never exceeds the age of the message.
func HeldTime(before time.Duration, accepted, since, until time.Time) time.Duration {
	begin := since
	if accepted.After(begin) {
		begin = accepted
	}
	if !until.After(begin) {
		return before
	}
	return max(before, min(before+until.Sub(begin), until.Sub(accepted)))
}

// maxText bounds the text that is kept of an outcome, in bytes.
const maxText = 2048

// CutText cuts the text of an outcome to what a store keeps.
func CutText(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "")
}
