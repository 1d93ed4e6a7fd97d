package setup

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// side is where a step runs: no process does both, because the modules of Graph
// and of Exchange do not work in one.
type side string

const (
	inEntra    side = "Entra"    // with the Microsoft Graph modules, or az
	inExchange side = "Exchange" // with the Exchange Online module
	anywhere   side = ""
)

// Rights of Microsoft Graph that the person who runs a part is asked for.
const (
	readApps   = "Application.Read.All"
	writeApps  = "Application.ReadWrite.All"
	writeRoles = "AppRoleAssignment.ReadWrite.All"
)

// step is one piece of a script. Its commands are given for both shells if they
// differ: Exchange has only cmdlets.
type step struct {
	title string
	why   []string // comment lines
	side  side
	first both     // what is checked before the login
	ps    []string // PowerShell
	sh    []string // the same by az, for steps in Entra
	right string   // beyond readApps
}

// part is the steps of one process.
type part struct {
	side  side
	steps []step
}

// parts cuts the steps where another process must go on. A step that runs
// anywhere belongs to what is before it.
func (p Plan) parts() (list []part) {
	for _, one := range p.steps() {
		if len(list) == 0 || one.side != anywhere && one.side != list[len(list)-1].side {
			list = append(list, part{side: one.side})
		}
		last := &list[len(list)-1]
		last.steps = append(last.steps, one)
	}
	return list
}

// scopes are what a part asks Microsoft Graph for.
func (p part) scopes() []string {
	list := []string{readApps}
	for _, one := range p.steps {
		if one.right != "" {
			list = append(list, one.right)
		}
	}
	if slices.Contains(list, writeApps) {
		list = list[1:]
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// text is the step with its number and reasons.
func (s step) text(number int, commands []string) []string {
	head := append([]string{fmt.Sprintf("%d. %s", number, s.title)}, s.why...)
	return slices.Concat([]string{""}, comments(head...), commands)
}

func (s step) with(right string) step {
	s.right = right
	return s
}

// steps are those of the task, in the order that never leaves the application unrestricted.
func (p Plan) steps() (list []step) {
	switch {
	case p.Task == Undo:
		consents := p.removeConsent("With them the app could send as everybody once the restriction is gone.")
		list = []step{p.findIfThere(), consents, p.removeRoles(), p.removePolicy(), p.removeRetention(),
			p.smtpAuth(), p.removeGroup(), p.removeApp()}
	case p.Task == Migrate:
		list = []step{p.find(), p.customize(), p.pointer(), p.group(), p.denied(), p.role(), p.canary(), p.testRole(),
			p.smtpAuth(), p.removeConsentInTime(), p.removePolicy(), p.copyBack()}
	case p.Method == Policy:
		list = append(p.identify(), p.noConsentYet(), p.customize(), p.group(), p.denied(), p.policy(), p.testPolicy(),
			p.retention(), p.consent(), p.copyBack())
	default:
		list = append(p.identify(), p.noConsent(), p.customize(), p.pointer(), p.group(), p.denied(), p.role(),
			p.canary(), p.testRole(), p.smtpAuth(), p.retention(), p.copyBack())
	}
	return slices.DeleteFunc(list, func(s step) bool { return s.title == "" }) // not for this plan
}

// entra is a step in Entra, of fragments that both shells have.
func entra(names, title string, why ...string) step {
	s := step{title: title, why: why, side: inEntra}
	for name := range strings.FieldsSeq(names) {
		s.ps = append(s.ps, fragment(name+".ps1")...)
		s.sh = append(s.sh, fragment(name+".sh")...)
	}
	return s
}

func (p Plan) findIfThere() step {
	names := "app_if_there sp_if_there save_app"
	if p.Credential == Managed {
		names = "sp_if_there save_app"
	}
	return entra(names, "Find the app and its service principal, if they are still there")
}

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
		"The policy has been tested and has had time to reach Graph. Only now may the app send.").with(writeRoles)
	for _, perm := range p.permissions() {
		s.ps = append(s.ps, fill("grant.ps1", "@ID@", perm.id, "@NAME@", perm.name)...)
		s.sh = append(s.sh, fill("grant.sh", "@ID@", perm.id, "@NAME@", perm.name)...)
	}
	s.first = afterWait("90", "Microsoft: a policy takes longer than one hour, even if the test shows it right.")
	return s
}

func (p Plan) removeConsent(why ...string) step {
	return entra("consents remove_consent", "Remove the consents for mail", why...).with(writeRoles)
}

// removeConsentInTime waits until the role has reached Graph, so that mail goes on.
func (p Plan) removeConsentInTime() step {
	s := p.removeConsent("Before the policy that narrows them: in the other order, the app could send as everybody " +
		"in between.")
	s.first = afterWait("120", "A role takes 30 minutes to 2 hours. Mail continues under the consent and the policy.")
	return s
}

// afterWait lets a step begin only when what was changed in Exchange has passed its tests and had time to reach Graph.
func afterWait(minutes, why string) both {
	ps, sh := fragment("tested.ps1"), fragment("tested.sh")
	return both{append(append(ps, comments(why)...), "Wait-Since 'Changed' "+minutes),
		append(append(sh, comments(why)...), "wait_since Changed "+minutes)}
}

