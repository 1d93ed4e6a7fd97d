package config

import (
	"cmp"
	"fmt"
	"os"
	"slices"

	"graphrelay/config/strict"
	"graphrelay/relay/envelope"
)

// headerRoom is what max_message_size leaves below mime_limit for Received,
// Bcc and the kept copies of To and Cc.
const headerRoom = 64 << 10

func (a *Admin) Check(s strict.Scope) {
	s.FailIf(a.Address.Network != "" && !a.Address.Unix(), "address", "is not a unix socket",
		"write unix:/PATH, as in unix:/run/graphrelay/admin.sock")
}

// checkRules compares the sections with each other. What was not decoded is
// zero here and is skipped: it has its own message.
func (c *Config) checkRules(s strict.Scope) {
	if len(c.Identities) == 1 && !s.Given("identities[0].name") {
		c.Identities[0].Name = "default"
	}
	c.checkNames(s)
	c.checkSenders(s)
	c.checkMailboxes(s)
	c.checkListeners(s)
	c.checkClients(s)
	c.checkSizes(s)
	c.checkSubmission(s)
	c.checkWatching(s)
	c.checkDenied(s)
	c.checkCanary(s)
}

func (c *Config) checkNames(s strict.Scope) {
	seen := map[Name]bool{}
	for i, id := range c.Identities {
		key := strict.Entry("identities", i, "name")
		s.FailIf(len(c.Identities) > 1 && !s.Given(key), key, "is missing, and there are several identities",
			"write a name for each")
		s.FailIf(id.Name != "" && seen[id.Name], key, "is already the name of another identity", "write another name")
		seen[id.Name] = true
	}
}

func (c *Config) checkSenders(s strict.Scope) {
	seen := map[string]bool{}
	for i, sender := range c.Senders {
		key := sender.Address.Key()
		s.FailIf(!sender.Address.IsZero() && seen[key], strict.Entry("senders", i, "address"),
			"is already the address of another sender", "write one entry for each address; letter case does not matter")
		seen[key] = true
	}
	if d := c.DefaultSender; !d.IsZero() && !c.covers(d) && s.Sound("senders") {
		s.Fail("default_sender", "is not covered by senders", "write an address from senders, or add it there")
	}
	if !s.Given("default_sender") && len(c.Senders) > 0 && s.Sound("senders") &&
		(Client{}).firstSender(c.Senders).IsZero() {
		s.Fail("default_sender", "is missing, and senders has only wildcards",
			"write the address that reports come from")
	}
}

func (sender *Sender) Check(s strict.Scope) {
	s.FailIf(sender.Address.Wildcard() && !s.Given("mailbox"), "address", "is a wildcard without mailbox",
		"add mailbox: ADDRESS with the mailbox that sends for the domain, or mailbox: self where each address is "+
			"a mailbox")
}

func (c *Config) checkMailboxes(s strict.Scope) {
	used, sound := map[string]bool{}, s.Sound("senders")
	for _, sender := range c.Senders {
		used[sender.mailbox().Key()] = true
	}
	listed := map[string]bool{}
	for i, m := range c.Mailboxes {
		c.checkMailbox(s, i, m)
		if m.Address.IsZero() {
			continue
		}
		key := m.Address.Key()
		s.FailIf(listed[key], strict.Entry("mailboxes", i, "address"), "is already listed in mailboxes",
			"write one entry for each mailbox")
		s.FailIf(sound && !used[key] && !used[domainKey(m.Address)], strict.Entry("mailboxes", i, "address"),
			"is a mailbox that no sender uses", "add a sender with it, or remove the entry")
		listed[key] = true
	}
	if len(c.Identities) > 1 && sound {
		c.checkEachHasIdentity(s, listed)
	}
}

// domainKey is the Key of the wildcard that covers a.
func domainKey(a envelope.Address) string { return "*@" + a.Domain() }

func (c *Config) checkMailbox(s strict.Scope, i int, m Mailbox) {
	key := strict.Entry("mailboxes", i, "identity")
	s.FailIf(len(c.Identities) > 1 && !s.Given(key), key, "is missing, and there are several identities",
		"write the name of the one that sends for this mailbox")
	if m.Identity == "" {
		return
	}
	if _, ok := c.Identity(m.Identity); !ok && s.Sound("identities") {
		s.Fail(key, "is not the name of an identity", "write a name from identities")
	}
}

// checkEachHasIdentity finds mailboxes that only senders name, where nothing
// says under which of several identities they send.
func (c *Config) checkEachHasIdentity(s strict.Scope, listed map[string]bool) {
	for i, sender := range c.Senders {
		box := sender.mailbox()
		if box.IsZero() || listed[box.Key()] {
			continue
		}
		key := strict.Entry("senders", i, "mailbox")
		if sender.Mailbox.IsZero() {
			key = strict.Entry("senders", i, "address")
		}
		listed[box.Key()] = true
		s.Fail(key, "is a mailbox without identity, and there are several identities",
			"add an entry to mailboxes with this address and an identity")
	}
}

