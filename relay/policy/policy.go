// Package policy decides who may send mail, as whom, and to whom.
//
// # Promises
//
// Every address that a message claims to come from (the reverse-path, each From and
// Sender, each Resent-From and Resent-Sender) is checked against one set of rules.
// A message is granted a mailbox only if all of them are allowed, and From decides
// which. What no rule names is refused: a client that matches none, a message
// without From, an address without a domain, and the zero Client. A Grant holds a
// mailbox of the configuration, or with mailbox: self the From address itself.
//
// If a client's rule says so, an address that is not allowed is replaced instead
// by the first exact address among this client's senders (for programs on this
// host, by the configured one), which the client may use anyway. A Rewrite says
// how the header must change; a caller that does not make the change must not send
// the message.
//
// Addresses are equal as envelope.Address.Key says: ASCII letters of either
// case, quoted or not, domains as A-labels. A sub-address (a+b@) differs from a@
// (RFC 5321 section 2.3.11: only the host may interpret a local part). A wildcard
// covers its own domain and no subdomain, and only local parts that a mailbox of
// Exchange can have: no look-alikes, no quotes, and no address with another one
// in it (IMCEASMTP-), which is not allowed among recipients either.
//
// # On failure
//
// A refusal is a *reply.Error. Its text names the address that the client used
// and whom to ask; its cause names field, address and client, and ends with what
// an administrator who agrees writes into the configuration.
//
//	554 5.7.1  a peer that cannot be a client
//	530 5.7.0  a peer that must log in first
//	550 5.7.1  an address that is not allowed, as sender or as recipient
//	550 5.1.2  a recipient without a domain and without an alias
//	452 4.7.1  more messages than the client's rate
//	421 4.7.0  more connections than the client's
//
// The package is pure: no I/O, no clock, no state. A Policy never changes after
// New; all of its methods may be called at the same time.
package policy

import (
	"maps"
	"net/netip"
	"strings"

	"graphrelay/relay/envelope"
	"graphrelay/relay/pacing"
)

// Rules are the configuration that policy decides by.
type Rules struct {
	Senders     []Sender
	Clients     []ClientRule
	LocalClient bool             // loopback and unix sockets may send as every sender
	LocalRepair Repair           // what is repaired for them
	LocalSender envelope.Address // the address that repairs give them; the first exact sender if it is none
	// Aliases say who gets the mail of recipients without a domain, by Key.
	Aliases map[string]envelope.Address
	// Hosts are the names of this host, for the repair of local senders;
	// localhost is always one.
	Hosts []string
}

// Sender is one entry of senders:. A wildcard Address is a whole domain, and as
// Mailbox it stands for the From address itself (mailbox: self).
type Sender struct {
	Address envelope.Address // what From may say
	Mailbox envelope.Address // whose sendMail is called; zero = Address
}

// ClientRule is one entry of clients:.
type ClientRule struct {
	Name           string
	Networks       []netip.Prefix     // none = any, for a login
	Username       string             // with Networks, both must match
	PasswordHash   string             // bcrypt
	Senders        []envelope.Address // none = every one of Rules.Senders; others have no effect
	Rewrite        bool               // other_senders: rewrite
	Repair         Repair
	Recipients     []envelope.Address // none = anyone
	Rate           pacing.Rate
	RatePerAddress pacing.Rate
	MaxConnections int // 0 = no limit of its own
}

// Repair says what is repaired in the header of a message.
type Repair struct {
	DisplayName bool // for package message: quote display names, read careless lists
	MissingFrom bool
	LocalSender bool
}

// Policy is a set of rules, ready to ask.
type Policy struct {
	clients []*clientRule // the first that a peer matches wins
	aliases map[string]envelope.Address
	hosts   hosts
	noUser  string // a hash that no password has
}

// New prepares r. A sender without a full address allows nothing.
func New(r Rules) *Policy {
	all := newSenders(r.Senders)
	p := &Policy{aliases: r.Aliases, hosts: newHosts(r.Hosts, all), noUser: unmatchable(r.Clients)}
	for _, c := range r.Clients {
		p.clients = append(p.clients, newClientRule(c, all))
	}
	if r.LocalClient {
		local := newClientRule(ClientRule{Name: localName, Repair: r.LocalRepair}, all)
		local.matches = isLocal
		if _, ok := all.find(r.LocalSender); ok {
			local.senders.first = r.LocalSender
		}
		p.clients = append(p.clients, local)
	}
	return p
}

// hosts are the domains that mean this host.
type hosts map[string]bool

// newHosts takes each name, its first label alone, and that label within the
// domains that hosts without a domain use. A domain that has senders is not among
// them: an address in it means those senders.
func newHosts(names []string, all senders) hosts {
	set := hosts{}
	for _, name := range append([]string{"localhost"}, names...) {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		short, _, _ := strings.Cut(name, ".")
		if short == "" {
			continue
		}
		for _, suffix := range []string{"", ".local", ".localdomain", ".lan", ".internal"} {
			set[short+suffix] = true
		}
		set[name] = true
	}
	maps.DeleteFunc(set, func(domain string, _ bool) bool { return all.has(domain) })
	return set
}

// local reports whether a program on this host gave itself the address because it
// had no other: root, root@localhost, www-data@web01.local.
func (h hosts) local(a envelope.Address) bool {
	if a.IsZero() {
		return false
	}
	if literal, ok := strings.CutPrefix(a.Domain(), "["); ok {
		ip, err := netip.ParseAddr(strings.TrimPrefix(strings.TrimSuffix(literal, "]"), "IPv6:"))
		return err == nil && ip.IsLoopback()
	}
	return a.Domain() == "" || h[a.Domain()]
}
