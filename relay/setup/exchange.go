package setup

// exchange is a step in Exchange of parts that begin with its reasons.
func exchange(title string, parts ...string) step {
	return step{title: title, side: inExchange, ps: part(parts...)}
}

// pointer registers the service principal in Exchange.
func (p Plan) pointer() step {
	return exchange("Register the service principal in Exchange", "pointer.ps1")
}

// group holds the mailboxes, shared ones among them: a policy cannot name a shared
// mailbox directly, and a role does not reach into nested groups.
func (p Plan) group() step {
	return exchange("A mail-enabled security group with exactly the mailboxes of the relay", "group.ps1")
}

func (p Plan) canary() step {
	name := "canary.ps1"
	if p.Denied.IsZero() {
		name = "canary_new.ps1"
	}
	return exchange("The canary: a mailbox that the app must not be able to use", name)
}

func (p Plan) role() step {
	s := exchange("Scope and role: this app, these mailboxes, no others", "role.ps1")
	for _, role := range p.roles() {
		name := psQuote(p.roleName(role))
		s.ps = append(s.ps, fill("assign.ps1", "@NAME@", name, "@ROLE@", psQuote(role))...)
	}
	return s
}

func (p Plan) testRole() step {
	return exchange("Test: InScope must be True for each mailbox, and False for the canary", "test_role.ps1")
}

func (p Plan) policy() step {
	return exchange("The access policy: this app, the members of the group, no one else", "policy.ps1")
}

func (p Plan) testPolicy() step {
	return exchange("Test: Granted for each mailbox, Denied for the canary", "test_policy.ps1")
}

// retention keeps Sent Items, where every relayed message stays, from filling up.
func (p Plan) retention() step {
	return exchange("Sent Items: delete relayed mail after 30 days", "retention.ps1")
}

func (p Plan) removeRoles() step {
	s := step{title: "Remove roles, scope and pointer: from here on the app may do nothing", side: inExchange}
	for _, role := range []string{"Application Mail.Send", "Application Mail.ReadWrite"} {
		s.ps = append(s.ps, fill("unassign.ps1", "@NAME@", psQuote(p.roleName(role)))...)
	}
	s.ps = append(s.ps, part("remove_scope.ps1")...)
	return s
}

func (p Plan) removePolicy() step { return exchange("Remove the access policy", "remove_policy.ps1") }

func (p Plan) removeGroup() step { return exchange("Remove the group", "remove_group.ps1") }
