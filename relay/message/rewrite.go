package message

import (
	"bytes"
	"strings"

	"graphrelay/relay/envelope"
)

// AuthorEdits say how the fields that name authors must differ. The zero value
// changes nothing.
type AuthorEdits struct {
	From       envelope.Address // takes the place of the address in From, or makes a From; zero leaves it
	ReplyTo    envelope.Address // goes to Reply-To unless the message has one; zero for none
	DropSender bool             // takes Sender out
}

// Rewrite makes the edits. From keeps its display name, or has a comment for
// one, `root (Cron Daemon)`; where that would not be read as one mailbox, From
// is the address alone. A ReplyTo that a header cannot carry safely is left
// out. names are those of the fields that changed, came or went.
func (h *Header) Rewrite(e AuthorEdits) (rewritten *Header, names []string) {
	values := make(map[int][]byte)
	var more []newField
	if from := h.numbers("From"); !e.From.IsZero() {
		note(&names, "From")
		if len(from) > 0 {
			values[from[0]] = authorValue(h.value(h.fields[from[0]]), e.From)
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
	if sender := h.numbers("Sender"); e.DropSender && len(sender) > 0 {
		note(&names, "Sender")
		values[sender[0]] = nil
	}
	return h.revised(values, more), names
}

// numbers finds the fields of a name.
func (h *Header) numbers(name string) []int {
	var all []int
	for i, f := range h.fields {
		if equalFold(h.name(f), name) {
			all = append(all, i)
		}
	}
	return all
}

// repliesElsewhere tells whether some Reply-To says something.
func (h *Header) repliesElsewhere() bool {
	for _, i := range h.numbers("Reply-To") {
		if len(trimBlank(h.value(h.fields[i]))) > 0 {
			return true
		}
	}
	return false
}

// authorValue writes a with the display name that old has. It is read again
// before it is used: what another reader could cut differently is not written.
func authorValue(old []byte, a envelope.Address) []byte {
	bare := []byte(" " + a.String())
	name := displayName(old)
	if len(name) == 0 {
		return bare
	}
	v := bytes.Join([][]byte{{' '}, name, []byte(" <"), []byte(a.String()), {'>'}}, nil)
	if l, ok := oneMailbox(v); !ok || !l.boxes[0].addr.Equal(a) {
		return bare
	}
	return v
}

// displayName is the phrase before the angle bracket with its own bytes and
// folds, or else the first comment behind the address; nil without either, and
// for a value that is not one mailbox.
func displayName(v []byte) []byte {
	l, err := parseList(v)
	if err != nil || len(l.boxes) != 1 || l.entries[0].group {
		return nil
	}
	b := l.boxes[0]
	if b.name > 0 {
		return bytes.Join([][]byte{{}, v[b.nameLo:b.name], {}}, []byte{'"'})
	}
	if phrase := l.phrase(b); len(phrase) > 0 {
		return phrase
	}
	return atomsOf(l.remark(b))
}

// atomsOf makes a display name of a text, in quotes where it needs them.
func atomsOf(remark string) []byte {
	text := strings.Join(strings.Fields(remark), " ")
	if strings.IndexFunc(text, isNoAtom) >= 0 {
		text = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
	}
	return []byte(text)
}

// isNoAtom tells of what cannot stand in a phrase without quotes. Encoded words
// can, and must, or nobody would decode them.
func isNoAtom(r rune) bool {
	const atext = "!#$%&'*+-/=?^_`{|}~ "
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(atext, r))
}
