package policy

import (
	"net/netip"
	"strings"
	"testing"

	"graphrelay/relay/envelope"
	"graphrelay/relay/status"
)

// Whatever rules and message hold: a grant carries a configured sender with
// its own mailbox, every address of the message is a configured sender then,
// and a refusal is one printable line.
func FuzzGrant(f *testing.F) {
	f.Add("a@x.com>b@x.com c@x.com", "a@x.com", "a@x.com c@x.com", "", "", "")
	f.Add("a@x.com", "", "A@X.COM", "\"a\"@x.com", "a@x.com", "a@x.com")
	f.Add("a@x.com", "root", "a@x.com", "", "", "")
	f.Add("root", "root", "root", "root", "root", "root")
	f.Add("k@x.com a@bücher.example", "\u212a@x.com", "k@x.com", "a@xn--bcher-kva.example", "", "k@x.com.evil")
	f.Add("*@x.com", "b@x.com", "b@x.com", "", "", "")
	f.Fuzz(func(t *testing.T, rules, path, from, sender, resentFrom, resentSender string) {
		list := sendersIn(rules)
		p := New(Rules{LocalClient: true, Senders: list})
		c, err := p.Client(netip.AddrPort{}, true)
		if err != nil {
			t.Fatal(err)
		}
		m := Message{first(path), addressesIn(from), first(sender), addressesIn(resentFrom), addressesIn(resentSender)}
		g, err := p.Grant(c, m)
		if err != nil {
			isRefusal(t, err)
			return
		}
		if rule := ruleFor(list, g.From); rule == nil || !rule.Mailbox.Equal(g.Mailbox) || !g.From.Equal(m.From[0]) {
			t.Fatalf("granted %v for From %v by the rules %v", g, m.From, list)
		}
		all := append(append(append([]envelope.Address{}, m.From...), m.ResentFrom...), m.ResentSender...)
		for _, a := range append(all, m.Sender, m.ReversePath) {
			if !a.IsZero() && ruleFor(list, a) == nil {
				t.Fatalf("granted although %q is no sender of %v", a, list)
			}
		}
		if err := p.ReversePath(c, m.ReversePath); err != nil {
			t.Fatalf("granted at DATA what MAIL refuses: %v", err)
		}
	})
}

// ruleFor finds a's rule in its own way: by search, not by map, and it compares
// the parts of an address.
func ruleFor(list []Sender, a envelope.Address) *Sender {
	for i, s := range list {
		if s.Address.Domain() != "" && s.Address.Domain() == a.Domain() && sameLocal(s.Address.Local(), a.Local()) {
			return &list[i]
		}
	}
	return nil
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
	e, ok := err.(*status.Error)
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

// sendersIn reads "address>mailbox address ..."; what is no address is left out.
func sendersIn(text string) []Sender {
	var list []Sender
	for _, word := range strings.Fields(text) {
		address, mailbox, _ := strings.Cut(word, ">")
		s := Sender{Address: first(address), Mailbox: first(mailbox)}
		if s.Mailbox.IsZero() {
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
