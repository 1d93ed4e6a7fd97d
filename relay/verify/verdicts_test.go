package verify_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/sandbox"
	"graphrelay/relay/verify"
)

var update = flag.Bool("update", false,
	"rewrite the table of verdicts in packaging/doc/tenant-setup.md; then read the difference")

// scenario is a state of the tenant and of this host, and what it must lead to.
type scenario struct {
	name    string
	arrange func(x *tenant)
	verdict verify.Verdict
}

func scenarios() []scenario {
	return []scenario{
		{"nothing set up yet: no role, no consent", func(x *tenant) { x.set(sandbox.Access{}, 0) },
			verify.SenderRefused},
		{"unrestricted: `Mail.Send` consented, nothing narrows it",
			func(x *tenant) { x.set(sandbox.Access{Consents: []string{"Mail.Send"}}, 0) }, verify.NotRestricted},
		{"access policy right", func(x *tenant) { x.set(policy(sender), 0) }, verify.Restricted},
		{"access policy made, not yet effective", func(x *tenant) {
			x.set(sandbox.Access{Consents: []string{"Mail.Send"}}, 0)
			x.set(policy(sender), time.Hour)
		}, verify.NotRestricted},
		{"access policy right, consent missing", func(x *tenant) { a := policy(sender); a.Consents = nil; x.set(a, 0) },
			verify.SenderRefused},
		{"RBAC right", func(x *tenant) { x.set(role(sender), 0) }, verify.Restricted},
		{"RBAC assigned, not yet effective", func(x *tenant) { x.set(role(sender), 30*time.Minute) },
			verify.SenderRefused},
		{"RBAC, and a consent of `Mail.Send` left over",
			func(x *tenant) {
				a := role(sender)
				a.Consents = []string{"Mail.Send"}
				x.set(a,
					0)
			}, verify.NotRestricted},
		{"RBAC role without a scope", func(x *tenant) {
			x.set(sandbox.Access{Assignments: []sandbox.RoleAssignment{{Role: "Application Mail.Send"}}}, 0)
		}, verify.NotRestricted},
		{"wrong group: the sender is not in it", func(x *tenant) { x.set(role("scanner@contoso.com"), 0) },
			verify.SenderRefused},
		{"wrong group: the denied mailbox is in it", func(x *tenant) { x.set(policy(sender, canary), 0) },
			verify.NotRestricted},
		{"wrong tenant ID", func(x *tenant) { x.config.TenantID = "99999999-9999-9999-9999-999999999999" },
			verify.Unproven},
		{"wrong client ID", func(x *tenant) { x.config.ClientID = "99999999-9999-9999-9999-999999999999" },
			verify.Unproven},
		{"wrong client secret", func(x *tenant) {
			x.SetSecret("the-right-secret")
			x.write("secret.txt", []byte("another-secret\n"))
			x.config.CertificateFile, x.config.SecretFile = "", x.dir+"/secret.txt"
		}, verify.Unproven},
		{"certificate not uploaded", func(x *tenant) { x.newPair(time.Now(), 730) }, verify.Unproven},
		{"certificate expired", func(x *tenant) { x.upload(x.newPair(time.Now().AddDate(-1, 0, 0), 300)) },
			verify.Unproven},
		{"clock of this host 16 minutes behind", func(x *tenant) { x.Advance(16 * time.Minute) }, verify.Unproven},
		{"clock of this host 10 minutes ahead", func(x *tenant) { x.Advance(-10 * time.Minute) }, verify.Unproven},
		{"certificate file missing", func(x *tenant) { x.config.CertificateFile = "/nowhere/entra.pem" },
			verify.Unproven},
		{"sender's mailbox missing",
			func(x *tenant) { x.set(role(sender), 0); x.SetMailboxes([]string{canary, admin}) }, verify.SenderRefused},
		{"sender's mailbox on-premises",
			func(x *tenant) { a := role(sender); a.OnPremises = []string{sender}; x.set(a, 0) }, verify.SenderRefused},
		{"sender's address may not be sent as", func(x *tenant) {
			x.set(role(sender), 0)
			x.fault(sandbox.Fault{Endpoint: "sendMail", Mailbox: sender, Skip: 1, Status: 403,
				Code: "ErrorSendAsDenied", Message: "The user account which was used to submit this request does not " +
					"have the right to send mail on behalf of the specified sending account., Cannot submit message."})
		}, verify.SenderRefused},
		{"denied mailbox missing", func(x *tenant) { x.set(role(sender), 0); x.SetMailboxes([]string{sender, admin}) },
			verify.Unproven},
		{"denied mailbox on-premises",
			func(x *tenant) { a := role(sender); a.OnPremises = []string{canary}; x.set(a, 0) }, verify.Unproven},
		{"no denied mailbox named", func(x *tenant) { x.set(role(sender), 0); x.id.Denied = nil }, verify.Unproven},
		{"denied mailbox is an administrator's", func(x *tenant) {
			x.set(sandbox.Access{Consents: []string{"Mail.Send"}, Administrators: []string{admin}}, 0)
			x.id.Denied = []envelope.Address{address(x.t, admin)}
		}, verify.Unproven},
		{"`Mail.ReadWrite` consented, nothing narrows it",
			func(x *tenant) {
				a := role(sender)
				a.Consents = []string{"Mail.ReadWrite"}
				x.set(a,
					0)
			}, verify.NotRestricted},
		{"a proxy refuses in place of Graph", func(x *tenant) {
			x.set(role(sender), 0)
			x.fault(sandbox.Fault{Endpoint: "sendMail", Mailbox: canary, Status: 403,
				Body: "<html>blocked by policy</html>"})
		}, verify.Unproven},
		{"Graph is down for the denied mailbox", func(x *tenant) {
			x.set(role(sender), 0)
			x.fault(sandbox.Fault{Endpoint: "sendMail", Mailbox: canary, Status: 503})
		}, verify.Unproven},
	}
}

