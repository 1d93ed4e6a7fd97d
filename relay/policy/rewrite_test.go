package policy

import (
	"fmt"
	"strings"
	"testing"

	"graphrelay/relay/envelope"
)

func all() Repair { return Repair{DisplayName: true, MissingFrom: true, LocalSender: true} }

// office has clients that treat other addresses differently.
func office(t testing.TB) Rules {
	list := func(texts ...string) []envelope.Address {
		var a []envelope.Address
		for _, s := range texts {
			a = append(a, addr(t, s))
		}
		return a
	}
	return Rules{
		LocalClient: true, LocalRepair: all(), Hosts: []string{"web01.corp.example", "web01"},
		Senders: []Sender{
			{Address: addr(t, "*@fabrikam.com"), Mailbox: addr(t, "*@fabrikam.com")},
			{Address: addr(t, "boss@fabrikam.com"), Mailbox: addr(t, "desk@contoso.com")},
			{Address: addr(t, "a@contoso.com")},
			{Address: addr(t, "b@contoso.com"), Mailbox: addr(t, "box@contoso.com")},
			{Address: addr(t, "*@contoso.org"), Mailbox: addr(t, "shared@contoso.com")},
		},
		Clients: []ClientRule{
			{Name: "strict", Networks: networks(t, "10.0.0.1/32"), Senders: list("b@contoso.com")},
			{Name: "mend", Networks: networks(t, "10.0.0.2/32"), Senders: list("*@fabrikam.com", "b@contoso.com",
				"a@contoso.com"), Repair: all()},
			{Name: "rewrite", Networks: networks(t, "10.0.0.3/32"), Senders: list("b@contoso.com", "x@fabrikam.com"),
				Rewrite: true},
			{Name: "both", Networks: networks(t, "10.0.0.4/32"), Rewrite: true, Repair: all()},
			{Name: "wild", Networks: networks(t, "10.0.0.5/32"), Senders: list("*@fabrikam.com"), Rewrite: true,
				Repair: all()},
			{Name: "beyond", Networks: networks(t, "10.0.0.6/32"), Senders: list("ceo@contoso.com", "*@contoso.com"),
				Rewrite: true, Repair: all()},
		},
	}
}

func clientNamed(t testing.TB, p *Policy, name string) Client {
	t.Helper()
	for i := range 7 {
		c, err := p.Connect(peerOf(fmt.Sprintf("10.0.0.%d:1", i), AuthOff))
		if name == localName {
			c, err = p.Connect(peerOf("unix", AuthOff))
		}
		if err == nil && c.Name == name {
			return c
		}
	}
	t.Fatalf("no client %s", name)
	return Client{}
}

