package message

import (
	"bytes"
	"fmt"

	"graphrelay/relay/envelope"
	"graphrelay/relay/message/address"
)

// Authors reads every field that says who wrote or sent the message. A field
// whose addresses have no single reading, and one that names anything else but
// addresses, is refused with 550 5.6.0; an empty field names nobody.
func (h *Header) Authors() (Authors, error) {
	var a Authors
	for _, f := range h.fields {
		var all []envelope.Address
		var err error
		switch f.kind {
		case kindFrom:
			a.From, err = h.authors(f)
		case kindSender:
			if all, err = h.sender(f); len(all) > 0 {
				a.Sender = all[0]
			}
		case kindResentFrom:
			all, err = h.authors(f)
			a.ResentFrom = append(a.ResentFrom, all...)
		case kindResentSender:
			all, err = h.sender(f)
			a.ResentSender = append(a.ResentSender, all...)
		}
		if err != nil {
			return Authors{}, err
		}
	}
	return a, nil
}

func (h *Header) authors(f field) ([]envelope.Address, error) {
	all, err := address.Authors(h.value(f))
	if err != nil {
		return nil, h.refuseField(f, err)
	}
	return all, nil
}

// sender returns one address or none.
func (h *Header) sender(f field) ([]envelope.Address, error) {
	all, err := h.authors(f)
	if err == nil && len(all) > 1 {
		return nil, refuse(fmt.Sprintf("Field %s names more than one address", h.name(f)))
	}
	return all, err
}

// refuseField is safe to show: a field name is printable ASCII, and kinds that
// get here are short.
func (h *Header) refuseField(f field, cause error) error {
	return refuse(fmt.Sprintf("Field %s has no unambiguous address list: %v", h.name(f), cause)).
		Becausef("value %q", clip(h.value(f)))
}

// maxShown is how many bytes of a value the log shows.
const maxShown = 200

func clip(v []byte) []byte { return v[:min(len(v), maxShown)] }

// isAuthor reports whether a field says who wrote or sent the message.
func (f field) isAuthor() bool {
	switch f.kind {
	case kindFrom, kindSender, kindResentFrom, kindResentSender:
		return true
	}
	return false
}

// asciiAuthors writes the domains of the authors as Microsoft 365 keeps those of
// its mailboxes and as every reader knows them: nothing says that Exchange takes
// `a@bücher.example` for its `a@xn--bcher-kva.example`, and if it does not, it
// refuses the sender. Reply-To stays as it is.
func (p *plan) asciiAuthors() {
	for i, f := range p.h.fields {
		if !f.isAuthor() {
			continue
		}
		if v, ok := address.ASCIIDomains(p.h.value(f)); ok {
			p.change(i, bytes.Join([][]byte{p.h.name(f), {':'}, v, []byte("\r\n")}, nil))
		}
	}
}
