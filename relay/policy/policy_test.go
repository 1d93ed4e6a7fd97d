package policy

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
)

func TestClientIsThisHostOnly(t *testing.T) {
	p := New(Rules{LocalClient: true})
	for _, c := range []struct {
		addr string
		unix bool
		ok   bool
	}{
		{"127.0.0.1:4711", false, true},
		{"127.255.255.254:1", false, true},
		{"[::1]:25", false, true},
		{"[::1%lo]:25", false, true},
		{"[::ffff:127.0.0.1]:25", false, true},
		{"", true, true},
		{"10.0.0.1:25", true, true}, // of a unix socket the address is not looked at
		{"", false, false},
		{"0.0.0.0:25", false, false},
		{"126.255.255.255:25", false, false},
		{"128.0.0.1:25", false, false},
		{"10.0.0.1:25", false, false},
		{"[::]:25", false, false},
		{"[::2]:25", false, false},
		{"[::127.0.0.1]:25", false, false}, // IPv4-compatible, not mapped
		{"[::ffff:10.0.0.1]:25", false, false},
		{"[fe80::1%eth0]:25", false, false},
		{"[2001:db8::1]:25", false, false},
	} {
		var addr netip.AddrPort
		if c.addr != "" {
			addr = netip.MustParseAddrPort(c.addr)
		}
		got, err := p.Connect(Peer{Addr: addr, Unix: c.unix})
		if c.ok && (err != nil || got.Name != "local") {
			t.Errorf("Client(%s, %v) = %v, %v; want local", c.addr, c.unix, got, err)
		}
		if !c.ok {
			wantRefusal(t, err, 554, "ask the administrator", "matches no rule of this listener; if it may send, add "+
				"its address to networks of a client")
		}
	}
}

// The log names a peer as the administrator knows it.
func TestRefusedClientIsNamedUnmapped(t *testing.T) {
	_, err := New(Rules{LocalClient: true}).Connect(Peer{Addr: netip.MustParseAddrPort("[::ffff:10.0.0.1]:25")})
	wantRefusal(t, err, 554, "Access denied", "client 10.0.0.1 matches no rule")
}

func TestWithoutLocalClientNobodyMaySend(t *testing.T) {
	p := New(Rules{Senders: []Sender{{Address: addr(t, "a@contoso.com")}}})
	_, err := p.Connect(Peer{Addr: netip.MustParseAddrPort("127.0.0.1:25")})
	wantRefusal(t, err, 554, "ask the administrator", "127.0.0.1")
	_, err = p.Connect(Peer{Unix: true})
	wantRefusal(t, err, 554, "ask the administrator", "unix")
}

// rules are what most tests below ask: two mailboxes, one of them with an
// alias, a quoted local part and an international domain.
func rules(t *testing.T) Rules {
	return Rules{LocalClient: true, Senders: []Sender{
		{Address: addr(t, "Erp@Contoso.com"), Mailbox: addr(t, "erp@contoso.com")},
		{Address: addr(t, "scan@contoso.com"), Mailbox: addr(t, "devices@contoso.com")},
		{Address: addr(t, `"odd user"@contoso.com`)},
		{Address: addr(t, "k@bücher.example")},
	}}
}

func local(t *testing.T) (*Policy, Client) {
	t.Helper()
	p := New(rules(t))
	c, err := p.Connect(Peer{Addr: netip.MustParseAddrPort("127.0.0.1:4711")})
	if err != nil {
		t.Fatal(err)
	}
	return p, c
}

