package setup

import (
	"strconv"
	"strings"
)

// side is where a step runs.
type side int

const (
	inEntra    side = iota // with the Microsoft Graph modules, or az
	inExchange             // with the Exchange Online module
	onlyWait
)

// step is one part of a script. Its commands are given for both shells if they
// differ: Exchange has only cmdlets.
type step struct {
	title string
	why   []string // comment lines
	side  side
	ps    []string // PowerShell
	sh    []string // the same by az, for steps in Entra
}

// steps are those of the task, in the order that never leaves the application unrestricted.
func (p Plan) steps() []step {
	switch p.Task {
	case Undo:
		if p.Method == Policy {
			return []step{p.find(), p.removeConsent(), p.waitForTokens("the policy goes"), p.removePolicy(),
				p.removeGroup(), p.removeApp()}
		}
		return []step{p.find(), p.removeRoles(), p.removeGroup(), p.removeApp()}
	case Migrate:
		return []step{p.find(), p.pointer(), p.group(), p.canary(), p.role(), p.testRole(), p.waitForRole(),
			p.removeConsent(), p.waitForTokens("the policy goes"), p.removePolicy(), p.copyBack()}
	}
	if p.Method == Policy {
		return []step{p.register(), p.noConsentYet(), p.group(), p.canary(), p.policy(), p.testPolicy(), p.retention(),
			p.waitForPolicy(), p.consent(), p.copyBack()}
	}
	return []step{p.register(), p.noConsent(), p.pointer(), p.group(), p.canary(), p.role(), p.testRole(),
		p.retention(), p.copyBack()}
}

// entra is a step in Entra, of parts that both shells have.
func entra(parts, title string, why ...string) step {
	s := step{title: title, why: why}
	for name := range strings.FieldsSeq(parts) {
		s.ps = append(s.ps, part(name+".ps1")...)
		s.sh = append(s.sh, part(name+".sh")...)
	}
	return s
}

func (p Plan) register() step {
	return entra("register", "App registration (single tenant), certificate and service principal",
		"Nothing is consented here: the app can log in, but do nothing.",
		"A certificate that is already there is not uploaded again; others stay.")
}

// find finds an existing app.
func (p Plan) find() step { return entra("find", "Find the app and its service principal") }

// noConsent guards the RBAC route: a consent in Entra adds to the role, and then
// nothing is restricted.
func (p Plan) noConsent() step {
	return entra("consents no_consent", "No consent for mail may remain in Entra",
		"Consents and roles add up: if Mail.Send is consented for the organisation, the scope below restricts nothing.",
		"Nothing is removed here, because it may be in use: see `graphrelay setup --migrate`.")
}

// noConsentYet warns if the consent came before the policy.
func (p Plan) noConsentYet() step {
	return entra("consents no_consent_yet", "Is it consented already?", "The consent comes last. If it is there "+
		"before the policy has reached Graph, the app can send as everybody until then.")
}

func (p Plan) consent() step {
	s := entra("consent", "Consent, last of all",
		"The policy has been tested and has had time to reach Graph. Only now may the app send.")
	for _, perm := range p.permissions() {
		s.ps = append(s.ps, fill("grant.ps1", "@ID@", perm.id, "@NAME@", perm.name)...)
		s.sh = append(s.sh, fill("grant.sh", "@ID@", perm.id, "@NAME@", perm.name)...)
	}
	return s
}

func (p Plan) removeConsent() step {
	return entra("consents remove_consent", "Remove the consents for mail",
		"Before the policy that narrows them: in the other order, the app could send as everybody in between.")
}

func (p Plan) removeApp() step {
	s := entra("", "Remove the app registration", "Stop the relay first. The app can be restored in the portal for 30 "+
		"days. Mailboxes, including the canary, and retention policies stay.")
	s.ps = []string{`Remove-MgApplication -ApplicationId $app.Id`}
	s.sh = []string{`az ad app delete --id "$APP_ID"`}
	return s
}

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

func (p Plan) waitForPolicy() step {
	return wait("Wait until the policy has reached Graph", 90,
		"Microsoft: longer than one hour, even if the test shows the right result. Nothing can be sent meanwhile, "+
			"because nothing is consented.",
		"You can stop the script, and run it again without the wait (-SkipWait, SKIP_WAIT=1) when the time has passed.")
}

func (p Plan) waitForRole() step {
	return wait("Wait until the role has reached Graph", 120,
		"30 minutes to 2 hours. Mail continues under the consent and the policy meanwhile.")
}

func (p Plan) waitForTokens(then string) step {
	return wait("Wait until the tokens that carry the consents have expired, before "+then, 120,
		"A token keeps the consents it was issued with for 60 to 90 minutes. Without the policy it would open every "+
			"mailbox.")
}

func wait(title string, minutes int, why ...string) step {
	values := []string{"@MINUTES@", strconv.Itoa(minutes), "@SECONDS@", strconv.Itoa(minutes * 60)}
	return step{title: title, why: why, side: onlyWait, ps: fill("wait.ps1", values...), sh: fill("wait.sh", values...)}
}

// copyBack prints what the person who runs the relay needs.
func (p Plan) copyBack() step {
	s := step{title: "What to give to the person who runs the relay", side: onlyWait}
	lines := []string{"", "Copy this into the configuration of the relay:", "", "identities:",
		"  - name: " + yamlQuote(p.Identity), "    tenant_id: " + yamlQuote(p.TenantID), "    client_id: @APP@",
		"    certificate_file: " + yamlQuote(p.PEM), "    denied_mailbox: " + yamlQuote(p.denied()), "senders:"}
	for _, m := range p.Mailboxes {
		lines = append(lines, "  - address: "+yamlQuote(m.String()))
	}
	lines = append(lines, "default_sender: "+yamlQuote(p.sender().String()), "aliases:",
		"  root: "+yamlQuote(p.root().String())+"   # who reads the mail for root")
	lines = append(lines, "", "Then, on the relay:  graphrelay verify --to ADMIN --wait 2h")
	for _, l := range lines {
		before, after, isApp := strings.Cut(l, "@APP@")
		if isApp && after == "" {
			s.ps = append(s.ps, "Write-Host ("+psQuote(before)+" + $AppId)")
			s.sh = append(s.sh, `printf '%s%s\n' `+shQuote(before)+` "$APP_ID"`)
			continue
		}
		s.ps = append(s.ps, "Write-Host "+psQuote(l))
		s.sh = append(s.sh, `printf '%s\n' `+shQuote(l))
	}
	return s
}
