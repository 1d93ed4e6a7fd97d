package rehearsal

import (
	"slices"
	"strings"
	"unicode/utf16"

	"graphrelay/relay/e2e/powershell"
)

// exchange runs a cmdlet of the Exchange Online module.
func (p *process) exchange(name string, args powershell.Args) ([]any, error) {
	t := p.w.signedIn()
	verb, noun, _ := strings.Cut(name, "-")
	switch {
	case name == "Connect-ExchangeOnline":
		if p.w.BrokenBroker && args["disablewam"] == nil {
			return nil, refuse("Object reference not set to an instance of an object (RuntimeBroker).")
		}
		return nil, nil
	case name == "Get-ConnectionInformation":
		return []any{object{"tenantid": t.ID, "userprincipalname": p.w.Admin, "iseopsession": false}}, nil
	case name == "Get-AcceptedDomain":
		return []any{object{"domainname": "contoso.com"}, object{"domainname": "contoso.onmicrosoft.com"}}, nil
	case name == "Get-OrganizationConfig":
		return []any{object{"isdehydrated": p.dehydrated(t)}}, nil
	case name == "Enable-OrganizationCustomization":
		if !t.dehydrated || t.customising > 0 {
			return nil, refuse("This operation is not required: the organization is already enabled for customization.")
		}
		t.customising = 3
		return nil, nil
	case verb == "Test":
		return p.test(t, name, args), nil
	case verb == "Get":
		return p.find(t, noun, args)
	}
	defer p.w.changed(name)
	if name == "Set-CASMailbox" {
		t.mailboxOf(p.str(args, "identity")).smtpOff = args["smtpclientauthenticationdisabled"]
		return nil, nil
	}
	if len(utf16.Encode([]rune(p.str(args, "name")))) > 64 {
		return nil, refuse("The length of the property is too long. The maximum length is 64.")
	}
	if strings.Contains(noun, "Retention") || noun == "Mailbox" {
		return nil, p.retain(t, name, args)
	}
	if strings.Contains(noun, "DistributionGroup") {
		return p.changeGroup(t, name, args)
	}
	return p.restrict(t, name, args)
}

// dehydrated says so for a while after it was enabled.
func (p *process) dehydrated(t *Tenant) bool {
	if t.customising > 0 {
		if t.customising--; t.customising == 0 {
			t.dehydrated = false
		}
	}
	return t.dehydrated
}

