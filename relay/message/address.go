package message

import (
	"bytes"
	"errors"

	"graphrelay/relay/envelope"
)

// list is an address list of RFC 5322 section 3.4 with the places of its parts
// in the value it was read from, so that one can be taken out and the others
// keep their bytes.
type list struct {
	value   []byte
	entries []entry
	boxes   []box // of all entries, in order
	// shifted tells that a quoted string or comment is folded, and that one
	// holds an @: some readers, such as Python's older one, end both at a fold,
	// and take for an address what then seems to stand outside of quotes.
	shifted bool
}

// entry is what stands between two commas: one mailbox, or a group.
type entry struct {
	lo, hi      int // with the blanks and comments around it
	group       bool
	head, tail  int // of a group: value[lo:head] ends in ":", value[tail:hi] begins with ";"
	first, last int // its mailboxes are boxes[first:last]
}

// box is one mailbox. What stands in the place of a mailbox but is no valid
// address ("John Smith", "<>", "a..b@example.org") has a zero addr.
type box struct {
	lo, hi       int // with the blanks and comments around it
	angle        int // the place of "<", -1 where there is none
	textLo, text int // value[textLo:text] is the address as written, or all there is
	addr         envelope.Address
	route        bool // <@a,@b:c@d>, obsolete and not understood everywhere
	wide         bool // the domain is written in other letters than ASCII
	nameLo, name int  // value[nameLo:name] is an unquoted display name that repeats the address
	rcpt         int  // set by plan.parse: which recipient of the envelope it is, or noRcpt
}

func (l *list) text(b box) []byte { return l.value[b.textLo:b.text] }

// Two ways to read a list are one too many: the errors of this file all mean
// that readers may differ about who is in it.
var (
	errAt      = errors.New("an @ outside of an address")
	errQuote   = errors.New("a quoted string or comment that does not end")
	errControl = errors.New("a control character")
	errSyntax  = errors.New("text that is no address list")
	errWord    = errors.New("an encoded word in an address, or part of a quoted string in one")
	errMany    = errors.New("too many addresses")
)

// maxList bounds the mailboxes and groups of one field: an index of a header
// made of commas would be a hundred times its size. Exchange takes 1000
// recipients at most.
const maxList = 5000

// parseList reads a field's value. It never decodes encoded words: to it they
// are words of a display name, and inside an address they are an error.
func parseList(v []byte) (list, error) {
	p := parser{list: list{value: v}}
	if n := bytes.Count(v, []byte{','}) + 1; n <= 8 { // most lists are short: one allocation each
		p.entries, p.boxes = make([]entry, 0, n), make([]box, 0, n)
	}
	if splitsQuotes(v) {
		return p.list, errWord
	}
	err := p.list0()
	p.shifted = p.folded && p.hidden
	return p.list, err
}

type parser struct {
	list
	i      int
	odd    [4][2]int // comments and display names with an @ since the last mailbox
	oddLen int
	folded bool // a quoted string or a comment is
	hidden bool // a quoted string holds an @
}

func (p *parser) end() bool { return p.i >= len(p.value) }

// at tells whether c comes next.
func (p *parser) at(c byte) bool { return p.i < len(p.value) && p.value[p.i] == c }

func (p *parser) list0() error {
	for {
		if err := p.entry(); err != nil {
			return err
		}
		switch {
		case p.end():
			return nil
		case len(p.entries) == maxList:
			return errMany
		case !p.at(','):
			return errSyntax
		}
		p.i++
	}
}

// entry reads up to a comma or the end; nothing between commas is no entry.
func (p *parser) entry() error {
	e := entry{lo: p.i, first: len(p.boxes)}
	if err := p.skip(); err != nil {
		return err
	}
	if p.end() || p.at(',') {
		return p.settle(envelope.Address{})
	}
	colon, err := p.mailbox(e.lo)
	if err != nil {
		return err
	}
	if colon {
		if err := p.group(&e); err != nil {
			return err
		}
	}
	e.hi, e.last = p.i, len(p.boxes)
	p.entries = append(p.entries, e)
	return nil
}

// group reads on after the name of a group, at the colon.
func (p *parser) group(e *entry) error {
	if err := p.settle(envelope.Address{}); err != nil {
		return err
	}
	p.i++
	e.group, e.head = true, p.i
	for {
		lo := p.i
		if err := p.skip(); err != nil {
			return err
		}
		if !p.end() && !p.at(',') && !p.at(';') {
			if colon, err := p.mailbox(lo); err != nil || colon {
				return errSyntax
			}
		} else if err := p.settle(envelope.Address{}); err != nil {
			return err
		}
		switch {
		case p.at(','):
			p.i++
		case p.at(';'):
			e.tail = p.i
			p.i++
			if err := p.skip(); err != nil {
				return err
			}
			return p.settle(envelope.Address{})
		default:
			return errSyntax
		}
	}
}

// mailbox reads addr-spec, <addr-spec>, phrase <addr-spec>, or a phrase alone,
// and the blanks and comments after it. colon tells that it was the name of a
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

// addrFirst reads on at the @ of an address that has no angle bracket before
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

// isEncodedWord finds what an eager reader would decode before it looks for
// the address.
func isEncodedWord(text []byte) bool { return bytes.Contains(text, []byte("=?")) }