// One set of rules for every field: what is refused in MAIL is refused in From.
func TestAddresses(t *testing.T) {
	p, c := local(t)
	for _, row := range []struct {
		address string
		mailbox string // empty: refused
	}{
		{"erp@contoso.com", "erp@contoso.com"},
		{"ERP@CONTOSO.COM", "erp@contoso.com"},
		{`"erp"@contoso.com`, "erp@contoso.com"},
		{`"e\rp"@contoso.com`, "erp@contoso.com"}, // an escape that escapes nothing
		{"scan@contoso.com", "devices@contoso.com"},
		{`"Odd User"@contoso.com`, `"odd user"@contoso.com`},
		{"k@xn--bcher-kva.example", "k@xn--bcher-kva.example"},
		{"K@BÜCHER.example", "k@xn--bcher-kva.example"},

		{"devices@contoso.com", ""}, // a mailbox is no sender
		{"erp@contoso.com.evil.example", ""},
		{"erp@evil.contoso.com", ""},
		{"erp@contoso.co", ""},
		{"erp@contosocom", ""},
		{"erp+x@contoso.com", ""}, // a sub-address
		{"er.p@contoso.com", ""},
		{"oddUser@contoso.com", ""},
		{"odd.user@contoso.com", ""},
		{`" odd user"@contoso.com`, ""},
		{`"erp@contoso.com"@evil.example`, ""},
		{`"erp@contoso.com,x"@contoso.com`, ""},
		{"еrp@contoso.com", ""},        // Cyrillic е
		{"ｅrp@contoso.com", ""},        // full-width e
		{"\u212a@bücher.example", ""},  // Kelvin sign
		{"erp@cоntoso.com", ""},        // Cyrillic о
		{"k@bu\u0308cher.exampel", ""}, // decomposed, other domain
		{"erp@[127.0.0.1]", ""},
		{"erp@xn--contoso-.com", ""},
		{"*@contoso.com", ""},
		{"root", ""},
		{"erp", ""},
	} {
		a, err := envelope.ParseRecipient(row.address)
		if err != nil {
			if row.mailbox != "" {
				t.Errorf("%s: %v", row.address, err)
			}
			continue // no address at all, so no field can hold it
		}
		errPath := p.ReversePath(c, a)
		g, errFrom := p.Grant(c, Message{From: []envelope.Address{a}})
		if (errPath == nil) != (row.mailbox != "") || (errFrom == nil) != (errPath == nil) {
			t.Errorf("%s: MAIL %v, From %v, want mailbox %q", row.address, errPath, errFrom, row.mailbox)
		}
		if g.Mailbox.String() != row.mailbox {
			t.Errorf("%s goes through %q, want %q", row.address, g.Mailbox, row.mailbox)
		}
	}
}

func TestDecomposedDomainIsTheSameDomain(t *testing.T) {
	p, c := local(t)
	if err := p.ReversePath(c, addr(t, "k@bu\u0308cher.example")); err != nil {
		t.Errorf("decomposed ü in a domain: %v", err)
	}
}

