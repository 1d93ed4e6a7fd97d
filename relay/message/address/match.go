package address

import (
	"bytes"
	"slices"

	"graphrelay/relay/envelope"
)

// noRcpt marks a mailbox outside the envelope.
const noRcpt = -1

// Match finds which mailboxes are recipients of the envelope; recipients maps
// their Keys to their numbers. The methods of this file need it. It ignores an
// address with a source route, which other readers might take for a different
// one.
func (l *List) Match(recipients map[string]int) {
	for i := range l.boxes {
		b := &l.boxes[i]
		b.rcpt = noRcpt
		if b.addr.IsZero() || b.route {
			continue
		}
		if n, ok := recipients[b.addr.Key()]; ok {
			b.rcpt = n
		}
	}
}

// Exact reports whether a field can stay as it is: every reader finds
// recipients of the envelope in it and nobody else. A domain in letters beyond
// ASCII cannot stay, since not every reader maps it to the host in the envelope.
// In a signed field a name may stay that some readers cut at a comma.
func (l *List) Exact(signed bool) bool {
	return !l.changes() && (!l.masked || l.cut && signed) &&
		!slices.ContainsFunc(l.boxes, func(b box) bool { return b.rcpt == noRcpt })
}

// Rewrites reports whether Keep writes display names or addresses in another form,
// for one that readers disagree about.
func (l *List) Rewrites() bool { return l.masked || l.changes() }

// changes is Rewrites without what encoded words hide.
func (l *List) changes() bool {
	return l.shifted || slices.ContainsFunc(l.boxes, func(b box) bool { return b.name > 0 || b.wide })
}

// Dissolves reports whether Keep leaves out the names of groups.
func (l *List) Dissolves() bool {
	return l.masked && slices.ContainsFunc(l.entries, func(e entry) bool { return e.group })
}

// Cover sets covered for each recipient that an Exact list names.
func (l *List) Cover(covered []bool) {
	for _, b := range l.boxes {
		covered[b.rcpt] = true
	}
}

// Outsider is a mailbox of a list that Match did not find.
type Outsider struct {
	Text    []byte           // as written
	Address envelope.Address // zero if Text is not an address
}

// Outsiders returns what Keep leaves out.
func (l *List) Outsiders() []Outsider {
	var all []Outsider
	for _, b := range l.boxes {
		if b.rcpt == noRcpt {
			all = append(all, Outsider{l.text(b), b.addr})
		}
	}
	return all
}

// Keep writes l without the mailboxes outside the envelope. Bytes, display
// names and folds of the others stay; the first that is left takes the blanks
// that were before the list. A group that loses all its members goes, one that
// never had any stays. Where Dissolves is true, members stay without their group.
func (l *List) Keep() []byte {
	var out []byte
	for _, e := range l.entries {
		text := l.keepBoxes(e)
		if e.group && !l.masked && (len(text) > 0 || e.first == e.last) {
			text = append(append(bytes.Clone(l.value[e.lo:e.head]), text...), l.value[e.tail:e.hi]...)
		}
		if len(text) == 0 {
			continue
		}
		if out == nil {
			out = append(bytes.Clone(leading(l.value)), trimLeft(text)...)
			continue
		}
		out = append(append(out, ','), text...)
	}
	return bytes.TrimRight(out, blanks)
}

func (l *List) keepBoxes(e entry) []byte {
	var out []byte
	for _, b := range l.boxes[e.first:e.last] {
		if b.rcpt == noRcpt {
			continue
		}
		if out != nil {
			out = append(out, ',')
		}
		out = append(out, l.written(b)...)
	}
	return out
}

// written is the mailbox with a display name that is a bare address put in
// quotes, with a domain in A-labels, and unfolded where that makes a
// difference; every other mailbox is left as it is.
func (l *List) written(b box) []byte {
	if l.masked && !b.addr.IsZero() {
		return append(bytes.Clone(leading(l.value[b.lo:])), mailboxOf(l.around(b), b.addr)...)
	}
	var out []byte
	at := b.lo
	if b.name > 0 {
		out = append(append(append(append(out, l.value[at:b.nameLo]...), '"'), l.value[b.nameLo:b.name]...), '"')
		at = b.name
	}
	if b.wide {
		out = append(append(out, l.value[at:b.textLo]...), b.addr.String()...)
		at = b.text
	}
	out = append(out, l.value[at:b.hi]...)
	if l.shifted {
		out = append(bytes.Clone(leading(out)), bytes.ReplaceAll(trimLeft(out), []byte("\r\n"), nil)...)
	}
	return out
}

// Join appends a list to another, on a line of its own.
func Join(to, more []byte) []byte {
	if len(to) == 0 || len(more) == 0 {
		return append(to, more...)
	}
	return append(append(to, ",\r\n "...), trimLeft(more)...)
}
