package policy

import (
	"strconv"
	"strings"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
)

// Message is what policy decides about a message by.
type Message struct {
	ReversePath  envelope.Address // zero for <>
	From         []envelope.Address
	Sender       envelope.Address // zero if there is none
	ResentFrom   []envelope.Address
	ResentSender []envelope.Address
}

// Grant allows a message: after Rewrite its author is From, and it is sent through Mailbox.
// ReversePath is the one to keep: the message's own, or From if that one was not allowed.
type Grant struct {
	Mailbox     envelope.Address
	From        envelope.Address
	ReversePath envelope.Address // zero for <>
	Rewrite     Rewrite
	Fixed       bool // the configuration chose From: rewritten, or the only address that the client has
}

// Rewrite says how the header must differ. The zero Rewrite changes nothing.
type Rewrite struct {
	// Why names the key that asked for it, for the log: missing_from, local_sender
	// or other_senders. It is also set if only the reverse-path was replaced.
	Why        string
	From       envelope.Address // replaces the address of From, or makes a From; zero leaves it
	ReplyTo    envelope.Address // the address that From had, for Reply-To unless there is one; zero for none
	Sender     envelope.Address // makes a Sender, which several From addresses need; zero leaves it
	DropSender bool             // Sender names somebody who is not allowed; without it the sender is From
}

// The keys of Rewrite.Why.
const (
	whyMissing = "missing_from"
	whyLocal   = "local_sender"
	whyOther   = "other_senders"
)

// claim is an address that a message says it comes from, and where it says so.
type claim struct {
	field   string
	address envelope.Address
}

// reversePath is the field of a claim in MAIL.
const reversePath = "MAIL FROM"

// ReversePath checks the address of MAIL. The null reverse-path, which reports
// have, is allowed for every client that may send; From decides later. An address
// that Grant would replace passes. 530 5.7.0, 550 5.7.1.
func (p *Policy) ReversePath(c Client, rp envelope.Address) error {
	if err := c.checkLogin(); err != nil {
		return err
	}
	if rp.IsZero() {
		return c.maySend()
	}
	why, err := p.check(c, claim{reversePath, rp})
	if why != "" {
		return nil
	}
	return err
}

// maySend refuses the zero Client.
func (c Client) maySend() error {
	if c.rule == nil {
		return refusal("Sending is not allowed here; ask the administrator of this relay").
			Becausef("client %s may not send; add its address to networks of a client", c)
	}
	return nil
}

// Grant checks every address of m, and returns the mailbox of the first From
// address. 550 5.7.1 if an address is not allowed, or there is no From, and the
// client's rule does not repair it. Several From addresses, and those of Resent
// fields, are never replaced.
func (p *Policy) Grant(c Client, m Message) (Grant, error) {
	if err := c.checkLogin(); err != nil {
		return Grant{}, err
	}
	g, err := p.author(c, m)
	if err != nil {
		return Grant{}, err
	}
	if err := p.sender(c, m, &g); err != nil {
		return Grant{}, err
	}
	for _, claim := range append(claimsOf("Resent-From", m.ResentFrom), claimsOf("Resent-Sender", m.ResentSender)...) {
		if _, err := c.allow(claim); err != nil {
			return Grant{}, err
		}
	}
	if err := p.returnPath(c, m, &g); err != nil {
		return Grant{}, err
	}
	g.Fixed = !g.Rewrite.From.IsZero() || c.rule.senders.single()
	return g, nil
}

// author decides about From.
func (p *Policy) author(c Client, m Message) (Grant, error) {
	if len(m.From) == 0 {
		return c.makeFrom(m)
	}
	for i, claim := range claimsOf("From", m.From) {
		why, err := p.check(c, claim)
		switch {
		case err == nil:
			continue
		case why == "" || len(m.From) > 1:
			return Grant{}, err
		}
		g, err := c.grantOwn(c.firstSender(), why)
		if !p.hosts.local(m.From[i]) {
			g.Rewrite.ReplyTo = m.From[i]
		}
		return g, err
	}
	s, err := c.allow(claim{"From", m.From[0]})
	return Grant{Mailbox: s.Mailbox, From: s.Address}, err
}

