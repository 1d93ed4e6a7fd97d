// Package rehearsal runs the scripts that `graphrelay setup` prints, as their text
// is, against an imitated tenant: Entra and Exchange as the cmdlets see them, after
// Microsoft's documents, with the traps of its reports (a cmdlet that returns
// everything if it finds nothing, services that learn late of each other, a broken
// sign-in, limits on certificates, an organisation that was never customised). After
// every change and every wait it demands that the app reaches no mailbox but the
// relay's, at the worst: with old tokens, and with policies that have not reached
// Graph. What is left in the end is judged by the sandbox. Tests only.
package rehearsal

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"testing"

	"graphrelay/relay/envelope"
	"graphrelay/relay/setup"
)

// Hostile is a name with everything that means something to a shell.
const Hostile = "Bob's \"r\" $(id) `id` ${HOME} ’;exit #"

// Plain is a plan of an ordinary relay with so many mailboxes.
func Plain(t testing.TB, mailboxes int) setup.Plan {
	t.Helper()
	p := setup.Plan{
		Method: setup.RBAC, Shell: setup.PowerShell, Task: setup.Create, Credential: setup.Certificate,
		Identity: "contoso", App: "graphrelay",
		TenantID: "11111111-1111-1111-1111-111111111111", ClientID: "22222222-2222-2222-2222-222222222222",
		Certificate: "entra.cer", File: "/etc/graphrelay/entra.pem", Denied: Address(t, "denied@contoso.com"),
		Issuer: "https://issuer.example/", Subject: "system:serviceaccount:mail:relay",
	}
	for i := range mailboxes {
		local := fmt.Sprintf("o'brien+%d", i)
		if i%3 == 1 {
			local = fmt.Sprintf(`"a b$HOME %d `+"`id`"+`"`, i)
		}
		p.Mailboxes = append(p.Mailboxes, Address(t, local+"@contoso.com"))
	}
	return p
}

// Address parses an address.
func Address(t testing.TB, s string) envelope.Address {
	t.Helper()
	a, err := envelope.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Plans are all kinds of scripts: for each credential, method, shell and task, with 1 mailbox and a plain name, and
// with 30 mailboxes, a hostile name and every option.
func Plans(t testing.TB) iter.Seq2[string, setup.Plan] {
	return func(yield func(string, setup.Plan) bool) {
		for _, shell := range []setup.Shell{setup.PowerShell, setup.Az} {
			list := kinds(t)
			for _, name := range slices.Sorted(maps.Keys(list)) {
				p := list[name]
				p.Shell = shell
				full := Full(t, p)
				if !yield(string(shell)+" "+name+" 1", p) || !yield(string(shell)+" "+name+" 30", full) {
					return
				}
			}
		}
	}
}

// kinds are the combinations of credential, method and task.
func kinds(t testing.TB) map[string]setup.Plan {
	list := map[string]setup.Plan{}
	for _, credential := range []setup.Credential{setup.Certificate, setup.Secret, setup.Managed, setup.Workload} {
		for _, method := range []setup.Method{setup.RBAC, setup.Policy} {
			for _, task := range []setup.Task{setup.Create, setup.Undo, setup.Migrate} {
				if task == setup.Migrate && method == setup.Policy {
					continue
				}
				p := Plain(t, 1)
				p.Credential, p.Method, p.Task = credential, method, task
				list[fmt.Sprintf("%s %s %s", credential, method, task)] = p
			}
		}
	}
	return list
}

// Full is a plan with 30 mailboxes, hostile names and every option that it may have.
func Full(t testing.TB, p setup.Plan) setup.Plan {
	t.Helper()
	p.Mailboxes, p.App, p.Identity = Plain(t, 30).Mailboxes, Hostile, Hostile
	p.Denied, p.ReadWrite, p.Admin = Address(t, "o'denied@contoso.com"), true, "o'admin@contoso.com"
	p.Certificate, p.File = Hostile+"/entra.cer", Hostile+"/entra.pem"
	p.Issuer, p.Subject = "https://issuer.example/"+Hostile, Hostile
	if p.Task == setup.Create {
		p.SentItemsDays = 30
	}
	p.Submit = p.Method == setup.RBAC
	p.Canary = Address(t, "o'check@contoso.com")
	p.Renewal = p.Credential == setup.Certificate
	if p.Method == setup.Policy {
		p.Canary = p.Mailboxes[0]
		p.TenantID = "contoso.onmicrosoft.com"
		p.Group = Address(t, "o'group@contoso.com")
	} else {
		p.Cloud, p.GraphURL = "usgov", "https://graph.example"
		p.Owners = append(p.Owners, Address(t, "o'wner@contoso.com"), Address(t, "second@contoso.com"))
	}
	return p
}
