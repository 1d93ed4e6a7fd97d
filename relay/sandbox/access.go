package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Access is what an administrator has set up for the application. SetAccess
// puts it in force in place of Options.Allowed, Roles and Granted.
//
// Two kinds of grant add up [D application-rbac]: consents in Entra,
// which count for the whole tenant unless a policy narrows them, and roles in
// Exchange, which count within their scope whatever the policies say.
type Access struct {
	// in Entra, such as Mail.Send: the roles claim of tokens issued from then on
	Consents    []string            `json:"consents,omitempty"`
	Groups      map[string][]string `json:"groups,omitempty"` // address of a group -> members, which may be groups
	Policies    []AccessPolicy      `json:"policies,omitempty"`
	Assignments []RoleAssignment    `json:"assignments,omitempty"`

	// Administrators are mailboxes that a consent never opens [I]: they answer
	// as if a policy denied them, with or without one.
	Administrators []string `json:"administrators,omitempty"`
	// OnPremises are mailboxes that the directory knows and Exchange Online
	// does not host.
	OnPremises []string `json:"on_premises,omitempty"`
	// ClosedByDefault imitates newer tenants, in which no consent opens a
	// mailbox and only a role does [I].
	ClosedByDefault bool `json:"closed_by_default,omitempty"`
}

// AccessPolicy is an application access policy [D New-ApplicationAccessPolicy].
type AccessPolicy struct {
	Right string `json:"right"` // RestrictAccess or DenyAccess
	Scope string `json:"scope"` // a group, nested ones included, or one mailbox
}

// RoleAssignment is a role of RBAC for Applications.
type RoleAssignment struct {
	Role  string `json:"role"`            // such as "Application Mail.Send"
	Scope string `json:"scope,omitempty"` // a group (direct members only) or a mailbox; empty is every mailbox
}

// permissions are those of mail that a consent can give [D permissions-reference].
var permissions = []string{"Mail.ReadBasic", "Mail.ReadBasic.All", "Mail.Read", "Mail.ReadWrite", "Mail.Send",
	"full_access_as_app", "SMTP.SendAsApp"}

// Validate tells which word of a is none that the service takes.
func (a Access) Validate() error {
	for _, c := range a.Consents {
		if !slices.Contains(permissions, c) {
			return fmt.Errorf("access: no permission of mail: %q; known are %s", c, strings.Join(permissions, ", "))
		}
	}
	for _, p := range a.Policies {
		if p.Right != "RestrictAccess" && p.Right != "DenyAccess" {
			return fmt.Errorf("access: the right %q of a policy is neither RestrictAccess nor DenyAccess", p.Right)
		}
		if p.Scope == "" {
			return fmt.Errorf("access: a policy has no scope; name a group or a mailbox")
		}
	}
	for _, r := range a.Assignments {
		if rolePermissions(r.Role) == nil {
			return fmt.Errorf("access: %q is none of the roles Application Mail.Send, Mail.Read, Mail.ReadBasic, "+
				"Mail.ReadWrite, Mail Full Access, SMTP.SendAsApp", r.Role)
		}
	}
	return nil
}

// rolePermissions lists what a role of Exchange stands for [D application-rbac].
func rolePermissions(role string) []string {
	switch role {
	case "Application Mail Full Access":
		return []string{"Mail.ReadWrite", "Mail.Send"}
	case "Application Mail.Send", "Application Mail.Read", "Application Mail.ReadBasic", "Application Mail.ReadWrite",
		"Application SMTP.SendAsApp":
		return []string{strings.TrimPrefix(role, "Application ")}
	}
	return nil
}

// planned is an Access that has not reached Graph yet.
type planned struct {
	access Access
	from   time.Time
}

// SetAccess changes what the administrator has set up. Consents count from the
// next token on; groups, policies, roles and the rest reach Graph after
// propagation, by the clock of Options.Now and what Propagate added to it: the
// documents say "longer than one hour" for policies and 30 minutes to 2 hours for roles.
func (d *Double) SetAccess(a Access, propagation time.Duration) error {
	if err := a.Validate(); err != nil {
		return err
	}
	d.tenant.change(func(t *tenant) {
		if t.access == nil {
			t.access = []planned{{}} // before the first change nothing is set up
		}
		t.consents = slices.Clone(a.Consents)
		t.access = append(t.access, planned{a.folded(), d.propagated().Add(propagation)})
	})
	return nil
}

// Propagate lets time pass for what is on its way to Graph, and for nothing else:
// tokens and certificates are as old as before.
func (d *Double) Propagate(by time.Duration) { d.hurry.Add(int64(by)) }

