package address

import (
	"errors"

	"graphrelay/relay/envelope"
)

var (
	errGroup     = errors.New("a group in place of an author")
	errFold      = errors.New("a folded quoted string beside an @ in quotes")
	errNoAddress = errors.New("text that is not an address")
	errRoute     = errors.New("a source route, which some readers take for an address")
	errMasked    = errors.New("a display name that readers decode to different lists")
	errDomain    = errors.New("a domain that readers map to different hosts")
)

// Authors returns the addresses of a From, Sender, Resent-From or Resent-Sender
// field. Who sent a message must be beyond doubt, so it refuses more than Parse.
//
// An unquoted @ in a display name, `printer@d.com <printer@d.com>`, is accepted
// where name and address are the same.
func Authors(value []byte) ([]envelope.Address, error) {
	l, err := Parse(value)
	if err != nil {
		return nil, err
	}
	switch {
	case l.shifted:
		return nil, errFold
	case l.masked && !l.cut:
		return nil, errMasked
	}
	for _, e := range l.entries {
		if e.group {
			return nil, errGroup
		}
	}
	var all []envelope.Address
	for _, b := range l.boxes {
		// A word beside addresses is a display name with a bare comma in it:
		// "Surname, Name <a@b>". Alone it may be the mailbox of a local program.
		if b.addr.IsZero() || b.loose || b.addr.Domain() == "" && len(l.boxes) > 1 {
			return nil, errNoAddress
		}
		if b.route {
			return nil, errRoute
		}
		if l.differsByReader(b) {
			return nil, errDomain
		}
		all = append(all, b.addr)
	}
	return all, nil
}
