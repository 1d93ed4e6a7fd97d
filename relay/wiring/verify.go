package wiring

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"graphrelay/config"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph/largemail"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
	"graphrelay/relay/verify"
)

// VerifyIdentities returns what can be verified: each identity with the mailboxes
// that it sends for, or with those of allowed that are its own. Wildcards are left
// out, for no mailbox has such a name.
func VerifyIdentities(c *config.Config, version string, allowed []envelope.Address) ([]verify.Identity, error) {
	if len(allowed) == 0 {
		allowed = exactMailboxes(c)
	}
	named, err := byIdentity(c, allowed)
	if err != nil {
		return nil, err
	}
	var list []verify.Identity
	for _, id := range c.Identities {
		v := verify.Identity{
			Name: string(id.Name), TenantID: string(id.TenantID), ClientID: string(id.ClientID),
			Reads: reads(c, id.Name), Uploads: c.Delivery.Upload(), Looks: LooksUp(c), Bounces: ReadsBounces(c),
			Allowed: named[id.Name],
			Open: func() (verify.Client, error) {
				return largemail.New(Graph(id, version, slog.New(slog.DiscardHandler), nil))
			},
		}
		if c.Delivery.Submit() {
			v.Submission = func() (verify.Submitter, error) {
				client, err := NewClient(c, id, Graph(id, version, slog.New(slog.DiscardHandler), nil))
				if err != nil {
					return nil, err
				}
				return client.Submission, nil
			}
		}
		if CanaryIdentity(c) == id.Name {
			_, sends := c.Mailbox(c.Audit.Canary)
			v.Canary, v.CanaryReads = c.Audit.Canary, !sends
		}
		if !id.DeniedMailbox.IsZero() {
			v.Denied = []envelope.Address{id.DeniedMailbox}
		}
		list = append(list, v)
	}
	return list, nil
}

// exactMailboxes returns those whose address is no wildcard.
func exactMailboxes(c *config.Config) (list []envelope.Address) {
	for _, m := range c.Mailboxes {
		if !m.Address.Wildcard() {
			list = append(list, m.Address)
		}
	}
	return list
}

// byIdentity groups mailboxes by the identity that sends for them.
func byIdentity(c *config.Config, mailboxes []envelope.Address) (map[config.Name][]envelope.Address, error) {
	groups := map[config.Name][]envelope.Address{}
	for _, a := range mailboxes {
		name := c.Identities[0].Name
		if m, ok := c.Mailbox(a); ok {
			name = m.Identity
		} else if len(c.Identities) > 1 {
			return nil, fmt.Errorf("no sender uses the mailbox %s, and there are several identities: "+
				"name a mailbox that the configuration sends from", a)
		}
		groups[name] = append(groups[name], a)
	}
	return groups, nil
}

// Audit returns when the identities are audited and which mailbox must be refused.
// The caller adds what follows from the result.
func Audit(c *config.Config, clients Clients, log *slog.Logger) verify.AuditConfig {
	a := verify.AuditConfig{Every: time.Duration(c.Audit.Every), Log: log}
	for _, id := range c.Identities {
		one := audit(c, id, clients[id.Name])
		if client := clients[id.Name]; client != nil && client.Submission != nil {
			one.Submission = client.Submission
		}
		a.Identities = append(a.Identities, one)
	}
	return a
}

func audit(c *config.Config, id config.Identity, client verify.Prober) verify.Audited {
	return verify.Audited{
		Name: string(id.Name), Denied: id.DeniedMailbox, Reads: reads(c, id.Name), Client: client,
	}
}

// AuditHolds reports whether a failed audit holds mail, beside its alarm.
func AuditHolds(c *config.Config) bool { return c.Audit.OnFailure == "stop" }

// AuditHold is an identity whose mail an audit holds, and why.
type AuditHold struct{ Identity, Text string }

// CarriedHolds returns the identities whose mail stays held because an audit held
// it under a name that c does not have any more. The audit under the new name
// releases it when it passes.
func CarriedHolds(c *config.Config, holds []spool.Hold) (list []AuditHold) {
	if !AuditHolds(c) {
		return nil
	}
	for _, h := range holds {
		old, ok := state.AuditedIdentity(h.Key)
		if _, still := c.Identity(config.Name(old)); !ok || still {
			continue
		}
		for _, name := range audited(c, h.Mailboxes) {
			list = append(list, AuditHold{name, fmt.Sprintf("the audit of %s, the earlier name of this identity, "+
				"stopped its mail; delivery resumes when an audit finds the app refused, which is tried at once, "+
				"or by graphrelay queue release --hold audit:%s", old, name)})
		}
	}
	return list
}

// audited returns the identities that have a mailbox that must be refused and send
// for any of the mailboxes; all of them for a hold that has not met mail yet, since
// nothing says whose mail it would have held. An audit soon releases the others.
func audited(c *config.Config, mailboxes []envelope.Address) (names []string) {
	for _, id := range c.Identities {
		sends := func(m envelope.Address) bool {
			box, _ := c.Mailbox(m)
			return box.Identity == id.Name
		}
		if !id.DeniedMailbox.IsZero() && (len(mailboxes) == 0 || slices.ContainsFunc(mailboxes, sends)) {
			names = append(names, string(id.Name))
		}
	}
	return names
}