// largeMessages is max_message_size where large messages are sent and
// the file does not say it: what Exchange lets a mailbox send by default.
const largeMessages = 35 << 20

// maxSubmission is what Exchange takes by SMTP submission.
const maxSubmission = 150 << 20

// Upload reports whether large messages are sent in parts.
func (d Delivery) Upload() bool { return d.LargeMessages == "upload" }

// Submit reports whether large messages are sent whole, by SMTP submission.
func (d Delivery) Submit() bool { return d.LargeMessages == "smtp" }

// Largest is the most bytes that a stored message may have, with the header
// fields that the relay adds.
func (c *Config) Largest() int64 {
	if c.Delivery.Upload() || c.Delivery.Submit() {
		return int64(c.SMTP.MaxMessageSize) + headerRoom
	}
	return int64(c.Delivery.MIMELimit)
}

func (c *Config) checkSizes(s strict.Scope) {
	large := c.Delivery.Upload() || c.Delivery.Submit()
	if large && !s.Given("smtp.max_message_size") {
		c.SMTP.MaxMessageSize = largeMessages
	}
	size, limit := c.SMTP.MaxMessageSize, c.Delivery.MIMELimit
	s.FailIf(c.Delivery.Submit() && size > maxSubmission-headerRoom, "smtp.max_message_size",
		"leaves less than 64KiB below the 150MiB that submission takes, for added header fields", "write 149MiB")
	if size == 0 || limit == 0 || size+headerRoom <= limit || large ||
		!s.Sound("delivery.large_messages") {
		return
	}
	room := fmt.Sprintf("at most %s, raise delivery.mime_limit (to 3MiB at most), or write delivery.large_messages: "+
		"upload", limit-headerRoom)
	if s.Given("smtp.max_message_size") {
		s.Fail("smtp.max_message_size", "leaves less than 64KiB below delivery.mime_limit for added header fields",
			"write "+room)
		return
	}
	s.Fail("delivery.mime_limit", fmt.Sprintf("is less than smtp.max_message_size (%s) and 64KiB for added header "+
		"fields", size), "write smtp.max_message_size: "+room)
}

// checkSubmission wants a submission server for each identity, where large messages go
// there. No document names those of some clouds.
func (c *Config) checkSubmission(s strict.Scope) {
	for i, id := range c.Identities {
		switch {
		case !c.Delivery.Submit():
		case id.Endpoints != nil && id.Endpoints.Submission == "" &&
			s.Sound(strict.Entry("identities", i, "endpoints")):
			s.Fail(strict.Entry("identities", i, "endpoints"),
				"has no submission, and delivery.large_messages is smtp", "add submission: HOST:PORT")
		case slices.Contains([]string{"usgov-dod", "bleu", "delos", "govsg"}, id.Cloud):
			s.Fail(strict.Entry("identities", i, "cloud"),
				"is one whose submission server no document names, and delivery.large_messages is smtp",
				"write delivery.large_messages: upload")
		}
	}
}

// complete fills in what follows from other keys.
func (c *Config) complete() {
	if c.Hostname == "" {
		c.Hostname = ownName()
	}
	for i := range c.Senders {
		c.Senders[i].Mailbox = c.Senders[i].mailbox()
	}
	if c.DefaultSender.IsZero() {
		c.DefaultSender = (Client{}).firstSender(c.Senders)
	}
	for i := range c.Identities {
		if c.Identities[i].Endpoints != nil {
			c.Identities[i].Cloud = "" // the default of a key that is not given
		}
	}
	c.completeMailboxes()
	c.completeListeners()
}

func (c *Config) completeMailboxes() {
	c.boxes = make(map[string]int, len(c.Mailboxes))
	for i := range c.Mailboxes {
		m := &c.Mailboxes[i]
		m.Identity = cmp.Or(m.Identity, c.Identities[0].Name)
		c.boxes[m.Address.Key()] = i
	}
	for _, sender := range c.Senders {
		key := sender.Mailbox.Key()
		if _, known := c.boxes[key]; !known {
			c.boxes[key] = len(c.Mailboxes)
			c.Mailboxes = append(c.Mailboxes, c.plainMailbox(sender.Mailbox))
		}
	}
}

// plainMailbox is a mailbox that the file does not list; there is one identity then.
func (c *Config) plainMailbox(a envelope.Address) Mailbox {
	m := Mailbox{Address: a, Identity: c.Identities[0].Name}
	format().Defaults(&m, "address")
	return m
}

func (s Sender) mailbox() envelope.Address {
	if s.Mailbox.IsZero() {
		return s.Address
	}
	return s.Mailbox
}

// ownName is the host's name, or localhost if that is not a domain name.
func ownName() Hostname {
	var h Hostname
	if name, err := os.Hostname(); err == nil && h.Read(name) == nil {
		return h
	}
	return "localhost"
}