// makeFrom gives a message without From the reverse-path, which names its sender,
// or if that is not one of the client's senders, the first of those.
func (c Client) makeFrom(m Message) (Grant, error) {
	from := m.ReversePath
	if _, err := c.allow(claim{reversePath, from}); err != nil {
		from = c.firstSender()
	}
	if !c.Repair.MissingFrom || from.IsZero() {
		return Grant{}, refusal("Message has no From address; set one in the program that sends").
			Becausef("header of client %s has no From address; let the sending program write From: "+
				"with one of senders, or add missing_from to repair of the client", c)
	}
	return c.grantOwn(from, whyMissing)
}

func (c Client) grantOwn(from envelope.Address, why string) (Grant, error) {
	s, err := c.allow(claim{"From", from})
	if err != nil {
		return Grant{}, err
	}
	return Grant{Mailbox: s.Mailbox, From: from, Rewrite: Rewrite{Why: why, From: from}}, nil
}

// sender drops a Sender that is not allowed and would be replaced: From alone
// says the same then. With several From addresses a Sender is required (RFC 5322
// section 3.6.2), so it is refused instead.
func (p *Policy) sender(c Client, m Message, g *Grant) error {
	if m.Sender.IsZero() {
		return c.addSender(m, g)
	}
	why, err := p.check(c, claim{"Sender", m.Sender})
	if err == nil || why == "" || len(m.From) > 1 {
		return err
	}
	g.Rewrite.DropSender = true
	g.Rewrite.because(why)
	return nil
}

// addSender names the first of several authors as Sender, where nobody is: Exchange
// Online drops such a message without it (NDR 5.1.20).
func (c Client) addSender(m Message, g *Grant) error {
	if len(m.From) < 2 {
		return nil
	}
	if !c.Repair.MissingFrom {
		return refusal("Message has several From addresses and no Sender; set one in the program that sends").
			Becausef("Exchange Online drops such a message of client %s; let the sending program write Sender: "+
				"with one of senders, or add missing_from to repair of the client", c)
	}
	g.Rewrite = Rewrite{Why: whyMissing, Sender: m.From[0]}
	return nil
}

// returnPath decides where reports go.
func (p *Policy) returnPath(c Client, m Message, g *Grant) error {
	g.ReversePath = m.ReversePath
	if m.ReversePath.IsZero() {
		return nil
	}
	why, err := p.check(c, claim{reversePath, m.ReversePath})
	if err == nil || why == "" {
		return err
	}
	g.ReversePath = g.From
	g.Rewrite.because(why)
	return nil
}

// because keeps the first reason.
func (r *Rewrite) because(why string) {
	if r.Why == "" {
		r.Why = why
	}
}

// check returns why an address that is not allowed is replaced: the key that asks
// for it, empty if the address is allowed or refused.
func (p *Policy) check(c Client, what claim) (why string, err error) {
	if _, err = c.allow(what); err != nil {
		why = p.replaces(c, what.address)
	}
	return why, err
}

func (p *Policy) replaces(c Client, a envelope.Address) string {
	switch {
	case a.IsZero() || c.firstSender().IsZero():
		return ""
	case c.Repair.LocalSender && p.hosts.local(a):
		return whyLocal
	case c.rule.Rewrite:
		return whyOther
	}
	return ""
}

func claimsOf(field string, addresses []envelope.Address) []claim {
	claims := make([]claim, len(addresses))
	for i, a := range addresses {
		claims[i] = claim{field, a}
	}
	return claims
}

// allow finds the rule that lets c send as an address.
func (c Client) allow(what claim) (Sender, error) {
	if c.rule != nil {
		if s, ok := c.rule.senders.find(what.address); ok {
			return s, nil
		}
	}
	if what.address.Domain() == "" {
		return Sender{}, refusal(what.field+
			" address has no domain; set a full address, as in user@example.org, in the program that sends").
			Becausef("%s %s of client %s has no domain; let the sending program use one of senders",
				what.field, plain(what.address), c)
	}
	return Sender{}, refusal(what.field+" address"+shown(what.address)+
		" not allowed here; ask the administrator of this relay to add it to senders").
		Becausef("%s %s of client %s is not one of senders; %s",
			what.field, plain(what.address), c, c.remedy(what.address))
}

// remedy says where to add an address.
func (c Client) remedy(a envelope.Address) string {
	if c.rule == nil || len(c.rule.senders.only) == 0 {
		return "if it may send, add there: - address: " + plain(a)
	}
	return "if it may send, add it to senders of the client, and to senders of the relay unless it is there: " +
		plain(a)
}

func refusal(text string) *reply.Error { return reply.New(550, reply.Enhanced{5, 7, 1}, text) }

// shown is an address for the text to the client, which is ASCII: as the client
// wrote it, or nothing.
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
