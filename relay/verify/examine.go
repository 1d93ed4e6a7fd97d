package verify

import (
	"context"
	"fmt"
	"strings"
)

// Examine looks at an identity without sending or changing anything: credential,
// token, what is consented, a probe of each mailbox, and where the configuration
// looks outcomes up, a search of it. Each finding goes to note.
func Examine(ctx context.Context, id Identity, v Verifier, note func(Finding)) {
	v = v.withDefaults()
	v.Progress = note
	r := &round{Verifier: v, id: id}
	if !r.logIn(ctx) {
		return
	}
	for _, m := range id.Allowed {
		if ctx.Err() != nil {
			return
		}
		t := Probe(ctx, r.client, m, v.Now())
		f := allowedFinding(t)
		if t.Access == Closed && strings.Contains(t.Answer.Text, policyBlock) {
			f.Remedy += fmt.Sprintf("; %s without any policy in the tenant means that the tenant lets no app use mailboxes by consent alone, or that the mailbox is an administrator's: assign a role (graphrelay setup --method rbac)", policyBlock)
		}
		note(f)
		if t.Access == Open {
			r.needs(ctx, m, false)
		}
	}
	r.denied(ctx)
	if len(id.Denied) == 0 {
		note(Finding{Step: StepDenied, Mark: Warn, Text: "no mailbox is named that must be refused", Remedy: "write denied_mailbox, and run graphrelay verify"})
	}
}
