package policy

import (
	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
)

// Alias returns who gets the mail of a recipient without a domain; false if
// that is not such a recipient, or nobody does.
func (p *Policy) Alias(a envelope.Address) (envelope.Address, bool) {
	if a.Domain() != "" {
		return envelope.Address{}, false
	}
	to, ok := p.aliases[a.Key()]
	return to, ok
}

// Recipient returns the address that mail for to goes to: to itself, or what
// it is an alias of. 550 5.1.2 if to has no domain and is no alias, postmaster
// included; 550 5.7.1 if the client may not send there.
func (p *Policy) Recipient(c Client, to envelope.Address) (envelope.Address, error) {
	if err := c.ready(); err != nil {
		return envelope.Address{}, err
	}
	full := to
	if to.Domain() == "" {
		var ok bool
		if full, ok = p.Alias(to); !ok {
			return envelope.Address{}, reply.New(550, reply.Enhanced{5, 1, 2}, "Recipient address needs a domain, as in user@example.org; or ask the administrator of this relay for an alias").
				Becausef("recipient %s of client %s has no domain and is no alias; let the client use a full address, or write under aliases: %s: user@example.org", plain(to), c, plain(to))
		}
	}
	if !c.reaches(full) {
		return envelope.Address{}, refusal("Recipient address"+shown(full)+" not allowed for this client; ask the administrator of this relay to add it to the client's recipients").
			Becausef("recipient %s is not under recipients of client %s; if it may send there, add it: %s", plain(full), c, plain(full))
	}
	return full, nil
}

func (c Client) reaches(a envelope.Address) bool {
	if c.rule == nil {
		return false
	}
	if len(c.rule.Recipients) == 0 {
		return true
	}
	for _, entry := range c.rule.Recipients {
		if entry.Covers(a) {
			return true
		}
	}
	return false
}