func (x *tenant) fault(f sandbox.Fault) {
	x.t.Helper()
	if err := x.Inject(f); err != nil {
		x.t.Fatal(err)
	}
}

// Each state leads to its verdict, and the manual shows the line as printed.
func TestVerdicts(t *testing.T) {
	table := "| What is so | What `graphrelay verify` prints | Exit |\n|---|---|---|\n"
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			x := newTenant(t)
			s.arrange(x)
			r := x.verify()
			if r.Verdict != s.verdict {
				t.Errorf("%s, want %s\n%+v", r.Line(), s.verdict, r.Findings)
			}
			if r.Verdict != verify.Restricted && r.Remedy == "" && s.name != "certificate file missing" {
				t.Errorf("no remedy: %s", r.Line())
			}
			onlyTestMails(t, x)
			table += fmt.Sprintf("| %s | `%s` | %d |\n", s.name, stable(r.Line()), r.Verdict.ExitCode())
		})
	}
	if !t.Failed() {
		checkManual(t, table)
	}
}

// onlyTestMails: whatever was found, mail went to the administrator alone, from
// allowed mailboxes alone, and says what it is.
func onlyTestMails(t *testing.T, x *tenant) {
	t.Helper()
	for _, m := range x.Messages() {
		if len(m.Recipients) != 1 || m.Recipients[0] != admin || m.Mailbox != sender ||
			!strings.Contains(m.Subject, "graphrelay verify") {
			t.Errorf("mail %q as %s to %v", m.Subject, m.Mailbox, m.Recipients)
		}
	}
}

// stable replaces what differs from run to run.
func stable(line string) string {
	for _, r := range []struct{ pattern, by string }{
		{` Trace ID: .*?Timestamp: [0-9: -]+Z`, ""},
		{`Current time: [0-9TZ:-]+`, "Current time: …"},
		{`(/tmp|/var)/[^ ]*/`, "…/"},
		{`until \d{4}-\d\d-\d\d|on \d{4}-\d\d-\d\d`, "on …"},
		{`\|`, `\|`},
	} {
		line = regexp.MustCompile(r.pattern).ReplaceAllString(line, r.by)
	}
	return line
}

const page = "../../packaging/doc/tenant-setup.md"

func checkManual(t *testing.T, table string) {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(b), "| What is so |")
	_, tail, more := strings.Cut(rest, "\n\n")
	if !found || !more {
		t.Fatalf("%s has no table that begins with | What is so | and ends in an empty line", page)
	}
	want := head + table + "\n" + tail
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(b) != want {
		t.Errorf("%s: the table of verdicts is not what is printed; run: go test ./relay/verify -run TestVerdicts "+
			"-update\n%s", page, table)
	}
}
