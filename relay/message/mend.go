package message

import (
	"bytes"

	"graphrelay/relay/envelope"
)

// The functions of this file and of rewrite.go return a Header that differs
// from h in the fields that they name, and only there: every other field keeps
// its bytes and its place. They return h itself where nothing is to be done.
// They come before Authors and Apply, which look at what is left to judge.

// QuoteNames puts a bare @ in a display name within quotes, as
// `From: printer@d.example <printer@d.example>` needs it, in From, Sender,
// Resent-From and Resent-Sender. The address is not changed: it is what stands
// in angle brackets. A field that is then still no single mailbox stays as it
// was. names are those of the changed fields.
func (h *Header) QuoteNames() (quoted *Header, names []string) {
	values := make(map[int][]byte)
	for i, f := range h.fields {
		switch f.kind {
		case kindFrom, kindSender, kindResentFrom, kindResentSender:
			if v, ok := quoteName(h.value(f)); ok {
				values[i] = v
				note(&names, string(h.name(f)))
			}
		}
	}
	return h.revised(values, nil), names
}

// quoteName quotes each word with an @ before the angle bracket; false where
// there is none, or the value is not one mailbox afterwards.
func quoteName(v []byte) ([]byte, bool) {
	p := parser{list: list{value: v}}
	var out []byte
	done := 0
	for p.skip() == nil && !p.end() && !p.at('<') {
		lo := p.i
		if !p.nameWord() || !p.wordEnds() {
			return nil, false
		}
		word := v[lo:p.i]
		if word[0] == '"' || bytes.IndexByte(word, '@') < 0 {
			continue
		}
		if isEncodedWord(word) {
			return nil, false // no reader would decode it within quotes, or some would
		}
		out = append(append(append(append(out, v[done:lo]...), '"'), word...), '"')
		done = p.i
	}
	if done == 0 || !p.at('<') {
		return nil, false
	}
	out = append(out, v[done:]...)
	_, ok := oneMailbox(out)
	return out, ok
}

// nameWord passes a word of a display name, in which an @ may stand bare.
func (p *parser) nameWord() bool {
	if p.at('"') {
		return p.quoted() == nil
	}
	lo := p.i
	for !p.end() && (p.at('@') || isWordByte(p.value[p.i])) {
		p.i++
	}
	return p.i > lo
}

// wordEnds tells whether what follows a word cannot be taken for more of it.
func (p *parser) wordEnds() bool {
	return p.end() || bytes.IndexByte([]byte(" \t\r\n(<"), p.value[p.i]) >= 0
}

// oneMailbox reads a list of exactly one valid address, without a group and
// without an @ outside of the address.
func oneMailbox(v []byte) (list, bool) {
	l, err := parseList(v)
	if err != nil || l.shifted || len(l.boxes) != 1 || len(l.entries) != 1 || l.entries[0].group {
		return list{}, false
	}
	return l, !l.boxes[0].addr.IsZero() && l.boxes[0].name == 0
}

// ExpandAliases puts full addresses in the place of local recipients in To, Cc
// and Bcc, `To: root` and root@localhost, wherever alias knows one; display
// names and comments stay. alias should know those that RCPT named and no others: "Smith" in
// `To: Smith, Ann <a@d.example>` looks like a local recipient too.
func (h *Header) ExpandAliases(alias func(envelope.Address) (envelope.Address, bool)) (expanded *Header, names []string) {
	values := make(map[int][]byte)
	for i, f := range h.fields {
		switch f.kind {
		case kindTo, kindCc, kindBcc:
			if v, ok := expand(h.value(f), alias); ok {
				values[i] = v
				note(&names, string(h.name(f)))
			}
		}
	}
	return h.revised(values, nil), names
}

func expand(v []byte, alias func(envelope.Address) (envelope.Address, bool)) ([]byte, bool) {
	return replaced(v, func(_ *list, b box) (lo, hi int, by []byte) {
		if d := b.addr.Domain(); b.addr.IsZero() || d != "" && d != "localhost" {
			return 0, 0, nil
		}
		to, ok := alias(b.addr)
		if !ok || to.Domain() == "" || CheckRecipient(to) != nil {
			return 0, 0, nil
		}
		return b.textLo, b.text, []byte(to.String())
	})
}

// newField is a field to add.
type newField struct{ name, value string }

// revised is h with other values, by field number: what stands between the
// colon and the last CRLF, or nil to drop the field. more goes to the end, for
// the trace fields of other hosts stay together at the top.
func (h *Header) revised(values map[int][]byte, more []newField) *Header {
	if len(values) == 0 && len(more) == 0 {
		return h
	}
	out := &Header{raw: make([]byte, 0, len(h.raw)+512), fields: make([]field, 0, len(h.fields)+len(more)), notes: h.notes}
	for i, f := range h.fields {
		v, changed := values[i]
		if !changed {
			v = h.value(f)
		}
		if v != nil {
			out.push(h.name(f), v)
		}
	}
	for _, f := range more {
		out.push([]byte(f.name), []byte(f.value))
	}
	return out
}

func (h *Header) push(name, value []byte) {
	start := len(h.raw)
	h.raw = append(append(append(append(h.raw, name...), ':'), value...), "\r\n"...)
	h.fields = append(h.fields, field{
		start: int32(start), colon: int32(start + len(name)), end: int32(len(h.raw)),
		kind: kindOf(name),
	})
}
