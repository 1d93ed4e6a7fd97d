// Package address reads the address lists of header fields (RFC 5322 section
// 3.4, with the obsolete forms of real mail) and edits them in place.
//
// Promises: a list is read in one way or not at all. Where two readers could
// find different addresses in it, an error says what they could disagree about;
// encoded words (RFC 2047) are never decoded to find an address. An edit changes
// only what it names: display names, comments, blanks and folds keep their
// bytes. Time is proportional to the length of the value, and the number of
// mailboxes is bounded.
//
// Values are what follows the colon of a field, with its folds, without the last
// CRLF. The package must not know of header fields, SMTP replies or policy.
package address

import (
	"bytes"
	"errors"

	"graphrelay/relay/envelope"
)

// List is an address list with the places of its parts in the value it was read
// from, so that one can be taken out and the others keep their bytes.
type List struct {
	value   []byte
	entries []entry
	boxes   []box // of all entries, in order
	// shifted means that a quoted string or comment is folded and that a quoted
	// string holds an @. Some readers, such as Python's older one, end both at a
	// fold, and take for an address what then seems to be outside of quotes.
	shifted bool
	// masked means that readers which decode encoded words first see another
	// list, or that some stumble over a quoted string, such as an empty one, one with
	// an @ and an escape, or one with an @ beside a group.
	masked bool
	// cut means that masked is for commas in encoded words alone: some readers see
	// pieces of a name beside the address, and all of them the same addresses.
	cut bool
}

// entry is what is between two commas: one mailbox, or a group.
type entry struct {
	lo, hi      int // with the blanks and comments around it
	group       bool
	head, tail  int // of a group: value[lo:head] ends in ":", value[tail:hi] begins with ";"
	first, last int // its mailboxes are boxes[first:last]
}

// box is one mailbox. What is in the place of a mailbox but is not a valid
// address ("John Smith", "<>", "a..b@example.org") has a zero addr.
type box struct {
	lo, hi       int // with the blanks and comments around it
	angle        int // the place of "<", -1 if there is none
	textLo, text int // value[textLo:text] is the address as written, or all there is
	addr         envelope.Address
	route        bool // <@a,@b:c@d>, obsolete and not understood everywhere
	wide         bool // written in a form that not every reader knows: the domain in letters beyond ASCII, or loose
	loose        bool // the local part has dots where RFC 5322 has none, as in a..b@c
	nameLo, name int  // value[nameLo:name] is an unquoted display name that repeats the address
	rcpt         int  // set by Match: which recipient of the envelope it is, or noRcpt
}

func (l *List) text(b box) []byte { return l.value[b.textLo:b.text] }

// All of these mean that readers may disagree about who is in the list.
var (
	errAt      = errors.New("an @ outside of an address")
	errQuote   = errors.New("a quoted string or comment that does not end")
	errControl = errors.New("a control character")
	errSyntax  = errors.New("text that is not an address list")
	errWord    = errors.New("an encoded word in an address, or part of a quoted string in one")
	errMany    = errors.New("too many addresses")
)

// maxList bounds the mailboxes and groups of one field: an index of a header
// made of commas would be a hundred times its size. Exchange takes 1000
// recipients at most.
const maxList = 5000

// Parse reads a field's value. To it, encoded words are words of a display name,
// and inside an address they are an error.
func Parse(value []byte) (List, error) {
	p := parser{List: List{value: value}}
	if n := bytes.Count(value, []byte{','}) + 1; n <= 8 { // most lists are short: one allocation each
		p.entries, p.boxes = make([]entry, 0, n), make([]box, 0, n)
	}
	if splitsQuotes(value) {
		return p.List, errWord
	}
	err := p.all()
	p.shifted = p.folded && p.hidden
	p.masked = p.masked || p.grouped && p.hidden
	if !p.masked && masks(value, specials) {
		p.masked, p.cut = true, !p.hidden && !masks(value, brackets)
	}
	return p.List, err
}

type parser struct {
	List
	i       int
	odd     [4][2]int // comments and display names with an @ since the last mailbox
	oddLen  int
	folded  bool // a quoted string or a comment is
	hidden  bool // a quoted string holds an @
	grouped bool // there is a group
}

func (p *parser) end() bool { return p.i >= len(p.value) }

// at reports whether c comes next.
func (p *parser) at(c byte) bool { return p.i < len(p.value) && p.value[p.i] == c }

func (p *parser) all() error {
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

// entry reads up to a comma or the end; nothing between commas is not an entry.
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

// group continues after the name of a group, at the colon.
func (p *parser) group(e *entry) error {
	if err := p.settle(envelope.Address{}); err != nil {
		return err
	}
	p.i++
	p.grouped = true
	e.group, e.head = true, p.i
	for {
		if err := p.member(); err != nil {
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

// member reads one mailbox of a group, or nothing between commas.
func (p *parser) member() error {
	lo := p.i
	if err := p.skip(); err != nil {
		return err
	}
	if p.end() || p.at(',') || p.at(';') {
		return p.settle(envelope.Address{})
	}
	if colon, err := p.mailbox(lo); err != nil || colon {
		return errSyntax
	}
	return nil
}
