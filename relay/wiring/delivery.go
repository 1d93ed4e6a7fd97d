package wiring

import (
	"time"

	"graphrelay/config"
	"graphrelay/relay/delivery"
	"graphrelay/relay/envelope"
	"graphrelay/relay/pacing"
)

// Limits returns what delivery decides by.
func Limits(c *config.Config) delivery.Limits {
	unknown := map[string]delivery.UnknownOutcome{
		"retry": delivery.Retry, "hold": delivery.HoldIt, "lookup": delivery.LookUp,
	}
	return delivery.Limits{
		Unknown: unknown[c.Delivery.UnknownOutcome],
		MaxAge:  time.Duration(c.Queue.MaxAge),
		MaxHold: time.Duration(c.Queue.MaxHold),
	}
}

// Reports returns who gets reports of failed mail, and which sender they are from.
func Reports(c *config.Config) delivery.Reports {
	return delivery.Reports{
		ToSender: c.Reports.ToSender, Postmaster: c.Reports.Postmaster,
		DelayWarning: time.Duration(c.Reports.DelayWarning),
		From:         c.DefaultSender, Mailbox: c.MailboxOf(c.DefaultSender), Hostname: string(c.Hostname),
	}
}

// Route returns the identity and the limits of a mailbox; false if no sender uses
// it. The caller adds the identity's client.
func Route(c *config.Config, mailbox envelope.Address) (delivery.Route, bool) {
	m, ok := c.Mailbox(mailbox)
	if !ok {
		return delivery.Route{}, false
	}
	id, ok := c.Identity(m.Identity)
	return delivery.Route{
		Identity: string(m.Identity), MaxConcurrent: m.MaxConcurrent, IdentityConcurrent: id.MaxConcurrent,
		Rate: pacing.Rate{Count: m.Rate.Count, Per: m.Rate.Per}, MIMELimit: int64(c.Delivery.MIMELimit),
	}, ok
}

// Lookups returns the mailboxes that the app must be able to read at start, where
// unknown outcomes are looked up.
func Lookups(c *config.Config) (mailboxes []envelope.Address) {
	if !LooksUp(c) {
		return nil
	}
	for _, m := range c.Mailboxes {
		if !m.Address.Wildcard() {
			mailboxes = append(mailboxes, m.Address)
		}
	}
	return mailboxes
}

// NeedsReadWrite reports whether the app needs Mail.ReadWrite beside Mail.Send.
func NeedsReadWrite(c *config.Config) bool { return LooksUp(c) || c.Delivery.Upload() }

// LooksUp reports whether a message that may have been sent is looked up first.
func LooksUp(c *config.Config) bool { return c.Delivery.UnknownOutcome == "lookup" }
