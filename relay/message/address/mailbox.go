package address

import (
	"bytes"

	"graphrelay/relay/envelope"
)

// mailbox reads addr-spec, <addr-spec>, phrase <addr-spec>, or a phrase alone,
// and the blanks and comments after it. colon means that it was the name of a
// group instead; then nothing was added.
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
		b.addr, _ = addressOf(p.text(b))
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
	if b.addr, err = addressOf(p.text(b)); err != nil {
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
	if b.addr, err = addressOf(p.text(b)); err != nil {
		return err
	}
	if err := p.skip(); err != nil {
		return err
	}
	return p.add(b)
}

// addrSpec reads what stands in angle brackets: an address, a local part, or
// nothing.
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

// domain reads "@" and a domain or an address literal; whether it is valid is
// for package envelope to say.
func (p *parser) domain() error {
	p.i++
	if p.at('[') {
		for p.i++; !p.end(); p.i++ {
			c := p.value[p.i]
			if c == ']' {
				p.i++
				return nil
			}
			if c <= ' ' || c == 0x7f || c == '[' || c == '\\' {
				return errSyntax
			}
		}
		return errSyntax
	}
	lo := p.i
	for !p.end() && isWordByte(p.value[p.i]) {
		p.i++
	}
	if p.i == lo {
		return errSyntax
	}
	return nil
}

// note remembers text outside of addresses that a naive reader could take an
// address from. It is in order only if it says the same address again.
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

// settle compares what note remembered with the address it stands beside.
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
	b.wide = isWide(p.text(b))
	p.boxes = append(p.boxes, b)
	return p.settle(b.addr)
}

// addressOf is the address that text is, or a mailbox without a domain, "root";
// zero if it is neither.
func addressOf(text []byte) (envelope.Address, error) {
	if isEncodedWord(text) {
		return envelope.Address{}, errWord
	}
	a, err := envelope.ParseRecipient(string(text))
	if err != nil {
		return envelope.Address{}, nil // some text, which is for the caller to judge
	}
	return a, nil
}
