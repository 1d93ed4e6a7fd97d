package relay

import (
	"context"
	"fmt"

	"graphrelay/config"
	"graphrelay/relay/verify"
	"graphrelay/relay/wiring"
)

// newAuditor makes the audit of the identities, each through the client that
// sends its mail.
func (r *Relay) newAuditor(g *generation) *verify.Auditor {
	a := wiring.Audit(g.cfg, g.identities, r.log)
	a.Alarm, a.Stop, a.Resume = r.observer.Alerts.Alarm, r.delivery.HoldIdentity, r.delivery.ReleaseIdentity
	if r.store.News() != nil {
		a.Shared = r.store
	}
	if !wiring.AuditHolds(g.cfg) {
		// An earlier run may have held what now only raises the alarm.
		a.Stop = func(ctx context.Context, identity, _ string) error {
			return r.delivery.ReleaseIdentity(ctx, identity)
		}
	}
	return verify.NewAuditor(a)
}

// carryAuditHolds keeps mail held that an audit has held, where its identity has
// another name in c.
func (r *Relay) carryAuditHolds(
	ctx context.Context, c *config.Config, hold func(ctx context.Context, identity, text string) error,
) error {
	holds, err := r.store.Holds(ctx)
	if err != nil {
		return err
	}
	for _, h := range wiring.CarriedHolds(c, holds) {
		if err := hold(ctx, h.Identity, h.Text); err != nil {
			return err
		}
	}
	return nil
}

// unproven returns what every status says about audits that proved nothing.
func unproven(last []verify.Audit) []string {
	var list []string
	for _, a := range last {
		if a.Verdict == verify.Unproven && !a.At.IsZero() && !a.Alarming() {
			list = append(list, fmt.Sprintf("identity %s: UNPROVEN: %s", a.Identity, a.Text))
		}
	}
	return list
}
