// Package policy decides who may send mail, and as whom.
//
// # Promises
//
// Every address that a message claims to come from, which are the reverse-path,
// each From and Sender and each Resent-From and Resent-Sender, is held against
// one set of rules; a message is granted a mailbox only if all of them are
// allowed, and From decides which. A Grant holds nothing but addresses of the
// configuration. What no rule names is refused: a client that matches none, a
// message without From, an address without a domain, and the zero Client.
//
// Addresses are equal as envelope.Address.Key says: ASCII letters of either
// case, quoted or not, domains as A-labels. A sub-address (a+b@) is another
// address than a@ (RFC 5321 section 2.3.11: only the host may read more into a
// local part).
//
// # On failure
//
// A refusal is a *status.Error: 554 5.7.1 for a client, 550 5.7.1 for an
// address. Its text tells the client which of its own addresses it was and
// whom to ask; its cause names field, address and client, and ends with what
// an administrator who agrees writes into the configuration.
//
// The package is pure: no I/O, no clock, no state that changes after New; all
// methods may be called at the same time.
package policy

import (
	"graphrelay/relay/envelope"
)

// Rules are the configuration that policy decides by.
type Rules struct {
	Senders     []Sender
	LocalClient bool // loopback and unix sockets may send as every sender
}

// Sender is one entry of senders:.
type Sender struct {
	Address envelope.Address // what From may say
	Mailbox envelope.Address // whose sendMail is called; zero = Address
}

// Message is what policy looks at of a message.
type Message struct {
	ReversePath  envelope.Address // zero for <>
	From         []envelope.Address
	Sender       envelope.Address // zero if there is none
	ResentFrom   []envelope.Address
	ResentSender []envelope.Address
}

// Grant allows a message: it goes out through Mailbox as From. Both are
// addresses as the configuration writes them.
type Grant struct {
	Mailbox envelope.Address
	From    envelope.Address
}

// Policy is a set of rules, ready to ask.
type Policy struct {
	clients []clientRule // the first that matches a peer wins
}

// New prepares r. A sender without a full address allows nothing.
func New(r Rules) *Policy {
	p := &Policy{}
	if r.LocalClient {
		p.clients = append(p.clients, clientRule{name: localName, matches: isLocal, senders: newSenders(r.Senders)})
	}
	return p
}

// senders are the addresses that one client may send as, by Key.
type senders map[string]Sender

func newSenders(list []Sender) senders {
	set := make(senders, len(list))
	for _, s := range list {
		if s.Address.Domain() == "" {
			continue
		}
		if s.Mailbox.IsZero() {
			s.Mailbox = s.Address
		}
		if _, known := set[s.Address.Key()]; !known {
			set[s.Address.Key()] = s
		}
	}
	return set
}

// find returns the rule that allows a. An address without a domain has none,
// for newSenders keeps none.
func (s senders) find(a envelope.Address) (Sender, bool) {
	rule, ok := s[a.Key()]
	return rule, ok
}
