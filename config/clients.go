package config

import (
	"net/netip"
	"slices"

	"graphrelay/relay/envelope"
)

// Client is a peer that may send. Username and PasswordHash are both set or
// both empty; Networks and Username are not both empty. Empty Senders stand for
// every configured sender, empty Recipients for anyone.
type Client struct {
	Name           Name               `yaml:"name" required:"true" doc:"Name for logs and commands."`
	Networks       []Network          `yaml:"networks" unset:"any, for a login" doc:"Networks and hosts it comes from; with username, both must match. A network that can be met on the Internet needs username or recipients."`
	Username       Username           `yaml:"username" unset:"none" doc:"Name to log in with; needs password_hash, and a listener with auth."`
	PasswordHash   PasswordHash       `yaml:"password_hash" unset:"none" doc:"bcrypt hash of its password, as graphrelay passwd prints it."`
	Senders        []envelope.Address `yaml:"senders" range:"address | *@domain" unset:"every one of senders" doc:"What From may say; each is one of the configured senders, or within their wildcards."`
	OtherSenders   string             `yaml:"other_senders" default:"reject" range:"reject | rewrite" doc:"Mail from any other address: refuse it, or let From say the first exact address of this client's senders and Reply-To the original."`
	Repair         Repairs            `yaml:"repair" default:"all" doc:"What to mend in the header of a message: all, none, or a list of display_name (quote a bare @ in a display name), missing_from (make a From) and local_sender (give a sender without domain, or of this host, the client's first sender)."`
	Recipients     []envelope.Address `yaml:"recipients" range:"address | *@domain" unset:"anyone" doc:"Whom it may send to."`
	Rate           Rate               `yaml:"rate" unset:"none" doc:"Most messages in a time."`
	MaxConnections int                `yaml:"max_connections" default:"20" range:"1..10000" doc:"Most connections at one time."`
}

// Repair names one thing that is mended.
type Repair string

// The repairs of design section 4.
const (
	RepairDisplayName Repair = "display_name"
	RepairMissingFrom Repair = "missing_from"
	RepairLocalSender Repair = "local_sender"
)

func (r *Repair) read(text string) *fault {
	if !slices.Contains(allRepairs(), Repair(text)) {
		return bad("is no repair", "write display_name, missing_from or local_sender")
	}
	*r = Repair(text)
	return nil
}

func (*Repair) kind() string { return "repair" }
func (*Repair) like() string { return "display_name, missing_from or local_sender" }

// Repairs are what is mended, without order.
type Repairs []Repair

func allRepairs() Repairs { return Repairs{RepairDisplayName, RepairMissingFrom, RepairLocalSender} }

// Has tells whether r is among them.
func (all Repairs) Has(r Repair) bool { return slices.Contains(all, r) }

// shorthand is a list or a section that one word can stand for.
type shorthand interface{ short(word string) *fault }

func (all *Repairs) short(word string) *fault {
	switch word {
	case "all":
		*all = allRepairs()
	case "none":
		*all = Repairs{}
	default:
		return bad("is neither all nor none nor a list", "write all, none, or a list such as [display_name, missing_from]")
	}
	return nil
}

func (c *Client) check(s scope) {
	user, hash := s.given("username"), s.given("password_hash")
	switch {
	case user && !hash:
		s.fail("username", bad("has no password_hash beside it", "run: graphrelay passwd, and write the line that it prints as password_hash"))
	case hash && !user:
		s.fail("password_hash", bad("has no username beside it", "write the name that the client logs in with"))
	case !user && !s.given("networks"):
		s.fail("networks", bad("is missing, and so is username: every host would be this client", "write networks: [10.1.2.0/24], or username and password_hash"))
	}
	c.checkPublic(s)
}

// checkPublic keeps the relay from being an open one: a network that others
// can be in must not send to anyone.
func (c *Client) checkPublic(s scope) {
	if s.given("username") || s.given("recipients") {
		return
	}
	for i, n := range c.Networks {
		if n.IsValid() && !n.Private() {
			s.fail(indexed("networks", i), bad("is not a private network, and its hosts may send to anyone", "add username and password_hash, or recipients; or write a network within 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or fc00::/7"))
		}
	}
}

// checkClients holds the clients against each other, the senders and the
// listeners.
func (c *Config) checkClients(s scope) {
	names, users := map[Name]bool{localClient: true}, map[Username]bool{}
	for i, client := range c.Clients {
		if client.Name != "" && names[client.Name] {
			s.fail(entry("clients", i, "name"), bad("is the name of a client above, or of the built-in client local", "write another name"))
		}
		if client.Username != "" && users[client.Username] {
			s.fail(entry("clients", i, "username"), bad("is the user name of a client above", "write another one"))
		}
		if client.Username != "" && !c.offersAuth() && s.sound("smtp") {
			s.fail(entry("clients", i, "username"), bad("cannot be used, for no listener has auth", "write auth: optional for a listener"))
		}
		names[client.Name], users[client.Username] = true, true
		c.checkShadow(s, i, client)
		c.checkClientSenders(s, i, client)
	}
	if len(c.Clients) == 0 && !c.LocalClient && s.given("local_client") && s.sound("clients") && s.sound("local_client") {
		s.fail("local_client", bad("is false, and there are no clients: nobody could send", "add a client, or take the key out"))
	}
}

// checkShadow finds a client that never matches, for those above take all its
// networks.
func (c *Config) checkShadow(s scope, i int, client Client) {
	if client.Username != "" || len(client.Networks) == 0 || s.given(entry("clients", i, "username")) {
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
	s.fail(entry("clients", i, "networks"), bad("never match, for clients above have all of them", "write this client above those, or take it out"))
}

// localClient is the name of the client that local_client stands for.
const localClient = "local"

func (c *Config) offersAuth() bool {
	return slices.ContainsFunc(c.SMTP.Listeners, func(l Listener) bool { return l.offersAuth() })
}

func (c *Config) checkClientSenders(s scope, i int, client Client) {
	sound := s.sound("senders")
	for j, a := range client.Senders {
		if !a.IsZero() && sound && !c.covers(a) {
			s.fail(indexed(entry("clients", i, "senders"), j), bad("is not one of senders", "write an address that stands there, or add it; a wildcard needs the same wildcard there"))
		}
	}
	if client.OtherSenders == "rewrite" && sound && client.firstSender(c.Senders).IsZero() && s.sound(entry("clients", i, "senders")) {
		s.fail(entry("clients", i, "other_senders"), bad("needs an address to write, and this client's senders are wildcards only", "add an exact address to its senders"))
	}
}

// covers tells whether some configured sender allows a, which may be a wildcard.
func (c *Config) covers(a envelope.Address) bool {
	return slices.ContainsFunc(c.Senders, func(s Sender) bool { return s.Address.Covers(a) })
}

// firstSender is the first exact address of the client's senders; zero if
// there is none.
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

// reaches tells whether a peer beyond this host can be the client on l.
func (cl Client) reaches(l Listener) bool {
	beyond := len(cl.Networks) == 0
	for _, n := range cl.Networks {
		beyond = beyond || n.IsValid() && !n.Loopback()
	}
	return beyond && (cl.Username == "" && l.Auth != "required" || cl.Username != "" && l.offersAuth())
}
