package rehearsal

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"graphrelay/relay/sandbox"
)

// The times that Microsoft names: until a policy reaches Graph, and how long a
// token keeps the consents it was issued with. The invariant takes the worse end.
const (
	policyDelay = 60 * time.Minute
	tokenLife   = 90 * time.Minute
	roleDelay   = 120 * time.Minute
)

// GraphApp is the application that Microsoft Graph itself is.
const graphAppID = "00000003-0000-0000-c000-000000000000"

type (
	application struct {
		id, appID, name string
		keys            []key
		secrets         int
		federated       [][3]string // name, issuer, subject
	}
	key struct {
		mark []byte // customKeyIdentifier as the module shows it
		end  time.Time
	}
	principal struct {
		id, appID, kind string
		made            time.Time
	}
	consent struct {
		id, sp, role string
	}
	mailbox struct {
		address, kind, retention string
		aliases                  []string
		smtpOff                  any // SmtpClientAuthenticationDisabled; nil leaves it to the organisation
	}
	group struct {
		name, address, kind, owner string
		hidden                     bool
		members                    []string
	}
	policy struct {
		id, appID, scope, right string
		made                    time.Time
	}
	assignment struct {
		name, sp, role, scope string
		made                  time.Time
	}
	scopeOf struct{ name, filter string }
	pointer struct{ appID, objectID, name string }
)

// Tenant is an imitated organisation, with Entra and Exchange, as the cmdlets see it.
type Tenant struct {
	ID               string
	apps             []*application
	sps              []*principal
	consents         []consent
	withdrawn        map[string]time.Time // permission -> until when tokens may carry it
	mailboxes        []*mailbox
	groups           []*group
	policies         []policy
	pointers         []pointer
	scopes           []scopeOf
	assignments      []assignment
	tags, retentions []string
	days             int64
	dehydrated       bool
	customising      int // how often it still says that it is dehydrated
	number           int // of the last object
}

// NewTenant is an organisation with these mailboxes, and nothing else.
func NewTenant(id string, mailboxes ...string) *Tenant {
	t := &Tenant{ID: id, withdrawn: map[string]time.Time{}}
	t.sps = []*principal{{id: "graph", appID: graphAppID, kind: "Application"}}
	for _, m := range mailboxes {
		t.mailboxes = append(t.mailboxes, &mailbox{address: m, kind: "SharedMailbox", retention: "Default MRM Policy"})
	}
	return t
}

// guid names the next object.
func (t *Tenant) guid() string {
	t.number++
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", t.number)
}

// permissions are those of Graph that a consent or a role of Exchange gives.
var permissions = map[string]string{
	"b633e1c5-b582-4048-a93e-9f11b44c7e96": "Mail.Send",
	"e2a3a72e-5f79-4c64-b1b1-878b674786c9": "Mail.ReadWrite",
	"6be147d2-ea4f-4b5a-a3fa-3eab6f3c140a": "Mail.ReadBasic",
}

func (t *Tenant) groupOf(name string) *group {
	for _, g := range t.groups {
		if strings.EqualFold(g.name, name) || strings.EqualFold(g.address, name) {
			return g
		}
	}
	return nil
}

// dn is the distinguished name of a group.
func (g *group) dn() string { return "CN=" + g.name + ",OU=contoso.onmicrosoft.com,DC=EURPR01,DC=prod" }

// inScope reports whether a management scope, or every mailbox, holds an address.
func (t *Tenant) inScope(name, address string) bool {
	if name == "" {
		return true
	}
	for _, s := range t.scopes {
		if !strings.EqualFold(s.name, name) {
			continue
		}
		if s.filter == "PrimarySmtpAddress -eq '"+strings.ReplaceAll(address, "'", "''")+"'" {
			return true
		}
		for _, g := range t.groups {
			if s.filter == "MemberOfGroup -eq '"+strings.ReplaceAll(g.dn(), "'", "''")+"'" {
				return holds(g.members, address)
			}
		}
	}
	return false
}

func holds(list []string, one string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, one) })
}

// allowedByPolicy reports what the policies that are older than a time make of a consent.
func (t *Tenant) allowedByPolicy(appID, address string, before time.Time) bool {
	restricted := false
	for _, p := range t.policies {
		if p.appID != appID || p.made.After(before) {
			continue
		}
		g := t.groupOf(p.scope)
		inside := g != nil && holds(g.members, address)
		switch {
		case p.right == "DenyAccess" && inside:
			return false
		case p.right == "RestrictAccess" && inside:
			return true
		}
		restricted = restricted || p.right == "RestrictAccess"
	}
	return !restricted
}

// readsHeaders is the role that lets an app use no mailbox, but read headers in it.
const readsHeaders = "Application Mail.ReadBasic"

// Readable is every mailbox in which the app may read headers, and nothing else.
func (t *Tenant) Readable() (list []string) {
	for _, m := range t.mailboxes {
		in := func(a assignment) bool { return a.role == readsHeaders && t.inScope(a.scope, m.address) }
		if slices.ContainsFunc(t.assignments, in) {
			list = append(list, m.address)
		}
	}
	return list
}

// Reach is every mailbox that the app could use for a permission now, at the worst:
// with tokens that were issued before a consent was removed, and with policies that
// have not reached Graph yet.
func (t *Tenant) Reach(now time.Time) (list []string) {
	for _, sp := range t.sps {
		for _, m := range t.mailboxes {
			if t.uses(sp, m.address, now) {
				list = append(list, m.address)
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (t *Tenant) uses(sp *principal, address string, now time.Time) bool {
	for _, a := range t.assignments {
		if a.sp == sp.id && a.role != readsHeaders && t.inScope(a.scope, address) {
			return true
		}
	}
	consented := false
	for _, c := range t.consents {
		consented = consented || c.sp == sp.id && permissions[c.role] != ""
	}
	for id, until := range t.withdrawn {
		consented = consented || id == sp.id && now.Before(until)
	}
	return consented && t.allowedByPolicy(sp.appID, address, now.Add(-policyDelay))
}

// Access is what is set up for an app, in the words of the sandbox.
func (t *Tenant) Access(appID string) sandbox.Access {
	a := sandbox.Access{Groups: map[string][]string{}}
	sp := t.principalOf(appID)
	if sp == nil {
		return a
	}
	for _, c := range t.consents {
		if c.sp == sp.id {
			a.Consents = append(a.Consents, permissions[c.role])
		}
	}
	for _, p := range t.policies {
		if p.appID != appID {
			continue
		}
		if g := t.groupOf(p.scope); g != nil {
			a.Groups[g.address] = g.members
			a.Policies = append(a.Policies, sandbox.AccessPolicy{Right: p.right, Scope: g.address})
		}
	}
	for _, one := range t.assignments {
		if one.sp != sp.id {
			continue
		}
		name := "scope " + one.scope
		for _, m := range t.mailboxes {
			if t.inScope(one.scope, m.address) {
				a.Groups[name] = append(a.Groups[name], m.address)
			}
		}
		a.Assignments = append(a.Assignments, sandbox.RoleAssignment{Role: one.role, Scope: name})
	}
	return a
}

func (t *Tenant) principalOf(appID string) *principal {
	for _, sp := range t.sps {
		if sp.appID == appID {
			return sp
		}
	}
	return nil
}

func (t *Tenant) mailboxOf(address string) *mailbox {
	for _, m := range t.mailboxes {
		if strings.EqualFold(m.address, address) || holds(m.aliases, address) {
			return m
		}
	}
	return nil
}
