package address

import (
	"bytes"

	"graphrelay/relay/envelope"
)

// Replace writes other addresses in the place of those for which by returns one
// and true; display names and comments stay. It returns false if nothing was
// replaced or value has no single reading.
func Replace(value []byte, by func(envelope.Address) (envelope.Address, bool)) ([]byte, bool) {
	return replaced(value, func(_ *List, b box) (lo, hi int, text []byte) {
		if b.addr.IsZero() {
			return 0, 0, nil
		}
		if to, ok := by(b.addr); ok {
			text = []byte(to.String())
		}
		return b.textLo, b.text, text
	})
}

// replaced writes a list with the bytes from lo to hi of some mailboxes replaced
// by others, nil for none.
func replaced(value []byte, part func(*List, box) (lo, hi int, by []byte)) ([]byte, bool) {
	l, err := Parse(value)
	if err != nil {
		return nil, false
	}
	var out []byte
	done := 0
	for _, b := range l.boxes {
		if lo, hi, by := part(&l, b); by != nil {
			out = append(append(out, value[done:lo]...), by...)
			done = hi
		}
	}
	return append(out, value[done:]...), done > 0
}

// quoteNames quotes each word with an @ before the angle bracket; false if
// there is none, or the value is not one mailbox afterwards.
func quoteNames(value []byte) ([]byte, bool) {
	p := parser{List: List{value: value}}
	var out []byte
	done := 0
	for p.skip() == nil && !p.end() && !p.at('<') {
		lo := p.i
		if !p.nameWord() || !p.wordEnds() {
			return nil, false
		}
		word := value[lo:p.i]
		if word[0] == '"' || bytes.IndexByte(word, '@') < 0 {
			continue
		}
		if isEncodedWord(word) {
			return nil, false // no reader would decode it within quotes, or some would
		}
		out = append(append(append(append(out, value[done:lo]...), '"'), word...), '"')
		done = p.i
	}
	if done == 0 || !p.at('<') {
		return nil, false
	}
	out = append(out, value[done:]...)
	_, ok := oneMailbox(out)
	return out, ok
}

// nameWord passes over a word of a display name, in which an @ may be bare.
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

// wordEnds reports whether what follows a word cannot be taken for more of it.
func (p *parser) wordEnds() bool {
	return p.end() || bytes.IndexByte([]byte(" \t\r\n(<"), p.value[p.i]) >= 0
}

// oneMailbox reads a list of exactly one valid address, without a group and
// without an @ outside of the address.
func oneMailbox(value []byte) (envelope.Address, bool) {
	l, err := Parse(value)
	if err != nil || l.shifted || l.masked || len(l.boxes) != 1 || len(l.entries) != 1 || l.entries[0].group {
		return envelope.Address{}, false
	}
	b := l.boxes[0]
	return b.addr, !b.addr.IsZero() && b.name == 0
}

// Named writes a with the display name of old, or with its comment for one:
// `root (Cron Daemon)`. The result is read again before it is used: where
// readers could disagree about it, Named writes the address alone.
func Named(a envelope.Address, old []byte) []byte {
	bare := []byte(" " + a.String())
	name := displayName(old)
	if len(name) == 0 {
		return bare
	}
	v := bytes.Join([][]byte{{' '}, name, []byte(" <"), []byte(a.String()), {'>'}}, nil)
	if found, ok := oneMailbox(v); !ok || !found.Equal(a) {
		return bare
	}
	return v
}

// displayName is the phrase before the angle bracket with its own bytes and
// folds, or else the first comment after the address; nil without either, and
// for a value that is not one mailbox.
func displayName(value []byte) []byte {
	l, err := Parse(value)
	if err != nil || len(l.boxes) != 1 || l.entries[0].group {
		return nil
	}
	b := l.boxes[0]
	switch {
	case l.masked:
		return []byte(phraseOf(l.around(b)))
	case b.name > 0:
		return bytes.Join([][]byte{{}, value[b.nameLo:b.name], {}}, []byte{'"'})
	}
	if phrase := l.phrase(b); len(phrase) > 0 {
		return phrase
	}
	return []byte(phraseOf(readable(l.remark(b), "")))
}
