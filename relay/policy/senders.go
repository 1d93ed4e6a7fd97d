package policy

import (
	"maps"
	"slices"
	"strings"

	"graphrelay/relay/envelope"
)

// senders are the addresses that mail may come from, or for one client some of them.
type senders struct {
	exact   map[string]Sender  // by Key
	domains map[string]Sender  // wildcards, by domain
	first   envelope.Address   // written in place of others: the first exact address; zero if there is none
	only    []envelope.Address // of the client's own list; empty for all
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

// limited is s for a client with its own list; without one it is s.
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

// find returns the rule that allows a; for a wildcard, the rule that a would have
// as an exact entry. An exact entry wins over the wildcard of its domain.
func (s senders) find(a envelope.Address) (Sender, bool) {
	rule, ok := s.exact[a.Key()]
	if !ok {
		rule, ok = s.domains[a.Domain()]
		ok = ok && isOrdinary(a.Local()) && !a.Encapsulated()
	}
	if !ok || !covers(s.only, a) {
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

// self is a as a mailbox, the same one however a is written.
func self(a envelope.Address) envelope.Address {
	lower, err := envelope.ParseAddress(a.Key())
	if err != nil {
		return a
	}
	return lower
}

// single reports whether there is no choice: one exact address, and no wildcard.
func (s senders) single() bool {
	exact := 0
	for _, sender := range s.exact {
		if covers(s.only, sender.Address) {
			exact++
		}
		if exact > 1 {
			return false
		}
	}
	for domain := range s.domains {
		if s.usesWildcard(domain) {
			return false
		}
	}
	return exact == 1
}

// usesWildcard reports whether a client's own list leaves anything of a wildcard.
func (s senders) usesWildcard(domain string) bool {
	return len(s.only) == 0 || slices.ContainsFunc(s.only, func(entry envelope.Address) bool {
		_, exact := s.exact[entry.Key()]
		return entry.Domain() == domain && (entry.Wildcard() || !exact)
	})
}

// has reports whether there is a sender in a domain.
func (s senders) has(domain string) bool {
	_, wild := s.domains[domain]
	return wild || slices.ContainsFunc(slices.Collect(maps.Values(s.exact)), func(sender Sender) bool {
		return sender.Address.Domain() == domain
	})
}

// isOrdinary limits a wildcard to local parts that a mailbox of Exchange can
// have. What needs quotes, looks like something else, or changes the meaning
// of a URL's path needs an exact entry.
func isOrdinary(local string) bool {
	const others = ".!#$&'+-=^_{|}~"
	return local != "" && !strings.ContainsFunc(local, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune(others, r)
	}) && strings.Trim(local, ".") == local && !strings.Contains(local, "..")
}
