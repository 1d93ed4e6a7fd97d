package spool

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"graphrelay/relay/envelope"
)

// The rules that every store keeps. They are pure: a store looks up, asks here, and writes.

// States lists every state.
func States() []State {
	return []State{Queued, Active, Held, Failed, Damaged, Sent, Bounced, Deleted}
}

// Check returns an error for a state that does not exist.
func (s State) Check() error {
	if slices.Contains(States(), s) {
		return nil
	}
	return fmt.Errorf("spool: %q is not a state", string(s))
}

// InQueue returns whether messages in this state count against queue.max_messages.
func (s State) InQueue() bool { return s == Queued || s == Active || s == Held }

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
	if to == Active || to == Deleted {
		return fmt.Errorf("%w: %s is not an outcome", ErrState, to)
	}
	return nil
}

// CanMove returns whether Move may take a message from one state to another.
func CanMove(from, to State, bodyGone bool) bool {
	switch from {
	case Queued, Held:
		return to != Active && to != Deleted
	case Failed, Damaged:
		return !bodyGone && (to == Queued || to == Held)
	}
	return false
}

// CanDelete returns whether Delete applies to a message in this state.
func CanDelete(from State) bool { return from != Active && from.KeepsBody() }

// MoveSetsText returns whether a move replaces LastText by its reason.
func MoveSetsText(from, to State) bool { return to == Held || from == Held && to == Queued }

// OutcomeEvent is the history row of an attempt that ended in a state.
func OutcomeEvent(to State, unknown bool) EventKind {
	if to == Queued && unknown {
		return EventUnknown
	}
	return cmp.Or(map[State]EventKind{
		Queued: EventDeferred, Held: EventHeld, Sent: EventSent, Bounced: EventBounced, Deleted: EventDeleted,
	}[to], EventFailed)
}

// MoveEvent is the history row of a move.
func MoveEvent(to State) EventKind {
	if to == Queued {
		return EventReleased
	}
	return OutcomeEvent(to, false)
}

// History completes the stored events of a message, in order, by its acceptance.
func History(id envelope.QueueID, accepted time.Time, stored []Event) []Event {
	events := append([]Event{{At: accepted, Kind: Accepted}}, stored...)
	for i := range events {
		events[i].ID = id
	}
	return events
}

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

// Narrow reports whether a hold stops only some of the mail of its mailbox.
func (h Hold) Narrow() bool { return !h.From.IsZero() || h.Client != "" }

// Covers reports whether a hold stops a message of a mailbox that it stops.
func (h Hold) Covers(m Message) bool {
	return (h.From.IsZero() || h.From.Equal(m.From)) && (h.Client == "" || h.Client == m.Client.Name)
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
