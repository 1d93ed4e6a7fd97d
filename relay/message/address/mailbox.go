package address

import (
	"bytes"

	"graphrelay/relay/envelope"
)

// mailbox reads addr-spec, <addr-spec>, phrase <addr-spec>, or only a phrase, and
// the blanks and comments after it. colon means that it was the name of a group
// instead; then nothing was added.
func (p *parser) mailbox(lo int) (colon bool, err error) {
	b := box{lo: lo, angle: -1, textLo: p.i, text: p.i}
	words, plain := 0, true
	for !p.end() && !p.at('<') && !p.at(',') && !p.at(';') && !p.at(':') {
		bare, err := p.word()
		if err != nil {
			return false, err
		}
		b.text = p.i
		words, plain = words+1, plain && bare
		if p.at('@') {
			if words > 1 {
				return false, errAt
			}
			return false, p.addrFirst(b)
		}
		if err := p.skip(); err != nil {
			return false, err
		}
	}
	switch {
	case p.at(':'):
		if words == 0 {
			return false, errSyntax
		}
		return true, nil
	case p.at('<'):
		return false, p.angle(b)
	}
	if words == 1 && plain {
		b.addr, _, _ = addressOf(p.text(b))
	}
	return false, p.add(b)
}

// addrFirst continues at the @ of an address that has no angle bracket before
// it. One may follow: `printer@d.com <printer@d.com>`.
func (p *parser) addrFirst(b box) error {
	if err := p.domain(); err != nil {
		return err
	}
	b.text = p.i
	if err := p.skip(); err != nil {
		return err
	}
	if p.at('<') {
		b.nameLo, b.name = b.textLo, b.text
		if err := p.note(b.nameLo, b.name); err != nil {
			return err
		}
		return p.angle(b)
	}
	var err error
	if b.addr, b.loose, err = addressOf(p.text(b)); err != nil {
		return err
	}
	return p.add(b)
}

// angle reads "<" [route] addr-spec ">".
func (p *parser) angle(b box) error {
	b.angle = p.i
	p.i++
	p.blank()
	if err := p.route(&b); err != nil {
		return err
	}
	b.textLo = p.i
	if err := p.addrSpec(); err != nil {
		return err
	}
	b.text = p.i
	p.blank()
	if !p.at('>') {
		return errSyntax
	}
	p.i++
	var err error
	if b.addr, b.loose, err = addressOf(p.text(b)); err != nil {
		return err
	}
	if err := p.skip(); err != nil {
		return err
	}
	return p.add(b)
}

// addrSpec reads what is in angle brackets: an address, a local part, or nothing.
func (p *parser) addrSpec() error {
	if p.at('>') {
		return nil
	}
	if _, err := p.word(); err != nil {
		return err
	}
	if p.at('@') {
		return p.domain()
	}
	return nil
}

// route skips an obsolete source route, "@a,@b:".
func (p *parser) route(b *box) error {
	for p.at('@') {
		b.route = true
		if err := p.domain(); err != nil {
			return err
		}
		switch {
		case p.at(':'):
			p.i++
			p.blank()
			return nil
		case p.at(','):
			p.i++
			p.blank()
			if !p.at('@') {
				return errSyntax
			}
		default:
			return errSyntax
		}
	}
	return nil
}

// domain reads "@" and a domain or an address literal; package envelope decides
// whether it is valid.
func (p *parser) domain() error {
	p.i++
	if !p.at('[') {
		if !p.atoms() {
			return errSyntax
		}
		return nil
	}
	literal, _, ended := bytes.Cut(p.value[p.i+1:], []byte{']'})
	bad := func(r rune) bool { return r <= ' ' || r == 0x7f || r == '[' || r == '\\' }
	if !ended || bytes.ContainsFunc(literal, bad) {
		return errSyntax
	}
	p.i += len("[]") + len(literal)
	return nil
}

// note remembers text outside of addresses in which a naive reader could find an
// address. It is acceptable only if it repeats the same address.
func (p *parser) note(lo, hi int) error {
	if bytes.IndexByte(p.value[lo:hi], '@') < 0 {
		return nil
	}
	if p.oddLen == len(p.odd) {
		return errAt
	}
	p.odd[p.oddLen] = [2]int{lo, hi}
	p.oddLen++
	return nil
}

// settle compares what note remembered with the address beside it.
func (p *parser) settle(a envelope.Address) error {
	for _, o := range p.odd[:p.oddLen] {
		text := trimBlank(p.value[o[0]:o[1]])
		if bytes.IndexByte(text, '"') >= 0 {
			return errAt
		}
		same, err := envelope.ParseAddress(string(text))
		if err != nil || !same.Equal(a) {
			return errAt
		}
	}
	p.oddLen = 0
	return nil
}

func (p *parser) add(b box) error {
	if len(p.boxes) == maxList {
		return errMany
	}
	b.hi = p.i
	b.wide = b.loose || !b.addr.IsZero() && isWide(p.text(b))
	p.boxes = append(p.boxes, b)
	return p.settle(b.addr)
}

// addressOf reads an address, or a mailbox without a domain such as "root"; zero
// if text is neither. loose means that the local part has dots in a row, or one
// at an end, as addresses of some Japanese carriers do.
func addressOf(text []byte) (a envelope.Address, loose bool, err error) {
	if isWordInAddress(text) {
		return a, false, errWord
	}
	if a, err = envelope.ParseRecipient(string(text)); err == nil {
		return a, false, nil
	}
	if at := bytes.LastIndexByte(text, '@'); at > 0 && text[0] != '"' {
		if a, err = envelope.NewAddress(string(text[:at]), string(text[at+1:])); err == nil {
			return a, true, nil
		}
	}
	return envelope.Address{}, false, nil // some text: the caller judges it
}
