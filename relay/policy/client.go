package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/pacing"
	"graphrelay/relay/reply"
)

// localName is what the built-in client of this host is called.
const localName = "local"

// Auth says whether a peer can log in on its connection.
type Auth int

// The values of a listener's auth:. A listener that offers logins only over
// TLS, but has no TLS for this peer, is AuthOff.
const (
	AuthOff Auth = iota
	AuthOptional
	AuthRequired
)

// Peer is the other end of a connection.
type Peer struct {
	Addr netip.AddrPort // of the real client behind a proxy; ignored for a unix socket
	Unix bool
	Auth Auth
}

// Client is a peer that may send, or may log in. It comes from Connect, and
// from Login. The zero Client may do nothing.
type Client struct {
	Name           string // of the rule that matched; empty if a login must come first
	Login          string // user name of that rule, if it has one
	Repair         Repair
	Rate           pacing.Rate // of all connections of this client together; zero for none
	RatePerAddress pacing.Rate // of each address or local user inside it; zero for none
	MaxConnections int         // of this client at one time; 0 for no limit of its own

	ip    netip.Addr
	unix  bool
	known bool // a peer, not the zero Client
	rule  *clientRule
}

// NeedsLogin reports whether c may send nothing before it has logged in.
func (c Client) NeedsLogin() bool { return c.known && c.rule == nil }

// clientRule says which peers are a client, and what that client may do.
type clientRule struct {
	ClientRule
	matches func(ip netip.Addr, unix bool) bool
	senders senders
}

func newClientRule(c ClientRule, all senders) *clientRule {
	r := &clientRule{ClientRule: c, senders: all.limited(c.Senders)}
	r.matches = func(ip netip.Addr, unix bool) bool {
		if len(c.Networks) == 0 {
			return c.Username != "" // a rule without either matches nobody
		}
		return !unix && slices.ContainsFunc(c.Networks, func(n netip.Prefix) bool { return n.Contains(ip) })
	}
	return r
}

// isLocal matches this host: 127.0.0.0/8, ::1 and unix sockets.
func isLocal(ip netip.Addr, unix bool) bool { return unix || ip.IsLoopback() }

// Connect finds the client of a new connection: the first rule without a login
// that the peer matches. If there is none, or this listener requires logins, and
// a login could match, the Client NeedsLogin. 554 5.7.1 if neither the peer's
// address nor any login could match here.
func (p *Policy) Connect(peer Peer) (Client, error) {
	c := Client{ip: peer.Addr.Addr().Unmap().WithZone(""), unix: peer.Unix, known: true}
	if peer.Auth != AuthRequired {
		for _, rule := range p.clients {
			if rule.Username == "" && rule.matches(c.ip, c.unix) {
				return c.withRule(rule), nil
			}
		}
	}
	if peer.Auth != AuthOff && p.mayLogin(c) {
		return c, nil
	}
	remedy := "if it may send, add its address to networks of a client"
	if peer.Auth != AuthOff {
		remedy += ", or add one that logs in"
	}
	return Client{}, errClient.Becausef("client %s matches no rule of this listener; %s", c.peer(), remedy)
}

func (p *Policy) mayLogin(c Client) bool {
	return slices.ContainsFunc(p.clients, func(r *clientRule) bool {
		return r.Username != "" && r.matches(c.ip, c.unix)
	})
}

// Login finds the client that c becomes by a user name: the one of that name
// whose networks, if it has some, contain the peer. The caller checks the
// password against hash, and uses next only if it matches and ok is true. For an
// unknown name, hash matches no password and takes as long to check, so that the
// time does not reveal which names exist.
func (p *Policy) Login(c Client, username string) (next Client, hash string, ok bool) {
	for _, rule := range p.clients {
		if c.known && username != "" && rule.Username == username && rule.matches(c.ip, c.unix) {
			return c.withRule(rule), rule.PasswordHash, true
		}
	}
	return Client{}, p.noUser, false
}

// unmatchable is a bcrypt hash that no known password matches, at the highest
// cost of those in use.
func unmatchable(rules []ClientRule) string {
	cost := "10"
	for _, r := range rules {
		if len(r.PasswordHash) == 60 && r.PasswordHash[4:6] > cost {
			cost = r.PasswordHash[4:6]
		}
	}
	const saltAndHash = "graphrelay.knows.no.uO" + "this.is.no.hash.of.any.password"
	return "$2a$" + cost + "$" + saltAndHash
}

// withRule is c with the rights of rule.
func (c Client) withRule(rule *clientRule) Client {
	c.Name, c.Login, c.Repair = rule.Name, rule.Username, rule.Repair
	c.Rate, c.RatePerAddress, c.MaxConnections, c.rule = rule.Rate, rule.RatePerAddress, rule.MaxConnections, rule
	return c
}

// firstSender is the address that repairs and rewrites give c; zero if there is none.
func (c Client) firstSender() envelope.Address {
	if c.rule == nil {
		return envelope.Address{}
	}
	return c.rule.senders.first
}

// checkLogin refuses a client that has not logged in yet.
func (c Client) checkLogin() error {
	if c.NeedsLogin() {
		return reply.New(530, reply.Enhanced{5, 7, 0}, "Authentication required").
			Becausef("client %s must log in on this listener; set a user name and a password in the program that "+
				"sends, or add its address to networks of a client", c.peer())
	}
	return nil
}

// String names c for the log.
func (c Client) String() string {
	if c.Name == "" {
		return "without a rule"
	}
	return fmt.Sprintf("%s (%s)", c.Name, c.peer())
}

func (c Client) peer() string {
	if c.unix {
		return "unix"
	}
	return c.ip.String()
}

var errClient = reply.New(554, reply.Enhanced{5, 7, 1},
	"Access denied; ask the administrator of this relay to allow this client")

// TooFast is the refusal, 452 4.7.1, of a message beyond c.Rate; wait is the
// time until the client may send the next one.
func (c Client) TooFast(wait time.Duration) error {
	return errTooFast.Becausef("client %s sends more than its rate, %s, and may send again in %s; "+
		"if that is too little, raise rate of clients: %s", c, c.Rate, wait.Round(time.Second), c.Name)
}

// AddressTooFast is the same for a message beyond c.RatePerAddress.
func (c Client) AddressTooFast(address string, wait time.Duration) error {
	return errTooFast.Becausef("%s of client %s sends more than rate_per_address, %s, and may send again in %s; "+
		"find out why, or raise rate_per_address of clients: %s",
		address, c, c.RatePerAddress, wait.Round(time.Second), c.Name)
}

var errTooFast = reply.New(452, reply.Enhanced{4, 7, 1},
	"Too many messages, try again later; ask the administrator of this relay for a higher rate")

// TooMany is the refusal, 421 4.7.0, of a connection beyond c.MaxConnections.
func (c Client) TooMany() error {
	return reply.New(421, reply.Enhanced{4, 7, 0},
		"Too many connections, try again later; ask the administrator of this relay for more").
		Becausef("client %s has %d connections already; "+
			"if that is too few, raise max_connections of clients: %s", c, c.MaxConnections, c.Name)
}
