package policy

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/relay/envelope"
	"graphrelay/relay/pacing"
)

const someHash = "$2y$12$abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ."

func networks(t testing.TB, texts ...string) []netip.Prefix {
	t.Helper()
	var list []netip.Prefix
	for _, s := range texts {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}

// site has every kind of client: by network, by login, by both, and in an
// order that matters.
func site(t testing.TB) Rules {
	return Rules{
		LocalClient: true,
		Senders:     []Sender{{Address: addr(t, "a@contoso.com")}, {Address: addr(t, "b@contoso.com")}},
		Clients: []ClientRule{
			{Name: "host", Networks: networks(t, "10.1.2.3/32"), Rate: pacing.Rate{Count: 5, Per: time.Minute},
				MaxConnections: 7},
			{Name: "erp", Networks: networks(t, "10.1.2.0/24", "fe80::/10", "fd00::/8")},
			{Name: "scanner", Username: "scanner", PasswordHash: someHash,
				Senders: []envelope.Address{addr(t, "b@contoso.com")}},
			{Name: "both", Username: "both", PasswordHash: someHash, Networks: networks(t, "10.9.0.0/16")},
		},
	}
}

func TestConnect(t *testing.T) {
	p := New(site(t))
	for _, c := range []struct {
		peer string
		auth Auth
		want string // name; "login" where one is needed; "" refused
	}{
		{"10.1.2.3:1", AuthOff, "host"}, // first match
		{"10.1.2.4:1", AuthOff, "erp"},
		{"[::ffff:10.1.2.4]:1", AuthOff, "erp"},
		{"[fe80::1%eth0]:1", AuthOff, "erp"},
		{"[fd00::1]:1", AuthOptional, "erp"}, // a login is not needed
		{"127.0.0.1:1", AuthOptional, "local"},
		{"unix", AuthOptional, "local"},
		{"10.1.3.4:1", AuthOff, ""},
		{"10.9.0.1:1", AuthOff, ""}, // its network alone is not enough
		{"8.8.8.8:1", AuthOff, ""},
		{"10.9.0.1:1", AuthOptional, "login"},
		{"8.8.8.8:1", AuthOptional, "login"}, // scanner may come from anywhere
		{"10.1.2.4:1", AuthRequired, "login"},
		{"unix", AuthRequired, "login"},
	} {
		got, err := p.Connect(peerOf(c.peer, c.auth))
		switch c.want {
		case "":
			wantRefusal(t, err, 554, "ask the administrator", "matches no rule")
		case "login":
			if err != nil || !got.NeedsLogin() || got.Name != "" {
				t.Errorf("%s, auth %d: %v, %v; want a login", c.peer, c.auth, got, err)
			}
		default:
			if err != nil || got.NeedsLogin() || got.Name != c.want {
				t.Errorf("%s, auth %d: %v, %v; want %s", c.peer, c.auth, got, err, c.want)
			}
		}
	}
	rules := site(t)
	rules.Clients = append(rules.Clients, ClientRule{Name: "new", Networks: networks(t, "10.1.3.4/32")})
	if got, err := New(rules).Connect(peerOf("10.1.3.4:1", AuthOff)); err != nil || got.Name != "new" {
		t.Errorf("added to networks of a client: %v, %v", got, err)
	}
	socket := peerOf("10.1.2.3:1", AuthOff)
	socket.Unix = true
	if c, err := p.Connect(socket); err != nil || c.Name != "local" {
		t.Errorf("of a unix socket the address is not looked at: %v, %v", c, err)
	}
	host, _ := p.Connect(peerOf("10.1.2.3:1", AuthOff))
	if host.Rate != (pacing.Rate{Count: 5, Per: time.Minute}) || host.MaxConnections != 7 {
		t.Errorf("limits of %+v", host)
	}
}

// Refused at connect only if no login could help: here the only login is
// bound to a network.
func TestConnectWhereNoLoginCanMatch(t *testing.T) {
	rules := site(t)
	rules.Clients = rules.Clients[3:]
	p := New(rules)
	for _, auth := range []Auth{AuthOff, AuthOptional, AuthRequired} {
		_, err := p.Connect(peerOf("10.1.3.4:1", auth))
		wantRefusal(t, err, 554, "ask the administrator", "client 10.1.3.4 matches no rule")
	}
	if _, err := p.Connect(peerOf("unix", AuthRequired)); err == nil {
		t.Error("a unix socket is in no network")
	}
}

func TestLogin(t *testing.T) {
	p := New(site(t))
	for _, c := range []struct{ peer, user, want string }{
		{"10.1.2.3:1", "scanner", "scanner"}, // replaces the network's client
		{"127.0.0.1:1", "scanner", "scanner"},
		{"unix", "scanner", "scanner"},
		{"8.8.8.8:1", "scanner", "scanner"},
		{"10.9.1.1:1", "both", "both"},
		{"[::ffff:10.9.1.1]:1", "both", "both"},
		{"10.1.2.3:1", "both", ""},
		{"unix", "both", ""},
		{"10.9.1.1:1", "Both", ""},
		{"10.9.1.1:1", "erp", ""}, // a client without a login
		{"10.9.1.1:1", "", ""},
	} {
		before, err := p.Connect(peerOf(c.peer, AuthOptional))
		if err != nil {
			t.Fatal(err)
		}
		after, hash, ok := p.Login(before, c.user)
		if ok != (c.want != "") || after.Name != c.want || after.Login != c.want || after.NeedsLogin() {
			t.Errorf("%s from %s: %v, %v; want %q", c.user, c.peer, after, ok, c.want)
		}
		if (hash == someHash) != ok {
			t.Errorf("%s from %s: hash %s", c.user, c.peer, hash)
		}
	}
	if _, _, ok := p.Login(Client{}, "scanner"); ok {
		t.Error("the zero Client logged in")
	}
}

// A login takes its own rights and loses those of the network.
func TestLoginReplacesRights(t *testing.T) {
	p := New(site(t))
	c, _ := p.Connect(peerOf("10.1.2.3:1", AuthOptional))
	if err := p.ReversePath(c, addr(t, "a@contoso.com")); err != nil {
		t.Error(err)
	}
	c, _, _ = p.Login(c, "scanner")
	wantRefusal(t, p.ReversePath(c, addr(t, "a@contoso.com")), 550, "not allowed", "client scanner (10.1.2.3)")
	if c.Rate != (pacing.Rate{}) || c.MaxConnections != 0 {
		t.Errorf("limits of the network's client stayed: %+v", c)
	}
}

func TestNothingBeforeALogin(t *testing.T) {
	p := New(site(t))
	c, err := p.Connect(peerOf("8.8.8.8:1", AuthOptional))
	if err != nil {
		t.Fatal(err)
	}
	a := addr(t, "a@contoso.com")
	_, errGrant := p.Grant(c, Message{From: []envelope.Address{a}})
	_, errRcpt := p.Recipient(c, a)
	for _, err := range []error{p.ReversePath(c, a), p.ReversePath(c, envelope.Address{}), errGrant, errRcpt} {
		const want = "530 5.7.0 Authentication required: client 8.8.8.8 must log in"
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v", err)
		}
	}
}