// find is a Get cmdlet. With nothing of the name it fails, or, as the documents
// have it, returns everything.
func (p *process) find(t *Tenant, noun string, args powershell.Args) ([]any, error) {
	all := map[string]func() []any{
		"EXOMailbox": t.mailboxObjects, "Mailbox": t.mailboxObjects, "CASMailbox": t.mailboxObjects,
		"DistributionGroup": t.groupObjects,
		"ManagementScope":   t.scopeObjects, "ManagementRoleAssignment": t.assignmentObjects,
		"ServicePrincipal": t.pointerObjects, "ApplicationAccessPolicy": t.policyObjects,
		"RetentionPolicy":    func() []any { return named(t.retentions) },
		"RetentionPolicyTag": func() []any { return named(t.tags) },
	}[noun]
	if noun == "DistributionGroupMember" {
		out := []any{}
		for _, m := range t.groupOf(p.str(args, "identity")).members {
			out = append(out, object{"primarysmtpaddress": m})
		}
		return out, nil
	}
	if all == nil {
		return nil, powershell.Halt("Get-" + noun + " is not imitated")
	}
	identity, given := args["identity"]
	if !given {
		return all(), nil
	}
	var out []any
	for _, v := range all() {
		for _, key := range []string{"name", "primarysmtpaddress", "appid", "objectid", "alias"} {
			if slices.ContainsFunc(powershell.Words(v.(object)[key]), func(s string) bool {
				return s != "" && strings.EqualFold(s, powershell.Show(identity))
			}) {
				out = append(out, v)
				break
			}
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	if p.w.NothingIsAll {
		return all(), nil
	}
	return nil, refuse("The operation couldn't be performed because object '%v' couldn't be found.", identity)
}

func named(list []string) (out []any) {
	for _, s := range list {
		out = append(out, object{"name": s})
	}
	return out
}

func (t *Tenant) mailboxObjects() (out []any) {
	for _, m := range t.mailboxes {
		addresses, aliases := []any{"SMTP:" + m.address}, []any{}
		for _, a := range m.aliases {
			addresses, aliases = append(addresses, "smtp:"+a), append(aliases, a)
		}
		out = append(out, object{"primarysmtpaddress": m.address, "userprincipalname": "upn-" + m.address,
			"emailaddresses": addresses, "alias": aliases, "recipienttypedetails": m.kind,
			"retentionpolicy": m.retention, "smtpclientauthenticationdisabled": m.smtpOff})
	}
	return out
}

func (t *Tenant) groupObjects() (out []any) {
	for _, g := range t.groups {
		out = append(out, object{"name": g.name, "displayname": g.name, "primarysmtpaddress": g.address,
			"recipienttypedetails": g.kind, "distinguishedname": g.dn(), "hiddenfromaddresslistsenabled": g.hidden})
	}
	return out
}

func (t *Tenant) scopeObjects() (out []any) {
	for _, s := range t.scopes {
		out = append(out, object{"name": s.name, "recipientfilter": s.filter})
	}
	return out
}

func (t *Tenant) assignmentObjects() (out []any) {
	for _, a := range t.assignments {
		out = append(out, object{"name": a.name, "role": a.role, "customresourcescope": a.scope})
	}
	return out
}

func (t *Tenant) pointerObjects() (out []any) {
	for _, p := range t.pointers {
		out = append(out, object{"appid": p.appID, "objectid": p.objectID, "displayname": p.name})
	}
	return out
}

func (t *Tenant) policyObjects() (out []any) {
	for _, p := range t.policies {
		g := t.groupOf(p.scope)
		if g == nil {
			g = &group{}
		}
		out = append(out, object{"identity": p.id, "appid": p.appID, "scopename": g.name, "accessright": p.right})
	}
	return out
}

// test is one of the test cmdlets, which look past every cache.
func (p *process) test(t *Tenant, name string, args powershell.Args) (out []any) {
	if name == "Test-ApplicationAccessPolicy" {
		result := "Denied"
		if t.allowedByPolicy(p.str(args, "appid"), p.str(args, "identity"), p.w.Now) {
			result = "Granted"
		}
		return []any{object{"accesscheckresult": result}}
	}
	m := t.mailboxOf(p.str(args, "resource"))
	for _, a := range t.assignments {
		if a.sp == p.str(args, "identity") && m != nil {
			in := t.inScope(a.scope, m.address) && m.address != p.w.OutOfScope
			out = append(out, object{"rolename": a.role, "inscope": in})
		}
	}
	return out
}

func (p *process) changeGroup(t *Tenant, name string, args powershell.Args) ([]any, error) {
	if name == "New-DistributionGroup" {
		owner := p.w.Admin
		if given, ok := args["managedby"]; ok {
			for _, o := range powershell.Words(given) {
				if t.mailboxOf(o) == nil {
					return nil, refuse("The value %q of ManagedBy is no mailbox, mail user or security group.", o)
				}
				owner = o
			}
		}
		g := &group{name: p.str(args, "name"), address: p.str(args, "primarysmtpaddress"), owner: owner,
			kind: "MailUniversalSecurityGroup"}
		if t.groupOf(g.name) != nil || t.groupOf(g.address) != nil {
			return nil, refuse("The group exists already.")
		}
		t.groups = append(t.groups, g)
		return t.groupObjects()[len(t.groups)-1:], nil
	}
	g := t.groupOf(p.str(args, "identity"))
	switch {
	case g == nil:
		return nil, refuse("The group couldn't be found.")
	case g.owner != p.w.Admin && args["bypasssecuritygroupmanagercheck"] == nil:
		return nil, refuse("You don't have sufficient permissions: only managers of the group can do that.")
	}
	switch name {
	case "Set-DistributionGroup":
		g.hidden = args["hiddenfromaddresslistsenabled"] == true
	case "Add-DistributionGroupMember":
		m := t.mailboxOf(p.str(args, "member"))
		if m == nil || holds(g.members, m.address) {
			return nil, refuse("Der Empfänger ist bereits ein Mitglied, or there is none.")
		}
		g.members = append(g.members, m.address)
	case "Remove-DistributionGroup":
		t.groups = slices.DeleteFunc(t.groups, func(one *group) bool { return one == g })
	}
	return nil, nil
}

// restrict runs what changes pointers, scopes, roles and policies.
func (p *process) restrict(t *Tenant, name string, args powershell.Args) ([]any, error) {
	identity := p.str(args, "identity")
	if t.dehydrated && strings.HasPrefix(name, "New-Management") {
		return nil, refuse("The command isn't available: run Enable-OrganizationCustomization first.")
	}
	switch name {
	case "New-ServicePrincipal":
		if p.w.flaky() || t.principalOf(p.str(args, "appid")) == nil {
			return nil, refuse("AADServicePrincipalNotFound")
		}
		t.pointers = append(t.pointers,
			pointer{p.str(args, "appid"), p.str(args, "objectid"), p.str(args, "displayname")})
	case "New-ManagementScope":
		t.scopes = append(t.scopes, scopeOf{p.str(args, "name"), p.str(args, "recipientrestrictionfilter")})
		return t.scopeObjects()[len(t.scopes)-1:], nil
	case "Set-ManagementScope":
		for i, s := range t.scopes {
			if strings.EqualFold(s.name, identity) {
				t.scopes[i].filter = p.str(args, "recipientrestrictionfilter")
			}
		}
	case "New-ManagementRoleAssignment":
		if !slices.ContainsFunc(t.pointers, func(one pointer) bool { return one.objectID == p.str(args, "app") }) {
			return nil, refuse("The app couldn't be found.")
		}
		t.assignments = append(t.assignments, assignment{p.str(args, "name"), p.str(args, "app"), p.str(args, "role"),
			p.str(args, "customresourcescope"), p.w.Now})
		return t.assignmentObjects()[len(t.assignments)-1:], nil
	case "New-ApplicationAccessPolicy":
		t.policies = append(t.policies, policy{t.guid(), p.str(args, "appid"), p.str(args, "policyscopegroupid"),
			p.str(args, "accessright"), p.w.Now})
	case "Remove-ServicePrincipal":
		t.pointers = slices.DeleteFunc(t.pointers, func(one pointer) bool { return one.objectID == identity })
	case "Remove-ManagementScope":
		if slices.ContainsFunc(t.assignments, func(a assignment) bool { return strings.EqualFold(a.scope, identity) }) {
			return nil, refuse("The scope is in use.")
		}
		t.scopes = slices.DeleteFunc(t.scopes, func(s scopeOf) bool { return strings.EqualFold(s.name, identity) })
	case "Remove-ManagementRoleAssignment":
		t.assignments = slices.DeleteFunc(t.assignments, func(a assignment) bool {
			return strings.EqualFold(a.name, identity)
		})
	case "Remove-ApplicationAccessPolicy":
		t.policies = slices.DeleteFunc(t.policies, func(one policy) bool { return one.id == identity })
	default:
		return nil, powershell.Halt(name + " is not imitated")
	}
	return nil, nil
}

// retain runs what changes retention.
func (p *process) retain(t *Tenant, name string, args powershell.Args) error {
	identity := p.str(args, "identity")
	if t.dehydrated && strings.HasPrefix(name, "New-") {
		return refuse("The command isn't available: run Enable-OrganizationCustomization first.")
	}
	switch name {
	case "New-RetentionPolicyTag":
		t.tags = append(t.tags, p.str(args, "name"))
		t.days = args["agelimitforretention"].(int64)
	case "Set-RetentionPolicyTag":
		t.days = args["agelimitforretention"].(int64)
	case "New-RetentionPolicy":
		t.retentions = append(t.retentions, p.str(args, "name"))
	case "Set-Mailbox":
		t.mailboxOf(identity).retention = p.str(args, "retentionpolicy")
	case "Remove-RetentionPolicy":
		if slices.ContainsFunc(t.mailboxes, func(m *mailbox) bool { return m.retention == identity }) {
			return refuse("The policy is in use.")
		}
		t.retentions = slices.DeleteFunc(t.retentions, func(s string) bool { return s == identity })
	case "Remove-RetentionPolicyTag":
		t.tags = slices.DeleteFunc(t.tags, func(s string) bool { return s == identity })
	default:
		return powershell.Halt(name + " is not imitated")
	}
	return nil
}
