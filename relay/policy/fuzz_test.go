package policy

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
)

// For any rules and any message: a grant carries a configured sender with its
// mailbox; every address of the rewritten message is allowed for the client; and
// a refusal is one printable line.
func FuzzGrant(f *testing.F) {
	f.Add("a@x.com>b@x.com c@x.com", "", uint8(0), "a@x.com", "a@x.com c@x.com", "", "", "")
	f.Add("a@x.com", "", uint8(0), "", "A@X.COM", "\"a\"@x.com", "a@x.com", "a@x.com")
	f.Add("a@x.com", "", uint8(3), "", "root", "a@x.com", "", "")
	f.Add("root", "root", uint8(7), "root", "root", "root", "root", "root")
	f.Add("k@x.com a@bücher.example", "", uint8(0), "\u212a@x.com", "k@x.com", "a@xn--bcher-kva.example", "",
		"k@x.com.evil")
	f.Add("*@x.com>self", "", uint8(0), "IMCEASMTP-ceo+40y+2Ecom@x.com", "imceaEX-_o=x@x.com", "", "", "")
	f.Add("*@x.com>self a@x.com", "", uint8(0), "b@x.com", "b@x.com", "", "", "")
	f.Add("*@x.com>b@y.com a@x.com", "*@x.com a@x.com", uint8(7), "root@localhost", "ceo@y.com", "root", "", "")
	f.Add("a@x.com b@x.com", "b@x.com", uint8(4), "a@x.com", "a@x.com", "a@x.com", "", "")
	f.Add("a@x.com b@x.com", "b@x.com", uint8(7), "", "", "root", "", "")
	f.Fuzz(func(t *testing.T, rules, only string, flags uint8, path, from, sender, resentFrom, resentSender string) {
		o := oracle{sendersIn(rules), addressesIn(only)}
		rule := ClientRule{Name: "c", Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Senders: o.only,
			Repair: Repair{MissingFrom: flags&1 > 0, LocalSender: flags&2 > 0}, Rewrite: flags&4 > 0}
		p := New(Rules{Clients: []ClientRule{rule}, Senders: o.list, Hosts: []string{"web01.y.com"}})
		c, err := p.Connect(peerOf("10.0.0.1:1", AuthOff))
		if err != nil {
			t.Fatal(err)
		}
		m := Message{first(path), addressesIn(from), first(sender), addressesIn(resentFrom), addressesIn(resentSender)}
		g, err := p.Grant(c, m)
		if o.allows(m) != (err == nil && g.Rewrite == Rewrite{}) {
			t.Fatalf("%+v of %+v: %+v, %v", m, o, g, err)
		}
		if err != nil {
			isRefusal(t, err)
			return
		}
		if after := rewritten(t, m, g); !o.allows(after) || !g.From.Equal(after.From[0]) ||
			!o.mailbox(g.From).Equal(g.Mailbox) {
			t.Fatalf("%+v granted for %+v by %+v", g, m, o)
		}
		if flags&7 == 0 && g.Rewrite != (Rewrite{}) {
			t.Fatalf("rewritten without being asked: %+v", g)
		}
		if err := p.ReversePath(c, m.ReversePath); err != nil {
			t.Fatalf("granted at DATA what MAIL refuses: %v", err)
		}
	})
}

// rewritten is m as its receiver will see it.
func rewritten(t *testing.T, m Message, g Grant) Message {
	r := g.Rewrite
	if !r.From.IsZero() {
		if len(m.From) > 1 || !r.ReplyTo.IsZero() && r.ReplyTo != m.From[0] {
			t.Fatalf("%+v for %+v", g, m)
		}
		m.From = []envelope.Address{r.From}
	}
	if !r.Sender.IsZero() {
		if len(m.From) < 2 || !m.Sender.IsZero() {
			t.Fatalf("%+v for %+v", g, m)
		}
		m.Sender = r.Sender
	}
	if r.DropSender {
		m.Sender = envelope.Address{}
	}
	if m.ReversePath.IsZero() != g.ReversePath.IsZero() {
		t.Fatalf("reverse-path %q became %q", m.ReversePath, g.ReversePath)
	}
	m.ReversePath = g.ReversePath
	return m
}

// oracle implements the rules in another way: by search, not by map, and by
// comparing the parts of an address.
type oracle struct {
	list []Sender
	only []envelope.Address
}

func (o oracle) allows(m Message) bool {
	all := append(append(append([]envelope.Address{}, m.From...), m.ResentFrom...), m.ResentSender...)
	for _, a := range []envelope.Address{m.Sender, m.ReversePath} {
		if !a.IsZero() {
			all = append(all, a)
		}
	}
	for _, a := range all {
		if o.mailbox(a).IsZero() {
			return false
		}
	}
	return len(m.From) == 1 || len(m.From) > 1 && !m.Sender.IsZero()
}

// mailbox is zero for an address that is not allowed.
func (o oracle) mailbox(a envelope.Address) envelope.Address {
	mine := len(o.only) == 0
	for _, entry := range o.only {
		mine = mine || matches(entry, a) || entry.Local() == "*" && entry.Domain() == a.Domain()
	}
	if !mine || a.Domain() == "" {
		return envelope.Address{}
	}
	for _, s := range o.list {
		if s.Address.Local() != "*" && matches(s.Address, a) {
			return s.Mailbox
		}
	}
	for _, s := range o.list {
		if s.Address.Local() != "*" || s.Address.Domain() != a.Domain() || !plainLocal.MatchString(a.Local()) ||
			disguised.MatchString(a.Local()) {
			continue
		}
		if s.Mailbox.Local() == "*" {
			return a
		}
		return s.Mailbox
	}
	return envelope.Address{}
}

var disguised = regexp.MustCompile("^(?i)imcea.") // Exchange takes another address out of it

var plainLocal = regexp.MustCompile("^[A-Za-z0-9!#$&'+=^_{|}~-]+([.][A-Za-z0-9!#$&'+=^_{|}~-]+)*$")

func matches(a, b envelope.Address) bool {
	return a.Domain() != "" && a.Domain() == b.Domain() && sameLocal(a.Local(), b.Local())
}

// sameLocal ignores the case of ASCII letters and of no others.
func sameLocal(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if x != y && (x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z') {
			return false
		}
	}
	return true
}

func isRefusal(t *testing.T, err error) {
	e, ok := err.(*reply.Error)
	if !ok || e.Code != 550 || e.Cause == nil {
		t.Fatalf("refusal %#v", err)
	}
	if what := unprintable(e.Text); what != "" {
		t.Fatalf("reply %q holds %s", e.Text, what)
	}
	if strings.ContainsFunc(e.Cause.Error(), func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Fatalf("log line %q", e.Cause)
	}
}

// sendersIn reads "address>mailbox address>self ..."; what is not an address is
// zero.
func sendersIn(text string) []Sender {
	var list []Sender
	for _, word := range strings.Fields(text) {
		address, mailbox, _ := strings.Cut(word, ">")
		s := Sender{Address: first(address), Mailbox: first(mailbox)}
		if s.Mailbox.IsZero() || mailbox == "self" || s.Mailbox.Wildcard() {
			s.Mailbox = s.Address
		}
		list = append(list, s)
	}
	return list
}

func addressesIn(text string) []envelope.Address {
	var list []envelope.Address
	for _, word := range strings.Fields(text) {
		list = append(list, first(word))
	}
	return list
}

func first(word string) envelope.Address {
	a, err := envelope.ParseRecipient(word)
	if err != nil {
		return envelope.Address{}
	}
	return a
}