func TestGrant(t *testing.T) {
	p, c := local(t)
	erp, scan, odd := addr(t, "erp@contoso.com"), addr(t, "scan@contoso.com"), addr(t, `"odd user"@contoso.com`)
	ceo, bare := addr(t, "ceo@contoso.com"), bare(t, "root")
	list := func(a ...envelope.Address) []envelope.Address { return a }
	for _, row := range []struct {
		name    string
		m       Message
		mailbox string // of the grant
		text    string // of the refusal
		cause   string
	}{
		{"all the same", Message{ReversePath: erp, From: list(erp), Sender: erp}, "erp@contoso.com", "", ""},
		{"null reverse-path", Message{From: list(scan)}, "devices@contoso.com", "", ""},
		{"From decides, not the reverse-path", Message{ReversePath: erp, From: list(scan)}, "devices@contoso.com", "",
			""},
		{"From decides, not Sender", Message{From: list(scan), Sender: erp}, "devices@contoso.com", "", ""},
		{"first From decides", Message{From: list(scan, erp), Sender: erp}, "devices@contoso.com", "", ""},
		{"resent", Message{From: list(erp), ResentFrom: list(scan, odd), ResentSender: list(erp)}, "erp@contoso.com",
			"", ""},

		{"no From", Message{ReversePath: erp}, "", "no From address", "no From address"},
		{"no From, but Sender and Resent-From", Message{Sender: erp, ResentFrom: list(erp)}, "", "no From address",
			"no From address"},
		{"reverse-path", Message{ReversePath: ceo, From: list(erp)}, "", "MAIL FROM address ceo@contoso.com",
			"MAIL FROM ceo@contoso.com"},
		{"From", Message{ReversePath: erp, From: list(ceo)}, "", "From address ceo@contoso.com",
			"From ceo@contoso.com"},
		{"second From", Message{From: list(erp, ceo)}, "", "From address ceo@contoso.com", "From ceo@contoso.com"},
		{"Sender", Message{From: list(erp), Sender: ceo}, "", "Sender address ceo@contoso.com",
			"Sender ceo@contoso.com"},
		{"Resent-From", Message{From: list(erp), ResentFrom: list(erp, ceo)}, "", "Resent-From address ceo@contoso.com",
			"Resent-From ceo@contoso.com"},
		{"Resent-Sender", Message{From: list(erp), ResentSender: list(ceo)}, "",
			"Resent-Sender address ceo@contoso.com", "Resent-Sender ceo@contoso.com"},
		{"zero From", Message{From: list(envelope.Address{})}, "", "From address has no domain", `From ""`},
		{"zero second From", Message{From: list(erp, envelope.Address{})}, "", "From address has no domain", `From ""`},
		{"zero Resent-From", Message{From: list(erp), ResentFrom: list(envelope.Address{})}, "",
			"Resent-From address has no domain", `Resent-From ""`},
		{"From without domain", Message{From: list(bare)}, "", "From address has no domain", "From root"},
		{"reverse-path without domain", Message{ReversePath: bare, From: list(erp)}, "",
			"MAIL FROM address has no domain", "MAIL FROM root"},
	} {
		g, err := p.Grant(c, row.m)
		if row.mailbox != "" {
			if err != nil || g.Mailbox.String() != row.mailbox || !g.From.Equal(row.m.From[0]) {
				t.Errorf("%s: %v, %v; want mailbox %s", row.name, g, err, row.mailbox)
			}
			continue
		}
		if g != (Grant{}) {
			t.Errorf("%s: refused with a grant: %v", row.name, g)
		}
		wantRefusal(t, err, 550, row.text, row.cause)
	}
}

func TestReversePath(t *testing.T) {
	p, c := local(t)
	if err := p.ReversePath(c, envelope.Address{}); err != nil {
		t.Errorf("null reverse-path: %v", err)
	}
	wantRefusal(t, p.ReversePath(c, bare(t, "root")), 550, "no domain", "let the sending program use")
	wantRefusal(t, p.ReversePath(c, addr(t, "ceo@contoso.com")), 550,
		"MAIL FROM address ceo@contoso.com not allowed here; ask the administrator of this relay to add it to senders",
		"MAIL FROM ceo@contoso.com of client local (127.0.0.1) is not one of senders; "+
			"if it may send, add there: - address: ceo@contoso.com")
}

// The reply repeats what the client wrote only if it is ASCII; the log spells out
// what looks like something else.
func TestRefusalOfALookAlike(t *testing.T) {
	p, c := local(t)
	err := p.ReversePath(c, addr(t, "еrp@contoso.com"))
	wantRefusal(t, err, 550, "MAIL FROM address not allowed here", `- address: "\u0435rp@contoso.com"`)
}

func TestTheZeroClientMaySendAsNobody(t *testing.T) {
	p, _ := local(t)
	wantRefusal(t, p.ReversePath(Client{}, addr(t, "erp@contoso.com")), 550, "not allowed", "client without a rule")
	wantRefusal(t, p.ReversePath(Client{}, envelope.Address{}), 550, "not allowed", "client without a rule")
	_, err := p.Grant(Client{}, Message{From: []envelope.Address{addr(t, "erp@contoso.com")}})
	wantRefusal(t, err, 550, "not allowed", "client without a rule")
}

