package rehearsal

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/sandbox"
	"graphrelay/relay/setup"
)

// WorldOf is a tenant with the mailboxes of a plan, its denied one and some of others,
// and with what the plan takes for granted.
func WorldOf(t testing.TB, p setup.Plan) *World {
	t.Helper()
	var allowed []string
	for _, m := range p.Mailboxes {
		allowed = append(allowed, m.String())
	}
	id := p.TenantID
	if strings.Contains(id, ".") {
		id = "11111111-1111-1111-1111-111111111111"
	}
	tenant := NewTenant(id, append(slices.Clone(allowed), "ceo@contoso.com", "denied@contoso.com")...)
	tenant.mailboxes[0].kind = "UserMailbox"
	for _, o := range append(slices.Clone(p.Owners), p.Denied, p.Canary) {
		if !o.IsZero() && tenant.mailboxOf(o.String()) == nil {
			tenant.mailboxes = append(tenant.mailboxes, &mailbox{address: o.String(), kind: "UserMailbox"})
		}
	}
	if !p.Group.IsZero() {
		tenant.groups = append(tenant.groups, &group{name: "Relays", address: p.Group.String(),
			kind: "MailUniversalSecurityGroup", owner: "somebody@contoso.com"})
	}
	if p.Credential == setup.Managed {
		tenant.sps = append(tenant.sps, &principal{id: "managed", appID: p.ClientID, kind: "ManagedIdentity"})
	}
	w := NewWorld(t, tenant, allowed...)
	if p.Admin != "" {
		w.Admin = p.Admin
	}
	return w
}

// Dehydrate makes it an organisation that nobody has customised.
func (t *Tenant) Dehydrate() { t.dehydrated = true }

// ByHand sets up the app of a plan as an administrator did long ago: consented, and
// narrowed by an access policy for a group of another name.
func (w *World) ByHand(p setup.Plan) {
	t, old := w.Tenant, &group{name: "Old", address: "old@contoso.com", kind: "MailUniversalSecurityGroup",
		hidden: true, members: slices.Clone(w.Allowed)}
	app := &application{id: "old", appID: p.ClientID, name: p.App, keys: []key{{mark: []byte("old")}}}
	t.apps, t.groups = append(t.apps, app), append(t.groups, old)
	t.sps = append(t.sps, &principal{id: "oldsp", appID: p.ClientID, kind: "Application"})
	for id, name := range permissions {
		if name == "Mail.Send" {
			t.consents = append(t.consents, consent{"c1", "oldsp", id})
		}
	}
	t.policies = append(t.policies, policy{"p1", p.ClientID, old.address, "RestrictAccess", w.Now.Add(-24 * time.Hour)})
}

// ClientID is that of the app of a plan.
func (w *World) ClientID(p setup.Plan) string {
	for _, a := range w.Tenant.apps {
		if a.name == p.App {
			return a.appID
		}
	}
	return p.ClientID
}