func (p Plan) removeApp() step {
	if p.Credential == Managed {
		return step{}
	}
	return entra("remove_app", "Remove the app registration", "Stop the relay first. The app can be restored in the "+
		"portal for 30 days. Mailboxes, including the denied one, stay.").with(writeApps)
}

// exchange is a step in Exchange of fragments that begin with its reasons.
func exchange(title string, names ...string) step {
	return step{title: title, side: inExchange, ps: fragment(names...)}
}

func (p Plan) customize() step {
	if p.Method == Policy && p.SentItemsDays == 0 {
		return step{}
	}
	return exchange("The organisation must allow roles and policies of its own", "customize.ps1")
}

// pointer registers the service principal in Exchange.
func (p Plan) pointer() step {
	return exchange("Register the service principal in Exchange", "pointer.ps1")
}

// group holds the mailboxes, shared ones among them: a policy cannot name a shared
// mailbox directly, and a role does not reach into nested groups.
func (p Plan) group() step {
	s := step{title: "A mail-enabled security group with exactly the mailboxes of the relay", side: inExchange}
	fresh := fragment("group_given.ps1")
	hide := comments("It is an existing group, of which only the members are changed.")
	if p.Group.IsZero() {
		owners := ""
		if len(p.Owners) > 0 {
			owners = " -ManagedBy " + psList(addresses(p.Owners))
		}
		s.why = []string{"Nobody can join or leave it, it accepts no mail from outside, address lists do not show it."}
		fresh, hide = fill("group_new.ps1", "@OWNERS@", owners), fragment("group_hidden.ps1")
	}
	s.ps = fill("group.ps1", "@NEW@", strings.Join(fresh, "\n  "), "@HIDE@", strings.Join(hide, "\n"))
	return s
}

func (p Plan) denied() step {
	return exchange("The denied mailbox: the app must not be able to use it", "denied.ps1")
}

// canary lets the app read one mailbox by a scope of its own, whether it sends as that or not.
func (p Plan) canary() step {
	if !p.readsCanary() {
		return step{}
	}
	s := exchange("The canary (audit.canary): the app may read headers in this mailbox", "canary.ps1")
	s.ps = append(s.ps, assign(p.roleName("canary Mail.ReadBasic"), canaryRole, "$CanaryScope")...)
	s.ps = append(s.ps, fill("test_canary.ps1", "@ROLE@", psQuote(canaryRole))...)
	return s
}

// assign gives the app a role in the mailboxes of a scope, which a variable names.
func assign(name, role, scope string) []string {
	return fill("assign.ps1", "@NAME@", psQuote(name), "@ROLE@", psQuote(role), "@SCOPE@", scope)
}

func (p Plan) role() step {
	s := exchange("Scope and role: this app, these mailboxes, no others", "role.ps1")
	for _, role := range p.roles() {
		s.ps = append(s.ps, assign(p.roleName(role), role, "$ScopeName")...)
	}
	return s
}

// testRole stops a migration whose mailboxes are not in scope, for what comes next takes them their consent.
func (p Plan) testRole() step {
	report := "Write-Warning"
	if p.Task == Migrate {
		report = "throw"
	}
	return step{title: "Test: InScope must be True for each mailbox, and False for the denied one", side: inExchange,
		ps: fill("test_role.ps1", "@REPORT@", report)}
}

func (p Plan) policy() step {
	return exchange("The access policy: this app, the members of the group, no one else", "policy.ps1")
}

func (p Plan) testPolicy() step {
	return exchange("Test: Granted for each mailbox, Denied for the denied one", "test_policy.ps1")
}

// retention keeps Sent Items, where every relayed message stays, from filling up, if asked for: it deletes mail.
func (p Plan) retention() step {
	if p.SentItemsDays == 0 {
		return step{}
	}
	days := strconv.Itoa(p.SentItemsDays)
	return step{title: "Sent Items: DELETE mail after " + days + " days", side: inExchange,
		ps: fill("retention.ps1", "@DAYS@", days)}
}

// smtpAuth switches SMTP AUTH on for the mailboxes, or leaves them to the organisation again.
func (p Plan) smtpAuth() step {
	switch {
	case !p.Submit:
		return step{}
	case p.Task == Undo:
		return exchange("Leave SMTP AUTH of the mailboxes to the organisation's setting", "no_smtp_auth.ps1")
	}
	return exchange("SMTP AUTH for exactly these mailboxes", "smtp_auth.ps1")
}

func (p Plan) removeRetention() step {
	return exchange("Give the mailboxes their retention policy back", "remove_retention.ps1")
}

func (p Plan) removeRoles() step {
	return exchange("Remove roles, scope and pointer, in whatever method they were set up", "remove_roles.ps1")
}

func (p Plan) removePolicy() step { return exchange("Remove the access policy", "remove_policy.ps1") }

func (p Plan) removeGroup() step {
	if !p.Group.IsZero() {
		return step{}
	}
	return exchange("Remove the group", "remove_group.ps1")
}

func (p Plan) sender() string { return cmp.Or(p.Sender, p.Mailboxes[0]).String() }
func (p Plan) root() string   { return cmp.Or(p.Root, p.Mailboxes[0]).String() }
