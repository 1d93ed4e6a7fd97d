package relay

import (
	"context"
	"fmt"
	"slices"
	"time"

	"graphrelay/config"
	"graphrelay/relay/delivery/hold"
	"graphrelay/relay/envelope"
	"graphrelay/relay/verify"
	"graphrelay/relay/wiring"
)

// newAuditor makes the audit of the identities, each through the client that
// sends its mail.
func (r *Relay) newAuditor(g *generation) *verify.Auditor {
	c := g.cfg
	a := verify.AuditConfig{Every: time.Duration(c.Audit.Every), Log: r.log, Resume: r.delivery.ReleaseIdentity, Alarm: r.alerts.Alarm}
	if c.Audit.OnFailure == "stop" {
		a.Stop = r.delivery.HoldIdentity
	} else {
		// An earlier run may have stopped what the configuration now wants alarmed only.
		a.Stop = func(ctx context.Context, identity, _ string) error { return r.delivery.ReleaseIdentity(ctx, identity) }
	}
	for _, id := range c.Identities {
		a.Identities = append(a.Identities, verify.Audited{Name: string(id.Name), Denied: id.DeniedMailbox, Reads: wiring.NeedsReadWrite(c), Client: g.identities[id.Name]})
	}
	return verify.NewAuditor(a)
}

// carryStops keeps mail stopped that an audit has stopped, where its identity has
// another name in c: the audit under that name ends it, when it passes.
func (r *Relay) carryStops(ctx context.Context, c *config.Config, stop func(ctx context.Context, identity, text string) error) error {
	holds, err := r.store.Holds(ctx)
	if err != nil || c.Audit.OnFailure != "stop" {
		return err
	}
	for _, h := range holds {
		old, ok := hold.AuditedIdentity(h.Key)
		if _, still := c.Identity(config.Name(old)); !ok || still {
			continue
		}
		for _, name := range auditedSenders(c, h.Mailboxes) {
			text := fmt.Sprintf("mail of this identity was stopped by the audit of %s, its name until now; sending goes on by itself when an audit finds the app refused, "+
				"which is tried at once, and by graphrelay queue release --hold audit:%s", old, name)
			if err := stop(ctx, name, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// auditedSenders are the identities that send for any of the mailboxes and have
// something to audit.
func auditedSenders(c *config.Config, mailboxes []envelope.Address) (names []string) {
	for _, m := range mailboxes {
		box, _ := c.Mailbox(m)
		id, ok := c.Identity(box.Identity)
		if ok && !id.DeniedMailbox.IsZero() && !slices.Contains(names, string(id.Name)) {
			names = append(names, string(id.Name))
		}
	}
	return names
}

// stopInStore stops an identity before delivery runs.
func (r *Relay) stopInStore(ctx context.Context, identity, text string) error {
	return r.store.SetHold(ctx, hold.ForAudit(identity, text, time.Now()))
}

// auditWarnings are what every status says of the audits.
func auditWarnings(last []verify.Audit) []string {
	var list []string
	for _, a := range last {
		switch {
		case a.Alarming():
			list = append(list, fmt.Sprintf("identity %s: NOT RESTRICTED: %s", a.Identity, a.Proof))
		case a.Verdict == verify.Unproven && !a.At.IsZero():
			list = append(list, fmt.Sprintf("identity %s: UNPROVEN: %s", a.Identity, a.Text))
		}
	}
	return list
}
