package config

import (
	"net/netip"
	"slices"

	"graphrelay/config/strict"
	"graphrelay/relay/envelope"
)

// Client is a peer that may send. Username and PasswordHash are both set or
// both empty; Networks and Username are not both empty. Empty Senders mean
// every configured sender, empty Recipients for anyone.
type Client struct {
	Name           Name               `yaml:"name" required:"true"`
	Networks       []Network          `yaml:"networks" unset:"any, with username"`
	Username       Username           `yaml:"username" unset:"none"`
	PasswordHash   PasswordHash       `yaml:"password_hash" unset:"none"`
	Senders        []envelope.Address `yaml:"senders" range:"address | *@domain" unset:"all of senders"`
	OtherSenders   string             `yaml:"other_senders" default:"reject" range:"reject | rewrite"`
	Repair         Repairs            `yaml:"repair" default:"all"`
	Recipients     []envelope.Address `yaml:"recipients" range:"address | *@domain" unset:"anyone"`
	Priority       string             `yaml:"priority" default:"normal" range:"high | normal | bulk"`
	Rate           Rate               `yaml:"rate" unset:"none"`
	RatePerAddress Rate               `yaml:"rate_per_address" unset:"none"`
	MaxConnections int                `yaml:"max_connections" default:"20" range:"1..10000"`
}

// Repair names one thing that is repaired.
type Repair string

// The repairs that a client may ask for; packaging/doc/front-door.md describes them.
const (
	RepairDisplayName Repair = "display_name"
	RepairMissingFrom Repair = "missing_from"
	RepairLocalSender Repair = "local_sender"
)

func (r *Repair) Read(text string) *strict.Fault {
	if !slices.Contains(allRepairs(), Repair(text)) {
		return strict.Bad("is not a repair", "write display_name, missing_from or local_sender")
	}
	*r = Repair(text)
	return nil
}

func (*Repair) About() (kind, example string) {
	return "repair", "display_name, missing_from or local_sender"
}

// Repairs are what is repaired, in any order.
type Repairs []Repair

func allRepairs() Repairs { return Repairs{RepairDisplayName, RepairMissingFrom, RepairLocalSender} }

// Has reports whether r is among them.
func (all Repairs) Has(r Repair) bool { return slices.Contains(all, r) }

func (all *Repairs) Short(word string) *strict.Fault {
	switch word {
	case "all":
		*all = allRepairs()
	case "none":
		*all = Repairs{}
	default:
		return strict.Bad("is not all, none or a list",
			"write all, none, or a list such as [display_name, missing_from]")
	}
	return nil
}

func (c *Client) Check(s strict.Scope) {
	user, hash := s.Given("username"), s.Given("password_hash")
	switch {
	case user && !hash:
		s.Fail("username", "needs password_hash",
			"run: graphrelay passwd, and write the line it prints as password_hash")
	case hash && !user:
		s.Fail("password_hash", "needs username", "write the name that the client logs in with")
	case !user && !s.Given("networks"):
		s.Fail("networks", "is missing, and so is username: every host would be this client",
			"write networks: [10.1.2.0/24], or username and password_hash")
	}
	c.checkPublic(s)
}

// checkPublic keeps the relay from being an open one: a network that others
// can be in must not send to anyone.
func (c *Client) checkPublic(s strict.Scope) {
	if s.Given("username") || s.Given("recipients") {
		return
	}
	for i, n := range c.Networks {
		s.FailIf(n.IsValid() && !n.Private(), strict.Indexed("networks", i),
			"is not a private network, and its hosts could send to anyone",
			"add username and password_hash, or recipients; or write a network within 10.0.0.0/8, 172.16.0.0/12, "+
				"192.168.0.0/16 or fc00::/7")
	}
}

// checkClients compares the clients with each other, the senders and the listeners.
func (c *Config) checkClients(s strict.Scope) {
	names, users := map[Name]bool{localClient: true}, map[Username]bool{}
	for i, client := range c.Clients {
		s.FailIf(client.Name != "" && names[client.Name], strict.Entry("clients", i, "name"),
			"is already the name of another client, or of the built-in client local", "write another name")
		s.FailIf(client.Username != "" && users[client.Username], strict.Entry("clients", i, "username"),
			"is already the user name of another client", "write another one")
		s.FailIf(client.Username != "" && !c.offersAuth() && s.Sound("smtp"), strict.Entry("clients", i, "username"),
			"cannot be used: no listener has auth", "write auth: optional for a listener")
		names[client.Name], users[client.Username] = true, true
		c.checkShadow(s, i, client)
		c.checkClientSenders(s, i, client)
	}
	nobody := len(c.Clients) == 0 && !c.LocalClient && s.Given("local_client")
	s.FailIf(nobody && s.Sound("clients") && s.Sound("local_client"), "local_client",
		"is false, and there are no clients: nobody could send", "add a client, or remove the key")
}

// checkShadow finds a client that never matches, because those above have all its networks.
func (c *Config) checkShadow(s strict.Scope, i int, client Client) {
	if client.Username != "" || len(client.Networks) == 0 || s.Given(strict.Entry("clients", i, "username")) {
		return
	}
	var above []netip.Prefix
	for _, a := range c.Clients[:i] {
		if a.Username == "" {
			for _, n := range a.Networks {
				above = append(above, n.Prefix)
			}
		}
	}
	for _, n := range client.Networks {
		if !n.IsValid() || !n.within(above) {
			return
		}
	}
	s.Fail(strict.Entry("clients", i, "networks"), "never match: clients above have all of them",
		"move this client above those, or remove it")
}

// localClient is the name of the built-in client that local_client enables.
const localClient = "local"

func (c *Config) offersAuth() bool {
	return slices.ContainsFunc(c.SMTP.Listeners, func(l Listener) bool { return l.offersAuth() })
}

func (c *Config) checkClientSenders(s strict.Scope, i int, client Client) {
	sound := s.Sound("senders")
	for j, a := range client.Senders {
		s.FailIf(!a.IsZero() && sound && !c.covers(a), strict.Indexed(strict.Entry("clients", i, "senders"), j),
			"is not covered by senders",
			"write an address from senders, or add it there; a wildcard needs the same wildcard there")
	}
	wildcards := sound && client.firstSender(c.Senders).IsZero() && s.Sound(strict.Entry("clients", i, "senders"))
	s.FailIf(client.OtherSenders == "rewrite" && wildcards, strict.Entry("clients", i, "other_senders"),
		"needs an address to write, but this client's senders are only wildcards",
		"add an exact address to its senders")
}

// covers reports whether some configured sender allows a, which may be a wildcard.
func (c *Config) covers(a envelope.Address) bool {
	return slices.ContainsFunc(c.Senders, func(s Sender) bool { return s.Address.Covers(a) })
}

// firstSender is the first exact address of the client's senders; zero if there is none.
func (cl Client) firstSender(all []Sender) envelope.Address {
	list := cl.Senders
	if len(list) == 0 {
		for _, s := range all {
			list = append(list, s.Address)
		}
	}
	for _, a := range list {
		if !a.IsZero() && !a.Wildcard() {
			return a
		}
	}
	return envelope.Address{}
}

// reaches reports whether a peer beyond this host can be the client on l.
func (cl Client) reaches(l Listener) bool {
	beyond := func(n Network) bool { return n.IsValid() && !n.Loopback() }
	return (len(cl.Networks) == 0 || slices.ContainsFunc(cl.Networks, beyond)) &&
		(cl.Username == "" && l.Auth != "required" || cl.Username != "" && l.offersAuth())
}