// Restricted demands that the app can use the mailboxes of the plan and no others,
// as the sandbox judges it, and as it stays when tokens and caches have run out.
func (w *World) Restricted(p setup.Plan) {
	w.t.Helper()
	want := slices.Sorted(slices.Values(w.Allowed))
	if got := w.Tenant.Reach(w.Now.Add(3 * time.Hour)); !slices.Equal(got, want) {
		w.fail("in the end the app can use %q, want %q", got, want)
	}
	var reads []string
	if !p.Canary.IsZero() && p.Method == setup.RBAC && (!p.ReadWrite || !holds(w.Allowed, p.Canary.String())) {
		reads = []string{p.Canary.String()}
	}
	if got := w.Tenant.Readable(); !slices.Equal(got, reads) {
		w.fail("the app can read headers in %q, want %q", got, reads)
	}
	d, err := sandbox.New(sandbox.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	access := w.Tenant.Access(w.ClientID(p))
	if err := d.SetAccess(access, 0); err != nil {
		w.t.Fatal(err)
	}
	if p.Task == setup.Migrate && len(access.Policies) > 0 {
		w.fail("the policy is left: %v", access.Policies)
	}
	if p.SentItemsDays > 0 && (len(w.Tenant.tags) != 1 || w.Tenant.days != int64(p.SentItemsDays)) {
		w.fail("the tags %q delete after %d days", w.Tenant.tags, w.Tenant.days)
	}
	if consented := len(access.Consents) > 0; consented != (p.Method == setup.Policy) {
		w.fail("consents: %v", access.Consents)
	}
	for _, m := range w.Tenant.mailboxes {
		verdict, inside := d.Test(m.address), holds(w.Allowed, m.address)
		open := verdict.Scope
		if p.Method == setup.Policy {
			open = verdict.Policy == "Granted"
		}
		if open != inside {
			w.fail("%s: %+v, and it is one of the relay's: %v", m.address, verdict, inside)
		}
		if on := m.smtpOff == false; on != (inside && p.Submit) {
			w.fail("%s: SMTP AUTH is on: %v", m.address, on)
		}
		kept := m.retention != p.App+" sent items"
		if p.Task == setup.Create && kept == (inside && p.SentItemsDays > 0) {
			w.fail("%s has the retention policy %q", m.address, m.retention)
		}
	}
	w.groupIsClosed(p)
	w.logsIn(p)
}

// logsIn demands that the app has what it logs in with, once.
func (w *World) logsIn(p setup.Plan) {
	w.t.Helper()
	for _, a := range w.Tenant.apps {
		if a.name != p.App {
			continue
		}
		if p.Credential == setup.Certificate && len(a.keys) != 1 || p.Credential == setup.Workload &&
			(len(a.federated) != 1 || a.federated[0] != [3]string{a.federated[0][0], p.Issuer, p.Subject}) {
			w.fail("the app %s has %d keys and the federated credentials %q", a.name, len(a.keys), a.federated)
		}
		line := "\n    # app_object_id: " + a.id
		if p.Renewal {
			line = "\n    certificate_renewal: auto\n    app_object_id: " + a.id
		}
		said := strings.ReplaceAll(strings.Join(w.Printed, "\n"), "\nHost ", "\n")
		if strings.Contains(said, line+"\n") != (p.Credential == setup.Certificate) {
			w.fail("the lines to copy of %s do not hold %q", a.name, line)
		}
		return
	}
	if p.Credential != setup.Managed {
		w.fail("there is no app %s", p.App)
	}
}

// groupIsClosed demands that a group of the script is hidden, and that its owner is
// the one that was named.
func (w *World) groupIsClosed(p setup.Plan) {
	w.t.Helper()
	if !p.Group.IsZero() {
		return
	}
	for _, g := range w.Tenant.groups {
		if !g.hidden {
			w.fail("the group %s is in address lists", g.name)
		}
		if len(p.Owners) > 0 && !strings.EqualFold(g.owner, p.Owners[len(p.Owners)-1].String()) {
			w.fail("the group %s is owned by %s", g.name, g.owner)
		}
	}
}

// Gone demands that nothing is left of what a plan set up.
func (w *World) Gone(p setup.Plan) {
	w.t.Helper()
	t := w.Tenant
	if got := t.Reach(w.Now.Add(3 * time.Hour)); len(got) > 0 {
		w.fail("after the undo the app can use %q", got)
	}
	left := len(t.consents) + len(t.policies) + len(t.assignments) + len(t.scopes) + len(t.pointers) + len(t.tags) +
		len(t.retentions) + len(t.apps)
	if p.Group.IsZero() {
		left += len(t.groups)
	}
	if left > 0 {
		w.fail("%d things are left: %+v", left, t)
	}
	for _, m := range t.mailboxes {
		if m.smtpOff == false {
			w.fail("%s keeps SMTP AUTH", m.address)
		}
		if m.retention != "" && m.retention != "Default MRM Policy" {
			w.fail("%s keeps the retention policy %q", m.address, m.retention)
		}
	}
}

// judged is a test that may fail.
type judged struct {
	testing.TB
	failed bool
}

func (j *judged) Helper()               {}
func (j *judged) Error(...any)          { j.failed = true }
func (j *judged) Errorf(string, ...any) { j.failed = true }
func (j *judged) Fatal(...any)          { j.failed = true; runtime.Goexit() }

// Seen reports whether a test fails.
func Seen(t testing.TB, test func(testing.TB)) bool {
	j := &judged{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(j)
	}()
	<-done
	return j.failed
}