// The hash for unknown users must be one that bcrypt computes to the end, at
// the cost of the others, or the time of a failure would reveal the names.
func TestHashOfUnknownUsers(t *testing.T) {
	for _, c := range []struct {
		hashes []string
		cost   int
	}{{nil, 10}, {[]string{someHash, strings.Replace(someHash, "$12$", "$11$", 1)}, 12}} {
		rules := Rules{LocalClient: true}
		for _, h := range c.hashes {
			rules.Clients = append(rules.Clients, ClientRule{Name: "x", Username: "x", PasswordHash: h})
		}
		p := New(rules)
		_, hash, ok := p.Login(Client{}, "nobody")
		cost, err := bcrypt.Cost([]byte(hash))
		if ok || err != nil || cost != c.cost {
			t.Errorf("%v: %s has cost %d, %v", c.hashes, hash, cost, err)
		}
	}
	_, hash, _ := New(Rules{}).Login(Client{}, "nobody")
	if err := bcrypt.CompareHashAndPassword([]byte(hash), []byte("x")); err != bcrypt.ErrMismatchedHashAndPassword {
		t.Errorf("comparison ends with %v", err)
	}
}

func TestRuleWithoutNetworkAndLoginMatchesNobody(t *testing.T) {
	p := New(Rules{Clients: []ClientRule{{Name: "x"}}})
	for _, peer := range []string{"10.0.0.1:1", "127.0.0.1:1", "unix"} {
		for _, auth := range []Auth{AuthOff, AuthOptional, AuthRequired} {
			if c, err := p.Connect(peerOf(peer, auth)); err == nil {
				t.Errorf("%s is %v", peer, c)
			}
		}
	}
}

func TestLimitsSayWhatToRaise(t *testing.T) {
	c, _ := New(site(t)).Connect(peerOf("10.1.2.3:1", AuthOff))
	for err, want := range map[error]string{
		c.TooFast(1500 * time.Millisecond): "452 4.7.1 Too many messages, try again later; ask the administrator of " +
			"this relay for a higher rate: client host (10.1.2.3) sends more than its rate, 5 in 1m0s, and may send " +
			"again in 2s; if that is too little, raise rate of clients: host",
		c.TooMany(): "421 4.7.0 Too many connections, try again later; ask the administrator " +
			"of this relay for more: client host (10.1.2.3) has 7 connections already; if that is too few, raise " +
			"max_connections of clients: host",
	} {
		if err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func peerOf(text string, auth Auth) Peer {
	if text == "unix" {
		return Peer{Unix: true, Auth: auth}
	}
	return Peer{Addr: netip.MustParseAddrPort(text), Auth: auth}
}
