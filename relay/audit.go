package relay

import (
	"context"
	"fmt"
	"time"

	"graphrelay/relay/monitor"
	"graphrelay/relay/verify"
)

// newAuditor makes the audit of the identities, each through the client that
// sends its mail.
func (r *Relay) newAuditor(g *generation) *verify.Auditor {
	c := g.cfg
	a := verify.AuditConfig{Every: time.Duration(c.Audit.Every), Log: r.log, Resume: r.delivery.Resume, Alarm: r.alerts.Alarm}
	if c.Audit.OnFailure == "stop" {
		a.Stop = r.delivery.Stop
	} else {
		// An earlier run may have stopped what the configuration now wants alarmed only.
		a.Stop = func(ctx context.Context, identity, _ string) error { return r.delivery.Resume(ctx, identity) }
	}
	for _, id := range c.Identities {
		a.Identities = append(a.Identities, verify.Audited{Name: string(id.Name), Denied: id.DeniedMailbox, Reads: NeedsReadWrite(c), Client: g.identities[id.Name]})
	}
	return verify.NewAuditor(a)
}

// auditStates are the last audits that proved something.
func auditStates(last []verify.Audit) []monitor.Audit {
	var list []monitor.Audit
	for _, a := range last {
		if !a.Concluded.IsZero() {
			list = append(list, monitor.Audit{Identity: a.Identity, At: a.Concluded, Passed: a.Passed, Text: a.Proof})
		}
	}
	return list
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
