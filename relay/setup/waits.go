package setup

import (
	"strconv"
	"strings"
)

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
	return step{
		title: title,
		why:   why,
		side:  onlyWait,
		ps:    fill("wait.ps1", values...),
		sh:    fill("wait.sh", values...),
	}
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