// Each row: client, then "reverse-path | From ... | Sender", then the grant as
// "mailbox from reverse-path why newFrom replyTo dropSender", or the refused field.
func TestRewriteAndRepair(t *testing.T) {
	p := New(office(t))
	for _, row := range []struct{ client, message, want string }{
		// wildcards and lists
		{"local", "<> | x@fabrikam.com |", "x@fabrikam.com x@fabrikam.com <>"},
		{"local", "<> | X.Y@Fabrikam.com |", "x.y@fabrikam.com X.Y@fabrikam.com <>"},
		{"local", "<> | boss@fabrikam.com |", "desk@contoso.com boss@fabrikam.com <>"}, // exact wins
		{"local", "<> | any@contoso.org |", "shared@contoso.com any@contoso.org <>"},
		{"local", "<> | x@mail.fabrikam.com |", "! From address x@mail.fabrikam.com"},
		{"local", "<> | *@fabrikam.com |", "! From address *@fabrikam.com"},
		{"local", `<> | "x/y"@fabrikam.com |`, "! From address x/y@fabrikam.com"},
		{"local", `<> | ".."@fabrikam.com |`, `! From address ".."@fabrikam.com`},
		{"local", "<> | воss@fabrikam.com |", "! From address not allowed"}, // a look-alike of boss
		{"mend", "<> | boss@fabrikam.com |", "desk@contoso.com boss@fabrikam.com <>"},
		{"mend", "<> | any@contoso.org |", "! From address any@contoso.org"},
		{"strict", "<> | b@contoso.com |", "box@contoso.com b@contoso.com <>"},
		{"strict", "<> | a@contoso.com |", "! From address a@contoso.com"},
		{"strict", "a@contoso.com | b@contoso.com |", "! MAIL FROM address a@contoso.com"},
		{"beyond", "<> | ceo@contoso.com |", "! From address ceo@contoso.com"}, // not even configured
		{"beyond", "<> | a@contoso.com |", "a@contoso.com a@contoso.com <>"},   // its own wildcard over an exact sender

		// a missing From
		{"strict", "b@contoso.com | |", "! Message has no From address"},
		{"mend", "a@contoso.com | |", "a@contoso.com a@contoso.com a@contoso.com missing_from a@contoso.com"},
		{"mend", "<> | |", "box@contoso.com b@contoso.com <> missing_from b@contoso.com"},
		{"mend", "root | |", "box@contoso.com b@contoso.com b@contoso.com missing_from b@contoso.com"},
		{"mend", "ceo@contoso.com | |", "! MAIL FROM address ceo@contoso.com"},
		{"local", "x@fabrikam.com | |", "x@fabrikam.com x@fabrikam.com x@fabrikam.com missing_from x@fabrikam.com"},
		{"wild", "<> | |", "! Message has no From address"}, // it has no first sender
		{"beyond", "<> | |", "! Message has no From address"},

		// a sender of this host
		{"strict", "<> | root |", "! From address has no domain"},
		{"mend", "root | root |", "box@contoso.com b@contoso.com b@contoso.com local_sender b@contoso.com"},
		{"mend", "www-data@web01.local | www-data@localhost |",
			"box@contoso.com b@contoso.com b@contoso.com local_sender b@contoso.com"},
		{"mend", "<> | x@web01 |", "box@contoso.com b@contoso.com <> local_sender b@contoso.com"},
		{"mend", "<> | x@WEB01.corp.example |", "box@contoso.com b@contoso.com <> local_sender b@contoso.com"},
		{"mend", "<> | x@[127.0.0.1] |", "box@contoso.com b@contoso.com <> local_sender b@contoso.com"},
		{"mend", "<> | x@[IPv6:::1] |", "box@contoso.com b@contoso.com <> local_sender b@contoso.com"},
		{"mend", "<> | x@[10.0.0.1] |", "! From address x@[10.0.0.1]"},
		{"mend", "<> | x@web02.corp.example |", "! From address x@web02.corp.example"},
		{"mend", "<> | x@corp.example |", "! From address x@corp.example"},
		{"mend", "<> | x@web01.corp.example.evil.example |", "! From address x@web01.corp.example.evil.example"},
		// PHP mail()
		{"mend", "root@localhost | a@contoso.com |", "a@contoso.com a@contoso.com a@contoso.com local_sender"},
		{"mend", "a@contoso.com | a@contoso.com | root@web01",
			"a@contoso.com a@contoso.com a@contoso.com local_sender drop"},
		{"wild", "<> | root |", "! From address has no domain"},

		// other senders
		{"rewrite", "ceo@contoso.com | ceo@contoso.com |",
			"box@contoso.com b@contoso.com b@contoso.com other_senders b@contoso.com <ceo@contoso.com>"},
		// a sender, but not this client's
		{"rewrite", "<> | a@contoso.com |",
			"box@contoso.com b@contoso.com <> other_senders b@contoso.com <a@contoso.com>"},
		{"rewrite", "x@fabrikam.com | ceo@contoso.com |",
			"box@contoso.com b@contoso.com x@fabrikam.com other_senders b@contoso.com <ceo@contoso.com>"},
		{"rewrite", "ceo@contoso.com | x@fabrikam.com |", "x@fabrikam.com x@fabrikam.com x@fabrikam.com other_senders"},
		{"rewrite", "<> | b@contoso.com | ceo@contoso.com", "box@contoso.com b@contoso.com <> other_senders drop"},
		// nobody could answer root
		{"rewrite", "<> | root |", "box@contoso.com b@contoso.com <> other_senders b@contoso.com"},
		{"rewrite", "<> | |", "! Message has no From address"},
		{"both", "root | ceo@contoso.com | root",
			"desk@contoso.com boss@fabrikam.com boss@fabrikam.com other_senders boss@fabrikam.com <ceo@contoso.com> " +
				"drop"},
		{"wild", "<> | ceo@contoso.com |", "! From address ceo@contoso.com"},

		// several From addresses are all allowed, or refused; without a Sender the first is it
		{"both", "<> | a@contoso.com b@contoso.com |",
			"a@contoso.com a@contoso.com <> missing_from sender a@contoso.com"},
		{"strict", "<> | b@contoso.com b@contoso.com |", "! Message has several From addresses and no Sender"},
		{"strict", "<> | b@contoso.com b@contoso.com | b@contoso.com", "box@contoso.com b@contoso.com <>"},
		{"both", "<> | b@contoso.com a@contoso.com | a@contoso.com", "box@contoso.com b@contoso.com <>"},
		{"both", "<> | a@contoso.com ceo@contoso.com |", "! From address ceo@contoso.com"},
		{"both", "<> | ceo@contoso.com a@contoso.com |", "! From address ceo@contoso.com"},
		{"both", "<> | a@contoso.com root |", "! From address has no domain"},
		{"both", "<> | a@contoso.com b@contoso.com | ceo@contoso.com", "! Sender address ceo@contoso.com"},
	} {
		c, m := clientNamed(t, p, row.client), messageOf(t, row.message)
		g, err := p.Grant(c, m)
		got := strings.TrimSpace(fmt.Sprintf("%s %s %s %s", g.Mailbox, g.From, orNull(g.ReversePath),
			shownRewrite(g.Rewrite)))
		if want, refused := strings.CutPrefix(row.want, "! "); refused {
			wantRefusal(t, err, 550, want, row.client)
		} else if err != nil || got != row.want {
			t.Errorf("%s: %s\ngot  %s, %v\nwant %s", row.client, row.message, got, err, row.want)
		}
		if errMail := p.ReversePath(c, m.ReversePath); err == nil && errMail != nil {
			t.Errorf("%s: %s: MAIL refuses what DATA grants: %v", row.client, row.message, errMail)
		}
	}
}

