package policy

import (
	"slices"
	"strings"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
)

// Alias returns the address that gets the mail of a recipient without a domain;
// false if it has one, or no alias.
func (p *Policy) Alias(a envelope.Address) (envelope.Address, bool) {
	if a.Domain() != "" {
		return envelope.Address{}, false
	}
	to, ok := p.aliases[a.Key()]
	return to, ok
}

// Recipient returns the address that gets the mail for to: to itself, or the
// address of its alias. 550 5.1.2 if to has no domain and no alias, even
// postmaster; 550 5.7.1 if the client may not send there.
func (p *Policy) Recipient(c Client, to envelope.Address) (envelope.Address, error) {
	if err := c.checkLogin(); err != nil {
		return envelope.Address{}, err
	}
	full := to
	if to.Domain() == "" {
		var ok bool
		if full, ok = p.Alias(to); !ok {
			return envelope.Address{}, reply.New(550, reply.Enhanced{5, 1, 2},
				"Recipient address needs a domain, as in user@example.org; "+
					"or ask the administrator of this relay for an alias").
				Becausef("recipient %s of client %s has no domain and no alias; "+
					"let the client use a full address, or add to aliases: %[1]s: user@example.org", plain(to), c)
		}
	}
	if !c.reaches(full) {
		return envelope.Address{}, refusal("Recipient address"+shown(full)+" not allowed for this client; "+
			"ask the administrator of this relay to add it to the client's recipients").
			Becausef("recipient %s is not one of recipients of client %s; "+
				"if it may send there, add it: %[1]s", plain(full), c)
	}
	return full, nil
}

// reaches reports whether c may send to a. A pattern of its list does not allow a
// local part that mail hosts may read as a route, as in user%example.org@contoso.com.
func (c Client) reaches(a envelope.Address) bool {
	if c.rule == nil || !covers(c.rule.Recipients, a) {
		return false
	}
	routed := len(c.rule.Recipients) > 0 && strings.ContainsAny(a.Local(), "%!")
	return !routed || slices.ContainsFunc(c.rule.Recipients, a.Equal)
}

// covers reports whether a list of what is allowed allows a. A client without a
// list may use every address.
func covers(list []envelope.Address, a envelope.Address) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(entry envelope.Address) bool { return entry.Covers(a) })
}
