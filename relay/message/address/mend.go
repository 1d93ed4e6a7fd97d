package address

import (
	"bytes"
	"strings"

	"graphrelay/relay/envelope"
)

// MendAuthor makes a field of an author that was written without care one that
// Authors reads; false if there is nothing to mend, or more than one reading.
//
// Only one address may be in the field, and nothing else in it may hold an @.
// Without a comma or semicolon before the bracket the name may hold one, as in
// `printer@d.example <printer@d.example>`. A list whose names alone are in doubt
// keeps all of its addresses.
func MendAuthor(value []byte) ([]byte, bool) {
	if quoted, ok := quoteNames(value); ok {
		return quoted, true
	}
	l, err := Parse(value)
	if _, odd := Authors(value); odd == nil && !l.masked {
		return nil, false
	}
	mended, ok := oneAuthor(value)
	if err == nil && l.masked && !l.shifted {
		mended, ok = l.Keep(), true
	}
	if !ok {
		return nil, false
	}
	all, err := Authors(mended)
	return mended, err == nil && len(all) > 0
}

// oneAuthor reads a field with one address, at its end; what is before it is the
// display name, commas and all.
func oneAuthor(value []byte) ([]byte, bool) {
	items, ok := itemsOf(value, separators)
	if !ok || len(items) == 0 {
		return nil, false
	}
	names := ""
	var author envelope.Address
	for _, it := range items {
		name, a, ok := it.mailbox()
		if !ok || !author.IsZero() {
			return nil, false
		}
		if author = a; a.IsZero() && name != "" {
			name += string(it.end) + " "
		}
		names += name
	}
	text := mailboxOf(strings.TrimRight(names, separators+" "), author)
	return append(bytes.Clone(leading(value)), text...), !author.IsZero()
}

// MendList makes a list that Parse refuses one that it reads: semicolons become
// commas, as do slashes and bars where that leaves one address in each item, and a
// name or an address without its quotes or brackets gets them. Each item must have
// one reading. A name alone becomes an empty group.
func MendList(value []byte) ([]byte, bool) {
	if _, err := Parse(value); err == nil {
		return nil, false
	}
	if mended, ok := mendList(value, separators); ok {
		return mended, true
	}
	return mendList(value, moreThanThem)
}

func mendList(value []byte, separators string) ([]byte, bool) {
	items, ok := itemsOf(value, separators)
	if !ok {
		return nil, false
	}
	var texts [][]byte
	for _, it := range items {
		text, ok := it.listed()
		if !ok {
			return nil, false
		}
		texts = append(texts, text)
	}
	if len(items) == 1 {
		if name, a, ok := items[0].mailbox(); ok && a.IsZero() {
			texts[0] = []byte(phraseOf(strings.TrimRight(name, ": ")) + ":;")
		}
	}
	out := append(bytes.Clone(leading(value)), trimLeft(bytes.Join(texts, []byte{','}))...)
	_, err := Parse(out)
	return out, err == nil && len(texts) > 0
}

// DaemonAuthor gives a report whose author is `MAILER-DAEMON <>` a local address
// in the brackets; false for every other field.
func DaemonAuthor(value []byte) ([]byte, bool) {
	l, err := Parse(value)
	if err != nil || len(l.boxes) != 1 || l.entries[0].group {
		return nil, false
	}
	b := l.boxes[0]
	if b.angle < 0 || b.route || b.text > b.textLo {
		return nil, false
	}
	return bytes.Join([][]byte{value[:b.text], []byte("MAILER-DAEMON"), value[b.text:]}, nil), true
}
