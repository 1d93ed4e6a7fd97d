package relay

import (
	"fmt"
	"log/slog"

	"graphrelay/config"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph/largemail"
	"graphrelay/relay/verify"
)

// VerifyIdentities is what of a configuration can be verified: each identity
// with the mailboxes that it sends as, or with those of allowed that are its
// own. A wildcard is no mailbox that could be tried.
func VerifyIdentities(c *config.Config, version string, allowed []envelope.Address) ([]verify.Identity, error) {
	r := newRelay(Options{Version: version, Log: slog.New(slog.DiscardHandler)})
	named, err := byIdentity(c, allowed)
	if err != nil {
		return nil, err
	}
	var out []verify.Identity
	for _, id := range c.Identities {
		v := verifyIdentity(c, id)
		if len(allowed) > 0 {
			v.Allowed = named[id.Name]
		}
		v.Open = func() (verify.Client, error) { return largemail.New(r.graphConfig(id)) }
		out = append(out, v)
	}
	return out, nil
}

func verifyIdentity(c *config.Config, id config.Identity) verify.Identity {
	v := verify.Identity{Name: string(id.Name), TenantID: string(id.TenantID), ClientID: string(id.ClientID), Reads: NeedsReadWrite(c),
		Uploads: c.Delivery.Upload(), Looks: c.Delivery.UnknownOutcome == "lookup"}
	for _, m := range c.Mailboxes {
		if m.Identity == id.Name && !m.Address.Wildcard() {
			v.Allowed = append(v.Allowed, m.Address)
		}
	}
	if !id.DeniedMailbox.IsZero() {
		v.Denied = []envelope.Address{id.DeniedMailbox}
	}
	return v
}

// byIdentity sorts mailboxes by the identity that sends for them.
func byIdentity(c *config.Config, mailboxes []envelope.Address) (map[config.Name][]envelope.Address, error) {
	out := map[config.Name][]envelope.Address{}
	for _, a := range mailboxes {
		name := c.Identities[0].Name
		if m, ok := c.Mailbox(a); ok {
			name = m.Identity
		} else if len(c.Identities) > 1 {
			return nil, fmt.Errorf("%s is a mailbox of no sender, and there are several identities: name one that the configuration sends as", a)
		}
		out[name] = append(out[name], a)
	}
	return out, nil
}

// NeedsReadWrite tells whether the configuration needs Mail.ReadWrite beside
// Mail.Send.
func NeedsReadWrite(c *config.Config) bool {
	return c.Delivery.UnknownOutcome == "lookup" || c.Delivery.LargeMessages == "upload"
}