func TestNewIgnoresSendersWithoutAFullAddress(t *testing.T) {
	p := New(Rules{LocalClient: true, Senders: []Sender{{}, {Mailbox: addr(t, "a@contoso.com")},
		{Address: bare(t, "root")}}})
	c, err := p.Connect(Peer{Unix: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []envelope.Address{{}, bare(t, "root"), addr(t, "a@contoso.com")} {
		if g, err := p.Grant(c, Message{From: []envelope.Address{a}}); err == nil {
			t.Errorf("%q granted: %v", a, g)
		}
	}
}

func TestFirstOfTwoEqualSendersWins(t *testing.T) {
	p := New(Rules{LocalClient: true, Senders: []Sender{
		{Address: addr(t, "a@contoso.com"), Mailbox: addr(t, "one@contoso.com")},
		{Address: addr(t, "A@contoso.com"), Mailbox: addr(t, "two@contoso.com")},
	}})
	c, _ := p.Connect(Peer{Unix: true})
	g, err := p.Grant(c, Message{From: []envelope.Address{addr(t, "A@contoso.com")}})
	if err != nil || g.Mailbox.String() != "one@contoso.com" {
		t.Errorf("%v, %v", g, err)
	}
}

// wantRefusal checks all three audiences of a refusal.
func wantRefusal(t *testing.T, err error, code int, text, cause string) {
	t.Helper()
	var e *reply.Error
	if !errors.As(err, &e) {
		t.Errorf("error is %v, want a reply.Error", err)
		return
	}
	if e.Code != code || e.Enhanced != (reply.Enhanced{5, 7, 1}) || !strings.Contains(e.Text, text) {
		t.Errorf("refused with %d %s %s; want %d 5.7.1 ... %s", e.Code, e.Enhanced, e.Text, code, text)
	}
	if e.Cause == nil || !strings.Contains(e.Cause.Error(), cause) {
		t.Errorf("cause is %v, want %s", e.Cause, cause)
	}
	if bad := unprintable(e.Text); bad != "" {
		t.Errorf("text for the client %q holds %s", e.Text, bad)
	}
}

// unprintable matches what a reply line must not hold.
func unprintable(text string) string {
	for _, r := range text {
		if r < ' ' || r > '~' {
			return "a character that is not printable ASCII"
		}
	}
	if len(text) > 480 { // RFC 5321 section 4.5.3.1.5: 512 with codes and CRLF
		return "more than a reply line may"
	}
	return ""
}

func addr(t testing.TB, s string) envelope.Address {
	t.Helper()
	a, err := envelope.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func bare(t testing.TB, s string) envelope.Address {
	t.Helper()
	a, err := envelope.ParseRecipient(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What a refusal by Exchange means later depends on who chose From.
func TestGrantSaysWhoChoseFrom(t *testing.T) {
	one := []Sender{{Address: addr(t, "a@contoso.com")}}
	two := append(one, Sender{Address: addr(t, "b@contoso.com")})
	wild := append(one, Sender{Address: addr(t, "*@contoso.com"), Mailbox: addr(t, "a@contoso.com")})
	for _, c := range []struct {
		name    string
		senders []Sender
		only    []envelope.Address
		from    string
		fixed   bool
	}{
		{"the only sender", one, nil, "a@contoso.com", true},
		{"one of two", two, nil, "a@contoso.com", false},
		{"the client's only one of two", two, []envelope.Address{addr(t, "b@contoso.com")}, "b@contoso.com", true},
		{"an exact one beside a wildcard", wild, nil, "a@contoso.com", false},
		{"one of a wildcard", wild, nil, "x@contoso.com", false},
		{"the client's exact one, the wildcard out of reach", wild, []envelope.Address{addr(t, "a@contoso.com")},
			"a@contoso.com", true},
		{"the client's exact one of a wildcard", wild, []envelope.Address{addr(t, "x@contoso.com")}, "x@contoso.com",
			false},
		{"rewritten", two, nil, "stranger@example.org", true},
	} {
		p := New(Rules{Senders: c.senders,
			Clients: []ClientRule{{Name: "c", Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
				Senders: c.only, Rewrite: true}}})
		client, err := p.Connect(Peer{Addr: netip.MustParseAddrPort("10.0.0.1:1")})
		if err != nil {
			t.Fatal(err)
		}
		g, err := p.Grant(client, Message{ReversePath: addr(t, c.from), From: []envelope.Address{addr(t, c.from)}})
		if err != nil || g.Fixed != c.fixed {
			t.Errorf("%s: fixed is %v, want %v (%v)", c.name, g.Fixed, c.fixed, err)
		}
	}
}
