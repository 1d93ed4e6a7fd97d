package policy

import (
	"strings"

	"graphrelay/relay/envelope"
)

// senders are what mail may come from, and for one client: only some of it.
type senders struct {
	exact   map[string]Sender // by Key
	domains map[string]Sender // wildcards, by domain
	first   envelope.Address  // the first exact address; zero if there is none
	only    []envelope.Address
}

// newSenders indexes list; the first of two equal entries wins.
func newSenders(list []Sender) senders {
	set := senders{exact: make(map[string]Sender, len(list)), domains: make(map[string]Sender)}
	for _, s := range list {
		index, key := set.exact, s.Address.Key()
		switch {
		case s.Address.Domain() == "":
			continue
		case s.Address.Wildcard():
			index, key = set.domains, s.Address.Domain()
		case set.first.IsZero():
			set.first = s.Address
		}
		if s.Mailbox.IsZero() {
			s.Mailbox = s.Address
		}
		if _, known := index[key]; !known {
			index[key] = s
		}
	}
	return set
}

// limited is s for a client that has a list of its own; without one it is s.
func (s senders) limited(only []envelope.Address) senders {
	if len(only) == 0 {
		return s
	}
	s.only, s.first = only, envelope.Address{}
	for _, a := range only {
		if _, ok := s.find(a); ok && !a.Wildcard() {
			s.first = a
			break
		}
	}
	return s
}

// find returns the rule that allows a; of a wildcard, the rule that it would
// have as an exact entry. An exact entry wins over the wildcard of its domain.
func (s senders) find(a envelope.Address) (Sender, bool) {
	rule, ok := s.exact[a.Key()]
	if !ok {
		rule, ok = s.domains[a.Domain()]
		ok = ok && isOrdinary(a.Local()) && !a.Encapsulated()
	}
	if !ok || !s.allows(a) {
		return Sender{}, false
	}
	if rule.Mailbox.Wildcard() {
		rule.Mailbox = self(a)
	}
	if rule.Address.Wildcard() {
		rule.Address = a
	}
	return rule, true
}

// self is a as a mailbox: the same one for every way to write it.
func self(a envelope.Address) envelope.Address {
	lower, err := envelope.ParseAddress(a.Key())
	if err != nil {
		return a
	}
	return lower
}

// allows tells whether a client's own list lets it.
func (s senders) allows(a envelope.Address) bool {
	if len(s.only) == 0 {
		return true
	}
	for _, entry := range s.only {
		if entry.Covers(a) {
			return true
		}
	}
	return false
}

// single tells whether there is no choice: one exact address, and no wildcard.
func (s senders) single() bool {
	exact := 0
	for _, sender := range s.exact {
		if s.allows(sender.Address) {
			exact++
		}
		if exact > 1 {
			return false
		}
	}
	for domain := range s.domains {
		if s.reaches(domain) {
			return false
		}
	}
	return exact == 1
}

// reaches tells whether a client's own list leaves anything of a wildcard.
func (s senders) reaches(domain string) bool {
	if len(s.only) == 0 {
		return true
	}
	for _, entry := range s.only {
		if entry.Domain() != domain {
			continue
		}
		if _, exact := s.exact[entry.Key()]; entry.Wildcard() || !exact {
			return true
		}
	}
	return false
}

// has tells whether there is a sender in a domain.
func (s senders) has(domain string) bool {
	if _, wild := s.domains[domain]; wild {
		return true
	}
	for _, sender := range s.exact {
		if sender.Address.Domain() == domain {
			return true
		}
	}
	return false
}

// isOrdinary keeps a wildcard to local parts that a mailbox of Exchange can
// have. What needs quotes, looks like something else, or changes the meaning
// of a URL's path is allowed by an exact entry only.
func isOrdinary(local string) bool {
	const others = ".!#$&'+-=^_{|}~"
	return local != "" && !strings.ContainsFunc(local, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune(others, r)
	}) && strings.Trim(local, ".") == local && !strings.Contains(local, "..")
}
