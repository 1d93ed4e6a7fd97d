package message

import (
	"bytes"

	"graphrelay/relay/envelope"
)

// visible makes the fields of one kind, To or Cc, name nobody outside the
// envelope, and marks whom they cover.
func (p *plan) visible(k kind, name string) error {
	var fields []int
	for i, f := range p.h.fields {
		if f.kind == k {
			fields = append(fields, i)
		}
	}
	switch len(fields) {
	case 0:
		return nil
	case 1:
		l, err := p.parse(p.h.value(p.h.fields[fields[0]]))
		if err == nil && untouched(&l) {
			p.cover(&l)
			return nil
		}
	}
	return p.rewrite(fields, name)
}

// noRcpt marks a mailbox outside the envelope.
const noRcpt = -1

// parse is parseList that also finds out which mailboxes are in the envelope.
func (p *plan) parse(v []byte) (list, error) {
	l, err := parseList(v)
	for i := range l.boxes {
		l.boxes[i].rcpt = p.find(l.boxes[i])
	}
	return l, err
}

// find also denies a source route, which other readers might take for a
// different address. Its recipient gets the message blind.
func (p *plan) find(b box) int {
	if b.addr.IsZero() || b.route {
		return noRcpt
	}
	if i, ok := p.index[b.addr.Key()]; ok {
		return i
	}
	return noRcpt
}

// untouched tells whether a field can stay as it is. A domain in other letters
// than ASCII cannot: not every reader maps it to the host in the envelope.
func untouched(l *list) bool {
	if l.shifted {
		return false
	}
	for _, b := range l.boxes {
		if b.name > 0 || b.wide || b.rcpt == noRcpt {
			return false
		}
	}
	return true
}

func (p *plan) cover(l *list) {
	for _, b := range l.boxes {
		p.covered[b.rcpt] = true
	}
}

// rewrite merges the fields into the first that can be read, and keeps each
// that loses an address under our name.
func (p *plan) rewrite(fields []int, name string) error {
	var merged []byte
	first := -1
	texts := make(map[int][]byte, len(fields))
	for _, i := range fields {
		l, err := p.parse(p.h.value(p.h.fields[i]))
		if err != nil {
			if p.extra == RejectExtra {
				return p.h.refuseField(p.h.fields[i], err)
			}
			note(&p.report.Unreadable, string(p.h.name(p.h.fields[i])))
			texts[i] = p.setAside(i, name)
			continue
		}
		trimmed, err := p.trimmed(&l)
		if err != nil {
			return err
		}
		if trimmed {
			texts[i] = p.setAside(i, name)
		}
		if first < 0 {
			first = i
		}
		merged = appendList(merged, l.keep())
	}
	p.put(fields, first, name, merged, texts)
	return nil
}

// put plans the new fields, once the merged list has been read again: what is
// written here decides who gets the message. A list that fails is set aside.
func (p *plan) put(fields []int, first int, name string, merged []byte, texts map[int][]byte) {
	l, err := p.parse(merged)
	good := err == nil && untouched(&l)
	if good {
		p.cover(&l)
	}
	if good && len(merged) > 0 {
		f := p.h.fields[first]
		field := append(bytes.Clone(p.h.raw[f.start:f.colon+1]), merged...)
		texts[first] = append(append(field, "\r\n"...), texts[first]...)
	}
	for _, i := range fields {
		if _, kept := texts[i]; !good && !kept {
			texts[i] = p.setAside(i, name)
		}
		p.change(i, texts[i])
	}
}

func (p *plan) setAside(i int, name string) []byte {
	p.added(ourPrefix + name)
	return p.kept(i, name)
}

// trimmed reports the addresses of l that will go.
func (p *plan) trimmed(l *list) (bool, error) {
	any := false
	for _, b := range l.boxes {
		if b.rcpt != noRcpt {
			continue
		}
		any = true
		text := printable(string(clip(l.text(b))))
		if p.extra == RejectExtra && !p.known(b.addr) {
			return true, refuse("Message header names a recipient that the envelope does not").
				Becausef("header recipient %q", text)
		}
		note(&p.report.Trimmed, text)
	}
	return any, nil
}

func (p *plan) known(a envelope.Address) bool {
	_, ok := p.index[a.Key()]
	return ok
}

// checkBlind looks at Bcc fields for the report and for RejectExtra; what they
// say is replaced in any case.
func (p *plan) checkBlind() error {
	for _, f := range p.h.fields {
		if f.kind != kindBcc {
			continue
		}
		l, err := p.parse(p.h.value(f))
		if err == nil {
			_, err = p.trimmed(&l)
		} else if p.extra == RejectExtra {
			err = p.h.refuseField(f, err)
		} else {
			note(&p.report.Unreadable, string(p.h.name(f)))
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keep writes l without the mailboxes outside the envelope. Bytes, display
// names and folds of the others stay; the first that is left takes the blanks
// that stood before the list. A group that loses all its members goes, one that
// never had any stays.
func (l *list) keep() []byte {
	var out []byte
	for _, e := range l.entries {
		text := l.keepBoxes(e)
		if e.group && (len(text) > 0 || e.first == e.last) {
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
	return trimRight(out)
}

func (l *list) keepBoxes(e entry) []byte {
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
func (l *list) written(b box) []byte {
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

// replaced writes a list with the octets from lo to hi of some mailboxes replaced
// by others, nil for none; false where nothing was, or v has no single reading.
func replaced(v []byte, part func(*list, box) (lo, hi int, by []byte)) ([]byte, bool) {
	l, err := parseList(v)
	if err != nil {
		return nil, false
	}
	var out []byte
	done := 0
	for _, b := range l.boxes {
		if lo, hi, by := part(&l, b); by != nil {
			out = append(append(out, v[done:lo]...), by...)
			done = hi
		}
	}
	return append(out, v[done:]...), done > 0
}

// appendList joins two lists on a line of their own each.
func appendList(to, more []byte) []byte {
	if len(to) == 0 || len(more) == 0 {
		return append(to, more...)
	}
	return append(append(to, ",\r\n "...), trimLeft(more)...)
}

func leading(v []byte) []byte { return v[:len(v)-len(trimLeft(v))] }

func trimLeft(v []byte) []byte { return bytes.TrimLeft(v, " \t\r\n") }

func trimRight(v []byte) []byte { return bytes.TrimRight(v, " \t\r\n") }
