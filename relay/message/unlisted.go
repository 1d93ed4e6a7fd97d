package message

import (
	"bytes"

	"graphrelay/relay/message/address"
)

// Unlisted returns a header block that Apply made as it was before its recipients were
// those of the envelope, for a next hop that has the envelope: a To or Cc that lost
// addresses gets them back, and there is no Bcc. What had no single reading stays as
// Apply left it, and so does a block that cannot be read.
func Unlisted(block []byte) []byte {
	h, _, err := Read(bytes.NewReader(block), Options{MaxHeader: len(block) + 2})
	if err != nil || len(block) == 0 {
		return block
	}
	p := plan{h: h}
	for i, f := range h.fields {
		if f.kind == kindBcc {
			p.change(i, nil)
		}
	}
	for _, name := range []string{"To", "Cc"} {
		p.restore(name)
	}
	return p.assemble("")
}

// restore puts the one field that was set aside back in the place of the one that Apply
// wrote. Where there were several, each may have addresses that the others lack.
func (p *plan) restore(name string) {
	aside, now := p.h.numbers(ourPrefix+name), p.h.numbers(name)
	if len(aside) != 1 || len(now) > 1 {
		return
	}
	value := p.h.value(p.h.fields[aside[0]])
	before, err := address.Parse(value)
	if err != nil || before.Rewrites() || len(now) == 1 && !within(p.h.value(p.h.fields[now[0]]), value) {
		return
	}
	label := []byte(name)
	for _, i := range now {
		label = p.h.name(p.h.fields[i])
		p.change(i, nil)
	}
	p.change(aside[0], bytes.Join([][]byte{label, []byte(":"), value, []byte("\r\n")}, nil))
}

// within reports whether every address of one list is in another.
func within(list, other []byte) bool {
	known := map[string]bool{}
	for _, m := range address.Mailboxes(other, "utf-8") {
		known[m.Address.Key()] = true
	}
	for _, m := range address.Mailboxes(list, "utf-8") {
		if !known[m.Address.Key()] {
			return false
		}
	}
	return true
}