// Resent fields say what somebody else did; they are never replaced.
func TestResentIsNeverReplaced(t *testing.T) {
	p := New(office(t))
	c, from := clientNamed(t, p, "both"), []envelope.Address{addr(t, "a@contoso.com")}
	_, err := p.Grant(c, Message{From: from, ResentFrom: []envelope.Address{bare(t, "root")}})
	wantRefusal(t, err, 550, "Resent-From address has no domain", "both")
	_, err = p.Grant(c, Message{From: from, ResentSender: []envelope.Address{addr(t, "ceo@contoso.com")}})
	wantRefusal(t, err, 550, "Resent-Sender address ceo@contoso.com", "both")
}

// A host with the name of a domain that has senders is not a local host, or
// look-alikes of its senders would be taken for root.
func TestADomainWithSendersIsNotLocal(t *testing.T) {
	rules := office(t)
	rules.Hosts = []string{"contoso.com", "fabrikam.com", ""}
	p := New(rules)
	for _, a := range []string{"ceo@contoso.com", "воss@fabrikam.com"} {
		_, err := p.Grant(clientNamed(t, p, "mend"), Message{From: []envelope.Address{addr(t, a)}})
		wantRefusal(t, err, 550, "From address", "mend")
	}
}

func TestRefusalNamesTheClientsOwnList(t *testing.T) {
	p := New(office(t))
	err := p.ReversePath(clientNamed(t, p, "strict"), addr(t, "ceo@contoso.com"))
	wantRefusal(t, err, 550, "ask the administrator", "if it may send, add it to senders of the client, and to "+
		"senders of the relay unless it is there: ceo@contoso.com")
	rules := office(t)
	rules.Senders = append(rules.Senders, Sender{Address: addr(t, "ceo@contoso.com")})
	rules.Clients[0].Senders = append(rules.Clients[0].Senders, addr(t, "ceo@contoso.com"))
	p = New(rules)
	if err := p.ReversePath(clientNamed(t, p, "strict"), addr(t, "ceo@contoso.com")); err != nil {
		t.Errorf("added to both: %v", err)
	}
}

