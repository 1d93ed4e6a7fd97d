package setup

// pointer registers the service principal in Exchange.
func (p Plan) pointer() step {
	return step{
		title: "Register the service principal in Exchange",
		why:   []string{"The object ID is that of the enterprise application, not of the app registration."},
		side:  inExchange,
		ps:    part("pointer.ps1"),
	}
}

// group holds the mailboxes, shared ones among them: a policy cannot name a shared
// mailbox directly, and a role does not reach into nested groups.
func (p Plan) group() step {
	return step{
		title: "A mail-enabled security group with exactly the mailboxes of the relay",
		why: []string{"Its owner is the person who runs this script; nobody can join or leave it, and it accepts no " +
			"mail from outside.",
			"Members must be direct: a role does not reach into nested groups."},
		side: inExchange,
		ps:   part("group.ps1"),
	}
}

// canary is the mailbox that must be refused.
func (p Plan) canary() step {
	s := step{
		title: "The canary: a mailbox that the app must not be able to use",
		why: []string{"It must exist, be hosted in Exchange Online and be ordinary: a missing mailbox or an " +
			"administrator's is always refused",
			"and proves nothing. It needs no mail and no user."},
		side: inExchange,
		ps:   part("canary.ps1"),
	}
	if p.Denied.IsZero() {
		s.why = append(s.why, "None is configured, so the script creates a shared mailbox: it is hosted and "+
			"reachable like a licensed one, and costs nothing.",
			"Or name an ordinary licensed mailbox with --denied.")
		s.ps = part("canary_new.ps1")
	}
	return s
}

func (p Plan) role() step {
	s := step{
		title: "Scope and role: this app, these mailboxes, no others",
		why: []string{"A role without -CustomResourceScope would reach every mailbox; an assignment of the same " +
			"name with another scope stops the script."},
		side: inExchange,
		ps:   part("role.ps1"),
	}
	for _, role := range p.roles() {
		name := psQuote(p.roleName(role))
		s.ps = append(s.ps,
			`$assignment = Get-ManagementRoleAssignment -Identity `+name+` -ErrorAction SilentlyContinue`,
			`if (-not $assignment) {`,
			`  $assignment = New-ManagementRoleAssignment -Name `+name+` -App $SpId -Role `+psQuote(role)+
				` -CustomResourceScope $ScopeName`,
			`}`,
			`if ("$($assignment.CustomResourceScope)" -ne $ScopeName) {`,
			`  throw 'This role is assigned with another scope: remove it with Remove-ManagementRoleAssignment, and `+
				`run this again.'`,
			`}`)
	}
	return s
}

func (p Plan) testRole() step {
	return step{
		title: "Test: InScope must be True for each mailbox, and False for the canary",
		why: []string{"The cmdlet bypasses the caches and checks roles only, not consents: it shows that the roles " +
			"are right, not that Graph applies them yet.",
			"`graphrelay verify` shows that."},
		side: inExchange,
		ps:   part("test_role.ps1"),
	}
}

func (p Plan) policy() step {
	return step{
		title: "The access policy: this app, the members of the group, no one else",
		why:   []string{"Access policies are the older way; for new tenants, use --method rbac."},
		side:  inExchange,
		ps:    part("policy.ps1"),
	}
}

func (p Plan) testPolicy() step {
	return step{
		title: "Test: Granted for each mailbox, Denied for the canary",
		why: []string{"The cmdlet shows that the policy is right, not that Graph applies it yet: that takes an " +
			"hour or more."},
		side: inExchange,
		ps:   part("test_policy.ps1"),
	}
}

// retention keeps Sent Items, where every relayed message stays, from filling up.
func (p Plan) retention() step {
	return step{
		title: "Sent Items: delete relayed mail after 30 days",
		why: []string{"Graph keeps a copy of each mail in Sent Items, and a full mailbox cannot send. This replaces " +
			"the mailbox's own",
			"retention policy, so mailboxes with another policy than the default are skipped. Change the days, or " +
				"remove this step, to fit your rules."},
		side: inExchange,
		ps:   part("retention.ps1"),
	}
}

func (p Plan) removeRoles() step {
	s := step{title: "Remove roles, scope and pointer: from here on the app may do nothing", side: inExchange}
	for _, role := range []string{"Application Mail.Send", "Application Mail.ReadWrite"} {
		name := psQuote(p.roleName(role))
		s.ps = append(s.ps,
			`if (Get-ManagementRoleAssignment -Identity `+name+` -ErrorAction SilentlyContinue) {`,
			`  Remove-ManagementRoleAssignment -Identity `+name+` -Confirm:$false`,
			`}`)
	}
	s.ps = append(s.ps, part("remove_scope.ps1")...)
	return s
}

func (p Plan) removePolicy() step {
	return step{title: "Remove the access policy", side: inExchange, ps: part("remove_policy.ps1")}
}

func (p Plan) removeGroup() step {
	return step{title: "Remove the group", side: inExchange, ps: part("remove_group.ps1")}
}
