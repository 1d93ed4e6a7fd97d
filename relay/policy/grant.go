package policy

import (
	"fmt"
	"strconv"
	"strings"

	"graphrelay/relay/envelope"
	"graphrelay/relay/status"
)

// claim is an address that a message says it comes from, and where it says so.
type claim struct {
	field   string
	address envelope.Address
}

// reversePath is the field of a claim in MAIL.
const reversePath = "MAIL FROM"

// ReversePath checks the address of MAIL. The null reverse-path, which reports
// have, is allowed here; From decides later. 550 5.7.1.
func (p *Policy) ReversePath(c Client, rp envelope.Address) error {
	if rp.IsZero() {
		return nil
	}
	_, err := c.allow(claim{reversePath, rp})
	return err
}

// Grant checks every address of m, and returns the mailbox of the first From
// address. 550 5.7.1 if an address is not allowed, or there is no From.
func (p *Policy) Grant(c Client, m Message) (Grant, error) {
	if len(m.From) == 0 {
		return Grant{}, refusal("Message has no From address; set one in the program that sends").
			Becausef("header of client %s has no From address; let the sending program write From: with an address that stands under senders", c)
	}
	for _, claim := range m.claims() {
		if _, err := c.allow(claim); err != nil {
			return Grant{}, err
		}
	}
	s, err := c.allow(claim{"From", m.From[0]})
	if err != nil {
		return Grant{}, err
	}
	return Grant{Mailbox: s.Mailbox, From: s.Address}, nil
}

// claims lists every address of m, in the order in which they are refused.
func (m Message) claims() []claim {
	all := claimsOf("From", m.From...)
	if !m.Sender.IsZero() {
		all = append(all, claim{"Sender", m.Sender})
	}
	all = append(all, claimsOf("Resent-From", m.ResentFrom...)...)
	all = append(all, claimsOf("Resent-Sender", m.ResentSender...)...)
	if !m.ReversePath.IsZero() {
		all = append(all, claim{reversePath, m.ReversePath})
	}
	return all
}

func claimsOf(field string, addresses ...envelope.Address) []claim {
	claims := make([]claim, len(addresses))
	for i, a := range addresses {
		claims[i] = claim{field, a}
	}
	return claims
}

// allow finds the rule that lets c send as an address.
func (c Client) allow(what claim) (Sender, error) {
	if s, ok := c.senders.find(what.address); ok {
		return s, nil
	}
	if what.address.Domain() == "" {
		return Sender{}, refusal(what.field+" address has no domain; set a full address, as in user@example.org, in the program that sends").
			Becausef("%s %s of client %s has no domain; let the sending program use an address that stands under senders", what.field, plain(what.address), c)
	}
	return Sender{}, refusal(what.field+" address"+shown(what.address)+" not allowed here; ask the administrator of this relay to add it to senders").
		Becausef("%s %s of client %s is not under senders; if it may send, add there: - address: %s", what.field, plain(what.address), c, plain(what.address))
}

func refusal(text string) *status.Error {
	return status.New(550, status.Enhanced{5, 7, 1}, text)
}

// shown is an address for the text to the client, which is ASCII: it reads its
// own words there, or nothing.
func shown(a envelope.Address) string {
	if !a.ASCII() {
		return ""
	}
	return " " + a.String()
}

// plain is an address for the log, which is also a YAML value: look-alike
// letters are spelled out, and whatever YAML could read otherwise is quoted.
func plain(a envelope.Address) string {
	s := a.String()
	const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@._+-"
	if strings.Trim(s, safe) == "" && s != "" && !strings.ContainsAny(s[:1], "-@") {
		return s
	}
	return strconv.QuoteToASCII(s)
}

// String names c for the log.
func (c Client) String() string {
	if c.Name == "" {
		return "without a rule"
	}
	return fmt.Sprintf("%s (%s)", c.Name, c.peer)
}