func TestRecipient(t *testing.T) {
	rules := office(t)
	rules.Aliases = map[string]envelope.Address{"root": addr(t, "admin@contoso.com"),
		"postmaster": addr(t, "pm@fabrikam.com")}
	rules.Clients[0].Recipients = []envelope.Address{addr(t, "*@contoso.com"), addr(t, "Jürgen@bücher.example"),
		addr(t, "50%@contoso.com")}
	p := New(rules)
	for _, row := range []struct{ client, to, want string }{
		{"local", "x@anywhere.example", "x@anywhere.example"},
		{"local", "root", "admin@contoso.com"},
		{"local", "Root", "admin@contoso.com"},
		{"local", `"root"`, "admin@contoso.com"},
		{"local", "root@localhost", "root@localhost"},
		{"local", "postmaster", "pm@fabrikam.com"},
		{"local", "daemon", "! 5.1.2 needs a domain"},
		{"strict", "x@Contoso.com", "x@contoso.com"},
		{"strict", "Jürgen@xn--bcher-kva.example", "Jürgen@xn--bcher-kva.example"},
		{"strict", "jürgen@bücher.example", "jürgen@xn--bcher-kva.example"},
		{"strict", "x@mail.contoso.com", "! 5.7.1 Recipient address x@mail.contoso.com not allowed"},
		{"strict", `"x@contoso.com"@evil.example`, "! 5.7.1 not allowed"},
		{"strict", "jürgen2@bücher.example", "! 5.7.1 Recipient address not allowed"},
		// Exchange would send it to x@evil.example
		{"strict", "IMCEASMTP-x+40evil+2Eexample@contoso.com", "! 5.7.1 not allowed"},
		{"local", "IMCEASMTP-x+40evil+2Eexample@contoso.com", "IMCEASMTP-x+40evil+2Eexample@contoso.com"},
		// Routes of the days before the Internet, which mail hosts still read.
		{"strict", "x%evil.example@contoso.com", "! 5.7.1 not allowed"},
		{"strict", "evil.example!x@contoso.com", "! 5.7.1 not allowed"},
		{"strict", "50%@contoso.com", "50%@contoso.com"}, // listed
		{"local", "x%evil.example@contoso.com", "x%evil.example@contoso.com"},
		{"strict", "root", "admin@contoso.com"},
		{"strict", "postmaster", "! 5.7.1 Recipient address pm@fabrikam.com not allowed"},
	} {
		got, err := p.Recipient(clientNamed(t, p, row.client), bare(t, row.to))
		want, refused := strings.CutPrefix(row.want, "! ")
		if !refused {
			if err != nil || got.String() != want {
				t.Errorf("%s to %s: %v, %v", row.client, row.to, got, err)
			}
			continue
		}
		code, text, _ := strings.Cut(want, " ")
		if err == nil || !strings.Contains(err.Error(), "550 "+code) || !strings.Contains(err.Error(), text) ||
			!got.IsZero() {
			t.Errorf("%s to %s: %v, %v; want %s", row.client, row.to, got, err, want)
		}
	}
	if _, err := p.Recipient(Client{}, addr(t, "x@contoso.com")); err == nil {
		t.Error("the zero Client may send")
	}
	if _, ok := p.Alias(addr(t, "root@contoso.com")); ok {
		t.Error("an address with a domain is no alias")
	}
}

func messageOf(t testing.TB, text string) Message {
	t.Helper()
	parts := strings.Split(text, "|")
	one := func(s string) envelope.Address {
		if s = strings.TrimSpace(s); s == "" || s == "<>" {
			return envelope.Address{}
		}
		return bare(t, s)
	}
	m := Message{ReversePath: one(parts[0]), Sender: one(parts[2])}
	for _, s := range strings.Fields(parts[1]) {
		m.From = append(m.From, one(s))
	}
	return m
}

func orNull(a envelope.Address) string {
	if a.IsZero() {
		return "<>"
	}
	return a.String()
}

func shownRewrite(r Rewrite) string {
	words := []string{r.Why, r.From.String()}
	if !r.ReplyTo.IsZero() {
		words = append(words, "<"+r.ReplyTo.String()+">")
	}
	if !r.Sender.IsZero() {
		words = append(words, "sender", r.Sender.String())
	}
	if r.DropSender {
		words = append(words, "drop")
	}
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

// Programs on this host write under an address of their own, not under the first
// of senders, which may be a device's; other clients keep their first one.
func TestLocalMailHasItsOwnAddress(t *testing.T) {
	rules := office(t)
	none, root := envelope.Address{}, addr(t, "root@web01")
	for _, row := range []struct{ client, own, want string }{
		{localName, "b@contoso.com", "b@contoso.com"},
		{localName, "cron@contoso.org", "cron@contoso.org"}, // by a wildcard
		{localName, "stranger@example.com", "boss@fabrikam.com"},
		{localName, "", "boss@fabrikam.com"},
		{"mend", "cron@contoso.org", "b@contoso.com"},
	} {
		rules.LocalSender = none
		if row.own != "" {
			rules.LocalSender = addr(t, row.own)
		}
		p := New(rules)
		c := clientNamed(t, p, row.client)
		for _, m := range []Message{
			{ReversePath: root, From: []envelope.Address{root}, Sender: root},
			{ReversePath: root}, // without From
		} {
			g, err := p.Grant(c, m)
			if err != nil || g.From.String() != row.want || g.Rewrite.From != g.From || g.ReversePath != g.From {
				t.Errorf("%s with %q: %+v, %v; want %s", row.client, row.own, g, err, row.want)
			}
		}
	}
}
