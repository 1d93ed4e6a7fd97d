package setup

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

// steps are those of the task, in the order that never leaves the application
// unrestricted.
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
			p.removeConsent(),
			p.waitForTokens("the policy goes"), p.removePolicy(), p.copyBack()}
	}
	if p.Method == Policy {
		return []step{p.register(), p.noConsentYet(), p.group(), p.canary(), p.policy(), p.testPolicy(), p.retention(),
			p.waitForPolicy(), p.consent(), p.copyBack()}
	}
	return []step{p.register(), p.noConsent(), p.pointer(), p.group(), p.canary(), p.role(), p.testRole(),
		p.retention(), p.copyBack()}
}

func (p Plan) register() step {
	return step{
		title: "App registration (single tenant), certificate and service principal",
		why: []string{"Nothing is consented here: the app can log in, but do nothing.",
			"A certificate that is already there is not uploaded again; others stay."},
		ps: part("register.ps1"),
		sh: part("register.sh"),
	}
}

// find finds an existing app.
func (p Plan) find() step {
	return step{
		title: "Find the app and its service principal",
		ps:    part("find.ps1"),
		sh:    part("find.sh"),
	}
}

// noConsent guards the RBAC route: a consent in Entra adds to the role, and then
// nothing is restricted.
func (p Plan) noConsent() step {
	return step{
		title: "No consent for mail may remain in Entra",
		why: []string{"Consents and roles add up: if Mail.Send is consented for the organisation, the scope below " +
			"restricts nothing.",
			"Nothing is removed here, because it may be in use: see `graphrelay setup --migrate`."},
		ps: part("consents.ps1", "no_consent.ps1"),
		sh: part("consents.sh", "no_consent.sh"),
	}
}

// noConsentYet warns if the consent came before the policy.
func (p Plan) noConsentYet() step {
	return step{
		title: "Is it consented already?",
		why: []string{"The consent comes last. If it is there before the policy has reached Graph, the app can " +
			"send as everybody until then."},
		ps: part("consents.ps1", "no_consent_yet.ps1"),
		sh: part("consents.sh", "no_consent_yet.sh"),
	}
}

func (p Plan) consent() step {
	s := step{
		title: "Consent, last of all",
		why:   []string{"The policy has been tested and has had time to reach Graph. Only now may the app send."},
		ps:    part("consent.ps1"),
		sh:    part("consent.sh"),
	}
	for _, perm := range p.permissions() {
		s.ps = append(s.ps, fill("grant.ps1", "@ID@", perm.id, "@NAME@", perm.name)...)
		s.sh = append(s.sh, fill("grant.sh", "@ID@", perm.id, "@NAME@", perm.name)...)
	}
	return s
}

func (p Plan) removeConsent() step {
	return step{
		title: "Remove the consents for mail",
		why: []string{"Before the policy that narrows them: in the other order, the app could send as everybody in " +
			"between."},
		ps: part("consents.ps1", "remove_consent.ps1"),
		sh: part("consents.sh", "remove_consent.sh"),
	}
}

func (p Plan) removeApp() step {
	return step{
		title: "Remove the app registration",
		why: []string{"Stop the relay first. The app can be restored in the portal for 30 days. Mailboxes, " +
			"including the canary, and retention policies stay."},
		ps: []string{`Remove-MgApplication -ApplicationId $app.Id`},
		sh: []string{`az ad app delete --id "$APP_ID"`},
	}
}
