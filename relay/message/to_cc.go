package message

import (
	"bytes"

	"graphrelay/relay/message/address"
	"graphrelay/relay/text"
)

// toCc makes the fields of one name, To or Cc, name nobody outside the envelope,
// and marks whom they cover.
func (p *plan) toCc(name string) error {
	fields := p.h.numbers(name)
	switch len(fields) {
	case 0:
		return nil
	case 1:
		l, err := p.parse(p.h.value(p.h.fields[fields[0]]))
		if err == nil && l.Exact(p.signed) {
			l.Cover(p.covered)
			return nil
		}
	}
	return p.merge(fields, name)
}

// parse reads a list and finds out which of its mailboxes are in the envelope.
func (p *plan) parse(v []byte) (address.List, error) {
	l, err := address.Parse(v)
	l.Match(p.index)
	return l, err
}

// merge puts the fields together in the first that can be read, and keeps each
// that loses an address under our name.
func (p *plan) merge(fields []int, name string) error {
	var merged []byte
	first := -1
	texts := make(map[int][]byte, len(fields))
	for _, i := range fields {
		l, err := p.parse(p.h.value(p.h.fields[i]))
		if err != nil {
			if err := p.unreadable(p.h.fields[i], err); err != nil {
				return err
			}
			texts[i] = p.setAside(i, name)
			continue
		}
		trimmed, err := p.trim(&l)
		if err != nil {
			return err
		}
		if l.Rewrites() {
			note(&p.report.Renamed, name)
		}
		if trimmed || l.Dissolves() {
			texts[i] = p.setAside(i, name)
		}
		if first < 0 {
			first = i
		}
		merged = address.Join(merged, l.Keep())
	}
	p.put(fields, first, name, merged, texts)
	return nil
}

// put plans the new fields, once the merged list has been read again: what is
// written here decides who gets the message. A list that fails is set aside.
func (p *plan) put(fields []int, first int, name string, merged []byte, texts map[int][]byte) {
	l, err := p.parse(merged)
	good := err == nil && l.Exact(false)
	if good {
		l.Cover(p.covered)
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

// unreadable reports or refuses a field that has no single reading.
func (p *plan) unreadable(f field, cause error) error {
	if p.extra == RejectExtra {
		return p.h.refuseField(f, cause)
	}
	note(&p.report.Unreadable, string(p.h.name(f)))
	return nil
}

// trim reports or refuses the addresses of l that are not in the envelope.
func (p *plan) trim(l *address.List) (trimmed bool, err error) {
	outside := l.Outsiders()
	for _, o := range outside {
		if _, known := p.index[o.Address.Key()]; p.extra == RejectExtra && !known {
			return true, refuse("Message header names a recipient that the envelope does not").
				Becausef("header recipient %q", clip(o.Text))
		}
		note(&p.report.Trimmed, text.Cut(string(o.Text), maxShown))
	}
	return len(outside) > 0, nil
}
