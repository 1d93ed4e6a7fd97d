package message

import (
	"errors"
	"fmt"

	"graphrelay/relay/envelope"
)

var (
	errGroup     = errors.New("a group in place of an author")
	errFold      = errors.New("a folded quoted string beside an @ in quotes")
	errNoAddress = errors.New("text that is no address")
	errRoute     = errors.New("a source route, which some readers take for an address")
	errDomain    = errors.New("a domain that readers map to different hosts")
)

// Authors reads every field that says who wrote or sent the message. A field
// whose addresses have no single reading, and one that names something else
// than addresses, is refused with 550 5.6.0; an empty field names nobody.
//
// An unquoted @ in a display name, `printer@d.com <printer@d.com>`, is accepted
// where name and address are the same.
func (h *Header) Authors() (Authors, error) {
	var a Authors
	for _, f := range h.fields {
		var err error
		switch f.kind {
		case kindFrom:
			a.From, err = h.authors(a.From, f)
		case kindSender:
			a.Sender, err = h.sender(f)
		case kindResentFrom:
			a.ResentFrom, err = h.authors(a.ResentFrom, f)
		case kindResentSender:
			var s envelope.Address
			if s, err = h.sender(f); !s.IsZero() {
				a.ResentSender = append(a.ResentSender, s)
			}
		}
		if err != nil {
			return Authors{}, err
		}
	}
	return a, nil
}

// authors appends the addresses of f to to.
func (h *Header) authors(to []envelope.Address, f field) ([]envelope.Address, error) {
	l, err := parseList(h.value(f))
	if err != nil {
		return nil, h.refuseField(f, err)
	}
	if l.shifted {
		return nil, h.refuseField(f, errFold)
	}
	for _, e := range l.entries {
		if e.group {
			return nil, h.refuseField(f, errGroup)
		}
	}
	for _, b := range l.boxes {
		// A word beside addresses is a display name with a bare comma in it:
		// "Surname, Name <a@b>". Alone it may be the mailbox of a local program.
		if b.addr.IsZero() || b.addr.Domain() == "" && len(l.boxes) > 1 {
			return nil, h.refuseField(f, errNoAddress)
		}
		if b.route {
			return nil, h.refuseField(f, errRoute)
		}
		if l.differsByReader(b) {
			return nil, h.refuseField(f, errDomain)
		}
		to = append(to, b.addr)
	}
	return to, nil
}

func (h *Header) sender(f field) (envelope.Address, error) {
	all, err := h.authors(nil, f)
	switch {
	case err != nil:
		return envelope.Address{}, err
	case len(all) == 0:
		return envelope.Address{}, nil
	case len(all) > 1:
		return envelope.Address{}, refuse(fmt.Sprintf("Field %s names more than one address", h.name(f)))
	}
	return all[0], nil
}

// refuseField is safe to show: a field name is printable ASCII, and kinds that
// get here are short.
func (h *Header) refuseField(f field, cause error) error {
	return refuse(fmt.Sprintf("Field %s has no unambiguous address list: %v", h.name(f), cause)).
		Becausef("value %q", clip(h.value(f)))
}

// clip bounds what goes to the log.
func clip(v []byte) []byte { return v[:min(len(v), 200)] }
