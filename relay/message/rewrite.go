package message

import (
	"slices"

	"graphrelay/relay/envelope"
	"graphrelay/relay/message/address"
)

// AuthorEdits say how the fields that name authors must differ. The zero value
// changes nothing.
type AuthorEdits struct {
	From       envelope.Address // replaces the address in From, or makes a From; zero leaves it
	ReplyTo    envelope.Address // goes to Reply-To unless the message has one; zero for none
	Sender     envelope.Address // makes a Sender, in the place of an empty one; zero leaves it
	DropSender bool             // removes Sender
}

// Rewrite makes the edits. From keeps its display name, or has a comment for
// one, `root (Cron Daemon)`; if that could not be read as one mailbox, From is
// the address alone. A ReplyTo that a header cannot carry safely is left out.
// names are those of the fields that were changed, added or dropped.
func (h *Header) Rewrite(e AuthorEdits) (rewritten *Header, names []string) {
	values := make(map[int][]byte)
	var more []newField
	if from := h.numbers("From"); !e.From.IsZero() {
		note(&names, "From")
		if len(from) > 0 {
			values[from[0]] = address.Named(e.From, h.value(h.fields[from[0]]))
		} else {
			more = append(more, newField{"From", " " + e.From.String()})
		}
	}
	if a := e.ReplyTo; a.Domain() != "" && CheckRecipient(a) == nil && !h.repliesElsewhere() {
		note(&names, "Reply-To")
		more = append(more, newField{"Reply-To", " " + a.String()})
		for _, empty := range h.numbers("Reply-To") {
			values[empty] = nil
		}
	}
	sender := h.numbers("Sender")
	if (e.DropSender || !e.Sender.IsZero()) && len(sender) > 0 {
		note(&names, "Sender")
		values[sender[0]] = nil
	}
	if !e.Sender.IsZero() {
		note(&names, "Sender")
		more = append(more, newField{"Sender", " " + e.Sender.String()})
	}
	return h.revised(values, more), names
}

// numbers returns the numbers of the fields of a name.
func (h *Header) numbers(name string) []int {
	var all []int
	for i, f := range h.fields {
		if equalFold(h.name(f), name) {
			all = append(all, i)
		}
	}
	return all
}

// repliesElsewhere reports whether a Reply-To is not empty.
func (h *Header) repliesElsewhere() bool {
	return slices.ContainsFunc(h.numbers("Reply-To"), func(i int) bool {
		return len(trimBlank(h.value(h.fields[i]))) > 0
	})
}
