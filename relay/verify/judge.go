package verify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"graphrelay/relay/entra"
	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
)

// Evidence is everything that one round found out.
type Evidence struct {
	Credential    error             // why it cannot be used; nil if it can
	Login         *entra.LoginError // why there is no token; nil if there is one
	Stopped       error             // the round was interrupted
	Token         entra.TokenInfo
	Administrator envelope.Address // who gets the test mails; zero in an audit
	Allowed       []Trial
	Denied        []Trial
	Witnesses     []Trial            // open ones count, others prove nothing
	Readable      []envelope.Address // denied mailboxes that could be read
	Submittable   []envelope.Address // denied mailboxes as which it could log in to submission
	Unsubmitted   []Trial            // denied mailboxes of which that is not known, though it matters
	Unread        []Trial            // denied mailboxes of which that is not known, though it matters
}

// Trial is the result of trying one mailbox.
type Trial struct {
	Mailbox envelope.Address
	Answer  outcome.Answer
	Access  Access
}

// says writes what a trial showed: format takes the mailbox and the text of the
// answer.
func (t Trial) says(format string) string { return fmt.Sprintf(format, t.Mailbox, t.Answer.What()) }

func (t Trial) remedy() string { return cmp.Or(t.Answer.Advice, again) }

// again is the remedy where the service did not name one.
const again = "run it again in some minutes"

// Judge says what the evidence proves. It is pure.
func Judge(e Evidence) (v Verdict, text, remedy string, final bool) {
	if open := e.open(); len(open) > 0 {
		return NotRestricted, "the app may also use " + list(open), e.howToClose(), false
	}
	switch {
	case e.Credential != nil:
		return Unproven, "the credential cannot be used: " + e.Credential.Error(), "", true
	case e.Login != nil:
		a := e.Login.Answer
		return Unproven, "no token: " + a.What(), cmp.Or(a.Advice, again), a.Outcome == outcome.Hold
	case e.Stopped != nil:
		return Unproven, "interrupted: " + e.Stopped.Error(), "run it again", true
	}
	if t, ok := first(e.Allowed, func(t Trial) bool { return t.Access == Closed || t.Access == Missing }); ok {
		return SenderRefused, t.says("%s: %s"), t.Answer.Advice, false
	}
	if t, ok := first(e.Allowed, func(t Trial) bool { return t.Access != Open }); ok {
		return Unproven, t.says("sending as %s proved nothing: %s"), t.remedy(), false
	}
	return e.judgeDenied()
}

// judgeDenied decides where every allowed mailbox works.
func (e Evidence) judgeDenied() (v Verdict, text, remedy string, final bool) {
	const name = "write denied_mailbox with an existing, licensed, ordinary mailbox, or name it with --denied"
	switch {
	case len(e.Allowed) == 0 && !e.Administrator.IsZero():
		return Unproven, "no mailbox was tried", "name one that must be able to send with --allowed", true
	case len(e.Denied) == 0:
		return Unproven, "no mailbox is named that must be refused", name, true
	}
	for _, t := range e.Denied {
		switch {
		case t.Access == Missing:
			return Unproven, t.says("%s is not a mailbox that could be refused: %s"), name, false
		case t.Access != Closed:
			return Unproven, t.says("the answer for %s proves nothing: %s"), t.remedy(), false
		case e.administrators(t):
			return Unproven, t.Mailbox.String() + " looks like an administrator's mailbox, " +
				"which refuses every app whatever the policy", name, true
		}
	}
	if len(e.Unread) > 0 {
		t := e.Unread[0]
		return Unproven, t.says("it is not known whether %s can be read: %s"), t.remedy(), false
	}
	if len(e.Unsubmitted) > 0 {
		t := e.Unsubmitted[0]
		return Unproven, t.says("it is not known whether the app may submit as %s: %s"), t.remedy(), false
	}
	text = "refused for " + list(mailboxes(e.Denied))
	if len(e.Allowed) > 0 {
		text = "sends as " + list(mailboxes(e.Allowed)) + ", " + text
	}
	return Restricted, text, "", false
}

// administrators recognises a refusal that would come whatever the policy: some
// tenants let no application use the mailboxes of administrators. Graph does not
// say whose mailbox it is, so the name has to.
func (e Evidence) administrators(t Trial) bool {
	if !strings.Contains(t.Answer.Detail, policyBlock) {
		return false
	}
	local := strings.ToLower(t.Mailbox.Local())
	names := []string{"admin", "administrator", "globaladmin", "root", "sysadmin", "o365admin", "m365admin"}
	begins := func(prefix string) bool { return strings.HasPrefix(local, prefix) }
	return slices.Contains(names, local) || slices.ContainsFunc([]string{"admin.", "adm-", "admin-"}, begins) ||
		t.Mailbox.Equal(e.Administrator)
}

// open lists the mailboxes that should not have been usable.
func (e Evidence) open() []envelope.Address {
	var out []envelope.Address
	for _, t := range slices.Concat(e.Denied, e.Witnesses) {
		if t.Access == Open {
			out = append(out, t.Mailbox)
		}
	}
	for _, m := range slices.Concat(e.Readable, e.Submittable) {
		if !slices.ContainsFunc(out, m.Equal) {
			out = append(out, m)
		}
	}
	return out
}

// howToClose knows the usual causes by what the token says.
func (e Evidence) howToClose() string {
	if consents := Consents(e.Token.Roles); len(consents) > 0 {
		return fmt.Sprintf("the token carries %s, consented in Entra for the whole organisation: "+
			"with RBAC for Applications remove that consent, for the two add up; "+
			"with an access policy check its group, and wait: it takes an hour or more to reach Graph",
			strings.Join(consents, " and "))
	}
	if e.Token.Expires.IsZero() { // an audit does not look at the token
		return "run graphrelay verify --to ADMIN, which shows whether a consent in Entra, the group of an " +
			"access policy or the scope of a role is to blame, and correct it at once"
	}
	return "nothing is consented in Entra, so a role in Exchange reaches too far: " +
		"check the scope and the group's members " +
		"(Get-ManagementRoleAssignment -RoleAssignee), and wait: a change takes 30 minutes to 2 hours to reach Graph"
}

// Consents are those of a token's roles that let the application use mail in
// every mailbox, as far as no access policy narrows them.
func Consents(roles []string) []string {
	var out []string
	for _, r := range roles {
		if strings.HasPrefix(r, "Mail.") || r == "full_access_as_app" {
			out = append(out, r)
		}
	}
	return out
}

func first(trials []Trial, f func(Trial) bool) (Trial, bool) {
	i := slices.IndexFunc(trials, f)
	if i < 0 {
		return Trial{}, false
	}
	return trials[i], true
}

func mailboxes(trials []Trial) []envelope.Address {
	var out []envelope.Address
	for _, t := range trials {
		out = append(out, t.Mailbox)
	}
	return out
}

// list writes addresses as a sentence has them; a long list is cut.
func list(all []envelope.Address) string {
	const most = 3
	var words []string
	for i, a := range all {
		if i == most && len(all) > most+1 {
			words = append(words, fmt.Sprintf("%d more", len(all)-most))
			break
		}
		words = append(words, a.String())
	}
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