// propagated is the time by which changes reach Graph.
func (d *Double) propagated() time.Time { return d.o.Now().Add(time.Duration(d.hurry.Load())) }

// Access is what the administrator has set up last, whether or not it has
// reached Graph; false as long as SetAccess was not called.
func (d *Double) Access() (Access, bool) {
	d.tenant.mu.RLock()
	defer d.tenant.mu.RUnlock()
	if d.tenant.access == nil {
		return Access{}, false
	}
	return d.tenant.access[len(d.tenant.access)-1].access, true
}

func (a Access) folded() Access {
	groups := map[string][]string{}
	for name, members := range a.Groups {
		groups[fold(name)] = foldAll(members)
	}
	a.Groups = groups
	a.Administrators, a.OnPremises = foldAll(a.Administrators), foldAll(a.OnPremises)
	a.Policies, a.Assignments = slices.Clone(a.Policies), slices.Clone(a.Assignments)
	for i := range a.Policies {
		a.Policies[i].Scope = fold(a.Policies[i].Scope)
	}
	for i := range a.Assignments {
		a.Assignments[i].Scope = fold(a.Assignments[i].Scope)
	}
	return a
}

func foldAll(list []string) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		out = append(out, fold(s))
	}
	return out
}

// effective is the Access that Graph acts by now; false in the simple mode.
func (t *tenant) effective(now time.Time) (Access, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, p := range slices.Backward(t.access) {
		if !now.Before(p.from) {
			return p.access, true
		}
	}
	return Access{}, t.access != nil
}

// within reports whether mailbox is scope itself or a member of it.
func (a Access) within(scope, mailbox string, nested bool) bool {
	return a.member(scope, mailbox, nested, 0)
}

func (a Access) member(scope, mailbox string, nested bool, depth int) bool {
	if scope == mailbox {
		return true
	}
	for _, m := range a.Groups[scope] {
		if m == mailbox || nested && depth < 20 && a.member(m, mailbox, nested, depth+1) {
			return true
		}
	}
	return false
}

// policyAllows is the rule of access policies: a deny wins; a restriction
// grants its own scope and denies everything else; without any, all is granted
// [D New-ApplicationAccessPolicy].
func (a Access) policyAllows(mailbox string) bool {
	restricted, granted := false, false
	for _, p := range a.Policies {
		inside := a.within(p.Scope, mailbox, true)
		if p.Right == "DenyAccess" && inside {
			return false
		}
		if p.Right == "RestrictAccess" {
			restricted, granted = true, granted || inside
		}
	}
	return granted || !restricted
}

// assigned reports whether a role covers one of the permissions for mailbox.
func (a Access) assigned(anyOf []string, mailbox string) bool {
	return slices.ContainsFunc(a.Assignments, func(r RoleAssignment) bool {
		covers := slices.ContainsFunc(rolePermissions(r.Role), func(p string) bool { return slices.Contains(anyOf, p) })
		return covers && (r.Scope == "" || a.within(r.Scope, mailbox, false))
	})
}

// refusal says why the application may not, with one of the permissions, use
// mailbox; nil if it may. consents are those of the token.
func (a Access) refusal(anyOf, consents []string, mailbox string) *answer {
	if a.assigned(anyOf, mailbox) {
		return nil
	}
	consented := slices.ContainsFunc(anyOf, func(p string) bool { return slices.Contains(consents, p) })
	switch {
	case !consented:
		return graphError(http.StatusForbidden, "ErrorAccessDenied",
			"Access is denied. Check credentials and try again.")
	case a.ClosedByDefault, slices.Contains(a.Administrators, mailbox), !a.policyAllows(mailbox):
		return blockedByPolicy()
	}
	return nil
}

// blockedByPolicy is in the words of [D auth-limit-mailbox-access] and of the
// reports.
func blockedByPolicy() *answer {
	return graphError(http.StatusForbidden, "ErrorAccessDenied",
		"Access to OData is disabled: [RAOP] : Blocked by tenant configured AppOnly AccessPolicy settings.")
}

// Verdict is what the test cmdlets of Exchange say, which look past every cache.
type Verdict struct {
	Policy string `json:"access_check_result"` // Test-ApplicationAccessPolicy: Granted or Denied
	Scope  bool   `json:"in_scope"`            // Test-ServicePrincipalAuthorization, for Mail.Send
}

// Test says what the test cmdlets of Exchange would for a mailbox.
func (d *Double) Test(mailbox string) Verdict {
	a, _ := d.Access()
	v := Verdict{Policy: "Denied", Scope: a.assigned([]string{"Mail.Send"}, fold(mailbox))}
	if a.policyAllows(fold(mailbox)) {
		v.Policy = "Granted"
	}
	return v
}
