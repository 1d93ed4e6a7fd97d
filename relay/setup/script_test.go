package setup_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/e2e/rehearsal"
	"graphrelay/relay/envelope"
	"graphrelay/relay/setup"
)

func plan(t testing.TB, mailboxes int) setup.Plan { return rehearsal.Plain(t, mailboxes) }

// everyPlan calls do with each kind of script, for each credential, for 1 and 30
// mailboxes, with plain and with hostile names.
func everyPlan(t *testing.T, do func(t *testing.T, p setup.Plan, script string)) {
	t.Helper()
	for name, p := range rehearsal.Plans(t) {
		t.Run(name, func(t *testing.T) {
			script, err := setup.Script(p)
			if err != nil {
				t.Fatal(err)
			}
			do(t, p, script)
		})
	}
}

// Every script for the shell is one for the shell, and no value escapes: run
// with commands that do nothing, it prints the values as they are.
func TestShellScripts(t *testing.T) {
	everyPlan(t, func(t *testing.T, p setup.Plan, script string) {
		if p.Shell != setup.Az {
			return
		}
		dir := t.TempDir()
		file := filepath.Join(dir, "setup.sh")
		if err := os.WriteFile(file, []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("sh", "-n", file).CombinedOutput(); err != nil {
			t.Fatalf("%v %s\n%s", err, out, script)
		}
		runMocked(t, p, dir, file)
	})
}

// runMocked runs a script with az, pwsh, openssl and sleep that only take notes.
func runMocked(t *testing.T, p setup.Plan, dir, file string) {
	t.Helper()
	notes := filepath.Join(dir, "notes")
	for name, body := range map[string]string{
		"az": "case \"$*\" in *'app list'*|*'credential list'*|*appRoleAssignments*) ;; *servicePrincipalType*) " +
			"printf 'ManagedIdentity\\n%s\\n' 44444444-4444-4444-4444-444444444444;; *'sp show'*) echo " +
			"44444444-4444-4444-4444-444444444444;; *tenantId*) echo 11111111-1111-1111-1111-111111111111;; " +
			"*user.name*) echo \"o'admin@contoso.com\";; *) echo 33333333-3333-3333-3333-333333333333;; esac\n" +
			"printf 'az %s\\n' \"$*\" >>\"$LOG\"",
		"pwsh": "printf 'pwsh\\n' >>\"$LOG\"; for f; do :; done; cat \"$f\" \"$NOTES\" >>\"$LOG\"; " +
			"echo Tested=1 >>\"$NOTES\"",
		"openssl": "echo sha1 Fingerprint=AA:BB",
		"sleep":   "printf 'sleep %s\\n' \"$1\" >>\"$LOG\"",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("sh", file)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + dir + ":/usr/bin:/bin", "LOG=" + notes, "HOME=/expanded"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	b, err := os.ReadFile(notes)
	if err != nil {
		t.Fatal(err)
	}
	said := string(out) + string(b)
	if strings.Contains(said, "/expanded") || strings.Contains(said, "uid=") {
		t.Errorf("a value was expanded:\n%s", said)
	}
	if p.Task == setup.Create && p.Credential != setup.Managed &&
		!strings.Contains(said, "--display-name "+p.App+" ") && !strings.Contains(said, "credential list --id 3333") {
		t.Errorf("the name did not arrive as it is:\n%s", said)
	}
	for _, m := range p.Mailboxes {
		if p.Task != setup.Undo && !strings.Contains(string(out),
			strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(m.String())) {
			t.Errorf("mailbox %s is not printed as it is", m)
		}
	}
}

// No minute in which the app may send as everybody: what opens comes after what
// closes, in the order of the script.
func TestOrderOfSteps(t *testing.T) {
	order := func(p setup.Plan, marks ...string) {
		t.Helper()
		script, err := setup.Script(p)
		if err != nil {
			t.Fatal(err)
		}
		at := -1
		for _, m := range marks {
			i := strings.Index(script[at+1:], m)
			if i < 0 {
				t.Fatalf("%s %s: %q does not come after what is before it in %q", p.Method, p.Task, m, marks)
			}
			at += 1 + i
		}
	}
	for _, shell := range []setup.Shell{setup.PowerShell, setup.Az} {
		p := plan(t, 2)
		p.Shell = shell
		consent, unconsent := "New-MgServicePrincipalAppRoleAssignment", "Remove-MgServicePrincipalAppRoleAssignment"
		wait, removed, tested := "Wait-Since 'Changed' 90", "Set-Note 'Removed' (Get-Now)", "Get-Note 'Tested'"
		long, tokens := "Wait-Since 'Changed' 120", "Wait-Since 'Removed' 120" // the second is of PowerShell in both
		if shell == setup.Az {
			consent, unconsent, wait, long = "--method post", "--method delete", "wait_since Changed 90",
				"wait_since Changed 120"
			removed, tested = "set_note Removed", "note Tested"
		}
		p.Method = setup.Policy
		order(p, "New-ApplicationAccessPolicy", "Test-ApplicationAccessPolicy", tested, wait, consent)
		p.Task = setup.Undo
		order(p, removed, unconsent, tokens, "Remove-ApplicationAccessPolicy", "Remove-DistributionGroup")
		p.Method, p.Task = setup.RBAC, setup.Create
		order(p, "With them nothing is restricted", "New-ManagementScope", "New-ManagementRoleAssignment",
			"Test-ServicePrincipalAuthorization")
		p.Task = setup.Undo
		order(p, unconsent, "Remove-ManagementRoleAssignment", "Remove-ManagementScope", tokens,
			"Remove-ApplicationAccessPolicy", "Remove-DistributionGroup")
		p.Task = setup.Migrate
		order(p, "New-ManagementRoleAssignment", "Test-ServicePrincipalAuthorization", tested, long, removed, unconsent,
			tokens, "Remove-ApplicationAccessPolicy")
	}
}

// Windows PowerShell reads a script without a byte order mark in the machine's
// code page: there the second octet of Ñ is a quote that ends a string, and what
// follows would run. So whatever PowerShell reads is ASCII.
func TestPowerShellIsASCII(t *testing.T) {
	everyPlan(t, func(t *testing.T, p setup.Plan, script string) {
		if p.Shell == setup.Az {
			_, script, _ = strings.Cut(script, "<<'END_OF_EXCHANGE'")
			script, _, _ = strings.Cut(script, "\nEND_OF_EXCHANGE\n")
		}
		for i := range len(script) {
			if script[i] > '~' {
				t.Fatalf("an octet %#x: %s", script[i], script[max(0, i-40):i])
			}
		}
	})
	p := plan(t, 1)
	p.App = "\u00d1and\u00fa's \U0001f600"
	script, err := setup.Script(p)
	if err != nil {
		t.Fatal(err)
	}
	want := `$AppName = ('' + [char]0x00D1 + 'and' + [char]0x00FA + '''s ' + [char]0xD83D + [char]0xDE00 + '')`
	if !strings.Contains(script, want+"\n") {
		t.Errorf("not %s in:\n%s", want, script)
	}
}

// The RBAC route consents to nothing, and a role never goes without a scope.
func TestRBACConsentsToNothing(t *testing.T) {
	everyPlan(t, func(t *testing.T, p setup.Plan, script string) {
		if p.Method == setup.RBAC &&
			(strings.Contains(script, "New-MgServicePrincipalAppRoleAssignment") ||
				strings.Contains(script, "--method post")) {
			t.Error("it consents")
		}
		for line := range strings.Lines(script) {
			scope := "-CustomResourceScope $ScopeName"
			if strings.Contains(line, "canary Mail.ReadBasic") {
				scope = "-Role 'Application Mail.ReadBasic' -CustomResourceScope $CanaryScope }"
			}
			if strings.Contains(line, "New-ManagementRoleAssignment") && !strings.Contains(line, scope) {
				t.Errorf("a role without scope: %s", line)
			}
			if strings.Contains(line, "New-MgApplication ") && !strings.Contains(line, "AzureADMyOrg") {
				t.Errorf("not single tenant: %s", line)
			}
		}
	})
}

func TestReadWriteOnlyWhereItIsNeeded(t *testing.T) {
	for _, method := range []setup.Method{setup.RBAC, setup.Policy} {
		p := plan(t, 1)
		p.Method = method
		without, err := setup.Script(p)
		if err != nil {
			t.Fatal(err)
		}
		p.ReadWrite = true
		with, err := setup.Script(p)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(without, "Mail.ReadWrite") || !strings.Contains(with, "Mail.ReadWrite") {
			t.Error(method)
		}
	}
}

// TestSubmissionOnlyWhereItIsNeeded: its role and SMTP AUTH, and never beside an access
// policy, which does not restrict it.
func TestSubmissionOnlyWhereItIsNeeded(t *testing.T) {
	p := plan(t, 2)
	without, err := setup.Script(p)
	if err != nil {
		t.Fatal(err)
	}
	p.Submit = true
	with, err := setup.Script(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"SMTP.SendAsApp", "Set-CASMailbox"} {
		if strings.Contains(without, word) || !strings.Contains(with, word) {
			t.Error(word)
		}
	}
	p.Method = setup.Policy
	if _, err := setup.Script(p); err == nil || !strings.Contains(err.Error(), "leave out --method policy") {
		t.Error(err)
	}
}

// Bounces ask for the right of their mode, and for none where Mail.ReadWrite is there anyway.
func TestTheRightOfBounces(t *testing.T) {
	for _, method := range []setup.Method{setup.RBAC, setup.Policy} {
		for _, c := range []struct {
			bounces   string
			readWrite bool
			want      string
		}{{"", false, ""}, {"Mail.ReadBasic", false, "Mail.ReadBasic"}, {"Mail.Read", false, "Mail.Read"},
			{"Mail.Read", true, "Mail.ReadWrite"}} {
			p := plan(t, 1)
			p.Method, p.Bounces, p.ReadWrite = method, c.bounces, c.readWrite
			script, err := setup.Script(p)
			if err != nil {
				t.Fatal(err)
			}
			for _, right := range []string{"Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite"} {
				named := regexp.MustCompile(`\b` + regexp.QuoteMeta(right) + `\b`).MatchString(script)
				if named != (right == c.want) {
					t.Errorf("%s with %+v: %s is named: %v", method, c, right, named)
				}
			}
		}
	}
}

// The canary needs a right of its own but where the app reads its mailbox anyway.
func TestTheRightOfTheCanary(t *testing.T) {
	for name, c := range map[string]struct {
		method    setup.Method
		other     bool // it is in a mailbox that nobody sends from
		bounces   string
		readWrite bool
		want      bool
	}{
		"another mailbox":                      {method: setup.RBAC, other: true, want: true},
		"another mailbox, and bounces":         {method: setup.RBAC, other: true, bounces: "Mail.Read", want: true},
		"another mailbox, and lookup":          {method: setup.RBAC, other: true, readWrite: true, want: true},
		"a sending mailbox":                    {method: setup.RBAC, want: true},
		"a sending mailbox, and bounces":       {method: setup.RBAC, bounces: "Mail.Read"},
		"a sending mailbox, and lookup":        {method: setup.RBAC, readWrite: true},
		"by policy, a sending mailbox":         {method: setup.Policy, want: true},
		"by policy, sending, and bounces":      {method: setup.Policy, bounces: "Mail.Read"},
		"by policy, a sending one, and lookup": {method: setup.Policy, readWrite: true},
	} {
		p := plan(t, 2)
		p.Method, p.Bounces, p.ReadWrite, p.Canary = c.method, c.bounces, c.readWrite, p.Mailboxes[1]
		if c.other {
			p.Canary = rehearsal.Address(t, "check@contoso.com")
		}
		script, err := setup.Script(p)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(script, "Mail.ReadBasic"); got != c.want {
			t.Errorf("%s: the right is asked for: %v", name, got)
		}
	}
}

// A script logs in to the cloud of the configuration, everywhere where it logs
// in, and calls no host of another one.
func TestScriptsForNationalClouds(t *testing.T) {
	for cloud, want := range map[string][3]string{
		"usgov":     {"-Environment USGov", "-ExchangeEnvironmentName O365USGovGCCHigh", "AzureUSGovernment"},
		"usgov-dod": {"-Environment USGovDoD", "-ExchangeEnvironmentName O365USGovDoD", ""},
		"china":     {"-Environment China", "-ExchangeEnvironmentName O365China", "AzureChinaCloud"},
		"public":    {"-NoWelcome", "", "none"},
	} {
		everyPlan(t, func(t *testing.T, p setup.Plan, _ string) {
			p.Cloud = cloud
			if cloud != "public" {
				p.GraphURL = "https://graph.example"
			}
			script, err := setup.Script(p)
			if p.Shell == setup.Az && want[2] == "" {
				if err == nil || !strings.Contains(err.Error(), "--shell powershell") {
					t.Error(err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(script) {
				line = strings.TrimSuffix(strings.TrimSpace(line), " -UseDeviceCode")
				line = strings.TrimSuffix(line, " -DisableWAM")
				if strings.HasPrefix(line, "Connect-MgGraph") && !strings.HasSuffix(line, want[0]) ||
					strings.HasPrefix(line, "Connect-ExchangeOnline") && !strings.HasSuffix(line, want[1]) {
					t.Errorf("%s: %s", cloud, line)
				}
			}
			if strings.Contains(script, "were not tried in this cloud") != (cloud != "public") || cloud != "public" &&
				strings.Contains(script, "graph.microsoft.com") {
				t.Errorf("%s: its note, or a host of another cloud:\n%s", cloud, script)
			}
			if p.Shell == setup.Az &&
				strings.Contains(script, "\n  az cloud set --name "+want[2]+"\n") != (cloud != "public") {
				t.Errorf("%s: az is not told of it", cloud)
			}
		})
	}
}

// Every cmdlet and parameter stands in the list, and everything in the list is
// used.
func TestCmdletsAreDocumented(t *testing.T) {
	known, used := cmdlets(t), map[string]bool{}
	cmdlet := regexp.MustCompile(`\b[A-Z][A-Za-z]*-[A-Z][A-Za-z]+\b`)
	parameter := regexp.MustCompile(`(?:^|\s)-([A-Z][A-Za-z]*)`)
	own := regexp.MustCompile(`function ([A-Za-z-]+)`)
	everyPlan(t, func(t *testing.T, p setup.Plan, script string) {
		for _, m := range own.FindAllStringSubmatch(script, -1) {
			known[m[1]] = []string{"*"}
		}
		strs := regexp.MustCompile(`'(?:[^'\n]|'')*'|"[^"\n]*"`)
		for line := range strings.Lines(strs.ReplaceAllString(script, "''")) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "#") && !strings.Contains(line, "Set-ExecutionPolicy -Scope") &&
				!strings.Contains(line, "Unblock-File -") ||
				strings.HasPrefix(line, "param(") {
				continue
			}
			for _, piece := range regexp.MustCompile(`[|;(){}]`).Split(line, -1) {
				name := cmdlet.FindString(piece)
				if name == "" {
					continue
				}
				if _, ok := known[name]; !ok {
					t.Errorf("%s is not in testdata/cmdlets.txt: %s", name, line)
				}
				used[name] = true
				for _, m := range parameter.FindAllStringSubmatch(piece, -1) {
					if !slices.Contains(known[name], m[1]) && !slices.Contains(known["*"], m[1]) {
						t.Errorf("%s has no -%s: %s", name, m[1], line)
					}
				}
			}
		}
	})
	for name := range known {
		if name != "*" && !used[name] {
			t.Errorf("%s is in the list and not used", name)
		}
	}
}

func cmdlets(t *testing.T) map[string][]string {
	t.Helper()
	b, err := os.ReadFile("testdata/cmdlets.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string][]string{}
	for line := range strings.Lines(string(b)) {
		line, source, _ := strings.Cut(line, " # ")
		if words := strings.Fields(line); len(words) > 0 && words[0] != "#" {
			if known[words[0]] = words[1:]; strings.TrimSpace(source) == "" {
				t.Errorf("%s has no source", words[0])
			}
		}
	}
	return known
}

func TestPlansThatCannotBe(t *testing.T) {
	for name, change := range map[string]func(*setup.Plan){
		"no mailbox": func(p *setup.Plan) { p.Mailboxes = nil },
		"a canary by a policy": func(p *setup.Plan) {
			p.Method, p.Canary = setup.Policy, rehearsal.Address(t, "check@contoso.com")
		},
		"a line end":        func(p *setup.Plan) { p.App = "a\nRemove-Everything" },
		"hidden direction":  func(p *setup.Plan) { p.App = "a\u202eb" },
		"an empty name":     func(p *setup.Plan) { p.App = "" },
		"a denied wildcard": func(p *setup.Plan) { p.Denied = rehearsal.Address(t, "*@contoso.com") },
		"hidden in a path":  func(p *setup.Plan) { p.File = "/etc/\u202emep.artne" },
		"denied = allowed":  func(p *setup.Plan) { p.Denied = p.Mailboxes[0] },
		"no denied mailbox": func(p *setup.Plan) { p.Denied = envelope.Address{} },
		"a long name":       func(p *setup.Plan) { p.App = strings.Repeat("\u00e4", 38) },
		"mailbox: self": func(p *setup.Plan) {
			p.Wildcards = []envelope.Address{rehearsal.Address(t, "*@contoso.com")}
		},
		"no UPN":           func(p *setup.Plan) { p.Admin = "admin" },
		"a wildcard group": func(p *setup.Plan) { p.Group = rehearsal.Address(t, "*@contoso.com") },
		"a wildcard owner": func(p *setup.Plan) {
			p.Owners = []envelope.Address{rehearsal.Address(t, "*@contoso.com")}
		},
		"too many days":          func(p *setup.Plan) { p.SentItemsDays = 24856 },
		"days in an undo":        func(p *setup.Plan) { p.SentItemsDays, p.Task = 1, setup.Undo },
		"a nameless undo":        func(p *setup.Plan) { p.ClientID, p.Task = "", setup.Undo },
		"migrate a policy":       func(p *setup.Plan) { p.Task, p.Method = setup.Migrate, setup.Policy },
		"a cloud without a name": func(p *setup.Plan) { p.Cloud = "bleu" },
		"unknown cloud":          func(p *setup.Plan) { p.Cloud = "mars" },
		"az without Graph":       func(p *setup.Plan) { p.Cloud, p.Shell = "china", setup.Az },
	} {
		p := plan(t, 1)
		change(&p)
		if script, err := setup.Script(p); script != "" || err == nil || !strings.Contains(err.Error(), ": ") &&
			!strings.Contains(err.Error(), ";") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
