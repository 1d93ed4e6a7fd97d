package sandbox_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/sandbox"
)

const (
	group   = "senders@contoso.com"
	canary  = "denied@contoso.com"
	noRecip = "From: relay@contoso.com\r\nSubject: probe\r\n\r\nnobody gets this\r\n"
)

// sent is the status and the text of sending as a mailbox with a fresh token.
func sent(t *testing.T, d *sandbox.Double, from string) (int, string) {
	t.Helper()
	mail := strings.ReplaceAll(simple, "relay@contoso.com", from)
	g := post(t, d, from, tokenFor(t, d), mail)
	return g.status, string(g.body)
}

func TestAccessRules(t *testing.T) {
	consent := []string{"Mail.Send"}
	groups := map[string][]string{group: {mailbox, "nested@contoso.com"}, "nested@contoso.com": {"deep@contoso.com"}}
	restrict := []sandbox.AccessPolicy{{Right: "RestrictAccess", Scope: group}}
	role := []sandbox.RoleAssignment{{Role: "Application Mail.Send", Scope: group}}
	const raop, denied = "[RAOP]", "Access is denied."
	for _, tc := range []struct {
		name   string
		access sandbox.Access
		from   string
		refuse string // "" is 202
	}{
		{"nothing set up", sandbox.Access{}, mailbox, denied},
		{"consent alone opens every mailbox", sandbox.Access{Consents: consent}, canary, ""},
		{"a policy grants its members", sandbox.Access{Consents: consent, Groups: groups, Policies: restrict},
			mailbox, ""},
		{"nested members too", sandbox.Access{Consents: consent, Groups: groups, Policies: restrict},
			"deep@contoso.com", ""},
		{"and denies the others", sandbox.Access{Consents: consent, Groups: groups, Policies: restrict}, canary, raop},
		{"a policy grants nothing without consent", sandbox.Access{Groups: groups, Policies: restrict},
			mailbox, denied},
		{"a deny wins", sandbox.Access{Consents: consent, Groups: groups,
			Policies: append([]sandbox.AccessPolicy{{Right: "DenyAccess", Scope: mailbox}},
				restrict...)}, mailbox, raop},
		{"a role grants its members", sandbox.Access{Groups: groups, Assignments: role}, mailbox, ""},
		{"direct ones only", sandbox.Access{Groups: groups, Assignments: role}, "deep@contoso.com", denied},
		{"and no others", sandbox.Access{Groups: groups, Assignments: role}, canary, denied},
		{"a left-over consent adds up with it",
			sandbox.Access{Consents: consent, Groups: groups, Assignments: role}, canary, ""},
		{"a role counts whatever the policy",
			sandbox.Access{Consents: consent,
				Policies: []sandbox.AccessPolicy{{Right: "RestrictAccess",
					Scope: canary}},
				Assignments: []sandbox.RoleAssignment{{Role: "Application Mail Full Access", Scope: mailbox}}}, mailbox,
			""},
		{"a role to read does not send",
			sandbox.Access{Assignments: []sandbox.RoleAssignment{{Role: "Application Mail.Read"}}}, mailbox, denied},
		{"no consent opens an administrator's mailbox",
			sandbox.Access{Consents: consent, Administrators: []string{canary}}, canary, raop},
		{"a newer tenant is closed to consents", sandbox.Access{Consents: consent, ClosedByDefault: true},
			mailbox, raop},
		{"and open to roles",
			sandbox.Access{Consents: consent, ClosedByDefault: true, Groups: groups, Assignments: role}, mailbox, ""},
		{"a mailbox on-premises", sandbox.Access{Consents: consent, OnPremises: []string{"Relay@contoso.com"}}, mailbox,
			"MailboxNotEnabledForRESTAPI"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := start(t, sandbox.Options{})
			if err := d.SetAccess(tc.access, 0); err != nil {
				t.Fatal(err)
			}
			status, body := sent(t, d, tc.from)
			if tc.refuse == "" && status != http.StatusAccepted ||
				tc.refuse != "" && (status == http.StatusAccepted || !strings.Contains(body, tc.refuse)) {
				t.Errorf("%d %s, want %q", status, body, tc.refuse)
			}
		})
	}
}

// A change of Exchange reaches Graph late; a consent with the next token.
func TestAccessPropagates(t *testing.T) {
	d := start(t, sandbox.Options{})
	if err := d.SetAccess(sandbox.Access{Consents: []string{"Mail.Send"}}, 0); err != nil {
		t.Fatal(err)
	}
	old := tokenFor(t, d)
	restricted := sandbox.Access{Consents: []string{"Mail.Send"},
		Policies: []sandbox.AccessPolicy{{Right: "RestrictAccess", Scope: mailbox}}}
	if err := d.SetAccess(restricted, time.Hour); err != nil {
		t.Fatal(err)
	}
	if v := d.Test(canary); v.Policy != "Denied" {
		t.Errorf("the test cmdlet waits: %+v", v)
	}
	if status, body := sent(t, d, canary); status != http.StatusAccepted {
		t.Errorf("before: %d %s", status, body)
	}
	d.Advance(59 * time.Minute)
	if status, _ := sent(t, d, canary); status != http.StatusAccepted {
		t.Error("a minute early:", status)
	}
	d.Advance(time.Minute)
	if status, _ := sent(t, d, canary); status != http.StatusForbidden {
		t.Error("after an hour:", status)
	}
	if err := d.SetAccess(sandbox.Access{}, 0); err != nil {
		t.Fatal(err)
	}
	d.Advance(-time.Hour) // the old token is alive again, with the consent it was issued under
	if g := post(t, d, mailbox, old, simple); g.status != http.StatusAccepted {
		t.Errorf("a token keeps its consents: %d %s", g.status, g.body)
	}
}

// What decides before the content is looked at can be seen with a message that
// nobody would get.
func TestProbeWithoutRecipient(t *testing.T) {
	d := start(t, sandbox.Options{})
	if err := d.SetAccess(sandbox.Access{Assignments: []sandbox.RoleAssignment{{Role: "Application Mail.Send",
		Scope: mailbox}}}, 0); err != nil {
		t.Fatal(err)
	}
	token := tokenFor(t, d)
	if g := post(t, d, mailbox, token, noRecip); g.status != http.StatusBadRequest ||
		g.code() != "ErrorInvalidRecipients" {
		t.Errorf("allowed: %d %s", g.status, g.body)
	}
	if g := post(t, d, canary, token, noRecip); g.status != http.StatusForbidden || g.code() != "ErrorAccessDenied" {
		t.Errorf("denied: %d %s", g.status, g.body)
	}
	if d.Count() != 0 {
		t.Error("a probe was recorded as a message")
	}
}

func TestAccessIsChecked(t *testing.T) {
	d := start(t, sandbox.Options{})
	for _, bad := range []sandbox.Access{
		{Policies: []sandbox.AccessPolicy{{Right: "Allow", Scope: group}}},
		{Policies: []sandbox.AccessPolicy{{Right: "DenyAccess"}}},
		{Assignments: []sandbox.RoleAssignment{{Role: "Mail.Send"}}},
		{Consents: []string{"Mail.Send", "mail.send"}},
		{Consents: []string{"Mail.Sned"}},
	} {
		if err := d.SetAccess(bad, 0); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if _, ok := d.Access(); ok {
		t.Error("a refused change is in force")
	}
}

func post(t *testing.T, d *sandbox.Double, from, token, mail string) got {
	t.Helper()
	return (&client{t, d, d.HTTPClient(), token}).send(from, mail)
}
