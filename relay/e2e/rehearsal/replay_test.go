package rehearsal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/e2e/rehearsal"
	"graphrelay/relay/setup"
	"graphrelay/relay/setup/certificate"
)

// print is the script of a plan.
func print(t testing.TB, p setup.Plan) string {
	t.Helper()
	script, err := setup.Script(p)
	if err != nil {
		t.Fatal(err)
	}
	return script
}

// world is a tenant with the mailboxes of a plan, its denied one and others.
func world(t testing.TB, p setup.Plan) *rehearsal.World {
	t.Helper()
	return rehearsal.WorldOf(t, p)
}

// cer is one certificate for all tests: making a key takes its time.
var cer = sync.OnceValue(func() []byte {
	pair, err := certificate.New(certificate.Request{Name: "graphrelay", Days: 730, Bits: 2048,
		Now: time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)})
	if err != nil {
		panic(err)
	}
	return pair.Cer
})

// run runs the script of a plan in its own shell.
func run(t testing.TB, w *rehearsal.World, p setup.Plan, dir string) error {
	t.Helper()
	if p.Shell == setup.PowerShell {
		return w.Run(print(t, p), nil)
	}
	file := filepath.Join(dir, p.Certificate)
	if _, err := os.Stat(file); err != nil {
		err := os.MkdirAll(filepath.Dir(file), 0o700)
		if err == nil {
			err = os.WriteFile(file, cer(), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return w.RunShell(dir, print(t, p))
}

// creations are the plans that set something up.
func creations(t testing.TB) map[string]setup.Plan {
	list := map[string]setup.Plan{}
	for name, p := range rehearsal.Plans(t) {
		if p.Task == setup.Create {
			list[name] = p
		}
	}
	return list
}

// Every script that sets up, run on a fresh tenant, ends restricted to the
// mailboxes of its plan; run again, also by another administrator, it changes
// nothing. On no second of the way does the app reach more.
func TestScriptsRestrictAFreshTenant(t *testing.T) {
	for name, p := range creations(t) {
		for _, worst := range []bool{false, true} {
			if p.Shell == setup.Az && worst != (len(p.Mailboxes) > 1) {
				continue // a process for each command takes its time
			}
			t.Run(fmt.Sprintf("%s %v", name, worst), func(t *testing.T) {
				w := world(t, p)
				w.NothingIsAll, w.RawKeyIDs, w.BrokenBroker = worst, worst && p.Shell == setup.PowerShell, worst
				if worst {
					w.Slow, w.MaxKeyLife = 4, 400*24*time.Hour
					w.Tenant.Dehydrate()
				}
				dir := t.TempDir()
				if err := run(t, w, p, dir); err != nil {
					t.Fatal(err)
				}
				w.Restricted(p)
				before := len(w.Changes)
				w.Admin = secondAdmin(p)
				if err := run(t, w, p, dir); err != nil {
					t.Fatal(err)
				}
				w.Restricted(p)
				again := w.Changes[before:]
				if len(again) > 0 && !slices.Equal(again, []string{"Set-RetentionPolicyTag"}) {
					t.Errorf("the second run changed: %v", again)
				}
			})
		}
	}
}

// secondAdmin is another person, where the plan does not name the one.
func secondAdmin(p setup.Plan) string {
	if p.Admin != "" {
		return p.Admin
	}
	return "second@contoso.com"
}

// Cut off after each of its changes, a script that is run again ends as if it had
// not been.
func TestScriptsContinueWhereTheyWereCut(t *testing.T) {
	for name, p := range creations(t) {
		fewer := p.Credential == setup.Secret || p.Credential == setup.Managed
		if p.Shell == setup.Az && (fewer || len(p.Mailboxes) > 1) {
			continue // a process for each command takes its time, and these change what the others change
		}
		if len(p.Mailboxes) > 1 {
			p.Mailboxes = p.Mailboxes[:3]
		}
		whole := world(t, p)
		if err := run(t, whole, p, t.TempDir()); err != nil {
			t.Fatal(name, err)
		}
		for cut := 1; cut <= len(whole.Changes); cut++ {
			w, dir := world(t, p), t.TempDir()
			w.CutAfter = cut
			if _ = run(t, w, p, dir); len(w.Changes) != cut {
				t.Errorf("%s is not cut after %d changes: %v", name, cut, w.Changes)
			}
			w.CutAfter = 0
			if err := again(t, w, p, dir); err != nil {
				t.Errorf("%s, cut after %s: %v", name, whole.Changes[cut-1], err)
				continue
			}
			w.Restricted(p)
		}
	}
}

// again runs a script that was cut, and skips the waits that may be skipped.
func again(t testing.TB, w *rehearsal.World, p setup.Plan, dir string) error {
	t.Helper()
	if p.Shell == setup.PowerShell {
		return w.Run(print(t, p), map[string]any{"SkipWait": true})
	}
	w.SkipWait = true
	return run(t, w, p, dir)
}

// Signed in to another tenant, or as another person, a script stops and changes
// nothing, in neither tenant.
func TestScriptsStopInTheWrongTenant(t *testing.T) {
	for name, p := range rehearsal.Plans(t) {
		if p.Shell == setup.Az && p.Credential != setup.Certificate {
			continue // they sign in alike
		}
		wrong := world(t, p)
		wrong.Other = rehearsal.NewTenant("99999999-9999-9999-9999-999999999999", "notifications@contoso.com")
		stops(t, name+" in another tenant", p, wrong)
		if p.Admin != "" {
			other := world(t, p)
			other.Admin = "somebody@contoso.com"
			stops(t, name+" as another person", p, other)
		}
	}
}

func stops(t *testing.T, name string, p setup.Plan, w *rehearsal.World) {
	t.Helper()
	err := run(t, w, p, t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "nothing was changed") &&
		!strings.Contains(err.Error(), "AADSTS50020") {
		t.Errorf("%s: it does not stop: %v", name, err)
	}
	if len(w.Changes) > 0 {
		t.Errorf("%s: it changed %v", name, w.Changes)
	}
}

// A tenant that is restricted by a policy is left as it is by a setup for RBAC, which
// stops at the consent; migrated, it ends with the role alone; undone, with nothing.
func TestScriptsMoveAndUndo(t *testing.T) {
	for _, credential := range []setup.Credential{setup.Certificate, setup.Secret, setup.Managed, setup.Workload} {
		for _, shell := range []setup.Shell{setup.PowerShell, setup.Az} {
			for _, full := range []bool{false, true} {
				if full && shell == setup.Az {
					continue
				}
				t.Run(fmt.Sprintf("%s %s %v", credential, shell, full),
					func(t *testing.T) { moveAndUndo(t, credential, shell, full) })
			}
		}
	}
}

func moveAndUndo(t *testing.T, credential setup.Credential, shell setup.Shell, full bool) {
	p := rehearsal.Plain(t, 2)
	p.Credential, p.Shell, p.Method, p.SentItemsDays, p.ReadWrite = credential, shell, setup.Policy, 30, full
	w, dir := world(t, p), t.TempDir()
	run := func(p setup.Plan) error {
		p.ClientID = w.ClientID(p)
		return run(t, w, p, dir)
	}
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(what, err)
		}
	}
	must("policy", run(p))
	w.Restricted(p)
	p.Method, p.SentItemsDays = setup.RBAC, 0
	before := len(w.Changes)
	if err := run(p); err == nil || !strings.Contains(err.Error(), "consents for mail") || len(w.Changes) != before {
		t.Errorf("beside a consent: %v, %v", err, w.Changes[before:])
	}
	p.Task = setup.Migrate
	must("migrate", run(p))
	w.Restricted(p)
	before = len(w.Changes)
	w.Admin = "second@contoso.com"
	must("migrate again", run(p))
	if again := w.Changes[before:]; len(again) > 0 {
		t.Errorf("the second migration changed: %v", again)
	}
	p.Task = setup.Undo
	must("undo", run(p))
	w.Gone(p)
	must("undo again", run(p))
	w.Gone(p)
}

// The canary is read by a right of its own, in its mailbox alone and for its headers: one of those that
// are sent as, another, and another than before.
func TestTheRightOfTheCanary(t *testing.T) {
	p := rehearsal.Plain(t, 2)
	w := world(t, p)
	for _, canary := range []string{p.Mailboxes[1].String(), "ceo@contoso.com", p.Mailboxes[0].String()} {
		p.Canary, p.ClientID = rehearsal.Address(t, canary), w.ClientID(p)
		if err := w.Run(print(t, p), map[string]any{"SkipWait": true}); err != nil {
			t.Fatal(err)
		}
		w.Restricted(p)
	}
	p.Canary = rehearsal.Address(t, "nobody@contoso.com")
	if err := w.Run(print(t, p), nil); err == nil || !strings.Contains(err.Error(), "There is no mailbox "+
		"nobody@contoso.com, which audit.canary names. Make it (a shared one will do)") {
		t.Errorf("without the mailbox: %v", err)
	}
	p.Task = setup.Undo
	if err := w.Run(print(t, p), nil); err != nil {
		t.Fatal(err)
	}
	w.Gone(p)
}

// A migration with a mailbox that is not in scope takes nothing away.
func TestMigrationStopsOutOfScope(t *testing.T) {
	p := rehearsal.Plain(t, 2)
	p.Method = setup.Policy
	w := world(t, p)
	if err := w.Run(print(t, p), nil); err != nil {
		t.Fatal(err)
	}
	p.Method, p.Task, p.ClientID = setup.RBAC, setup.Migrate, w.ClientID(p)
	w.OutOfScope = p.Mailboxes[1].String()
	err := w.Run(print(t, p), map[string]any{"SkipWait": true})
	if err == nil || !strings.Contains(err.Error(), "Not in scope yet: "+p.Mailboxes[1].String()) {
		t.Errorf("it does not stop: %v", err)
	}
	if slices.ContainsFunc(w.Changes, func(c string) bool { return strings.HasPrefix(c, "Remove-") }) {
		t.Errorf("something was removed: %v", w.Changes)
	}
	// Nor does the part alone, that would take the consents.
	err = w.Run(print(t, p), map[string]any{"Part": "3", "SkipWait": true})
	if err == nil || !strings.Contains(err.Error(), "run part 2 first") {
		t.Errorf("part 3 alone: %v", err)
	}
}

// An undo that was cut after each of its changes ends as if it had not been, whatever is
// skipped, and at no time is the app unrestricted.
func TestUndoIsNeverOpen(t *testing.T) {
	for _, method := range []setup.Method{setup.RBAC, setup.Policy} {
		p := rehearsal.Plain(t, 2)
		p.Method, p.SentItemsDays = method, 10
		for _, shell := range []setup.Shell{setup.PowerShell, setup.Az} {
			if shell == setup.Az && method == setup.RBAC {
				continue // the script is the same
			}
			for cut, ended := 1, false; cut < 30 && !ended; cut++ {
				ended = undoneIn(t, p, shell, cut)
			}
		}
	}
}

// undoneIn undoes the setup of a plan, cut off after so many changes, and again. It
// reports whether the first time came to its end.
func undoneIn(t *testing.T, p setup.Plan, shell setup.Shell, cut int) bool {
	t.Helper()
	w, dir := world(t, p), t.TempDir()
	if err := w.Run(print(t, p), nil); err != nil {
		t.Fatal(err)
	}
	p.Task, p.SentItemsDays, p.ClientID, p.Shell = setup.Undo, 0, w.ClientID(p), shell
	w.CutAfter = len(w.Changes) + cut
	ended := again(t, w, p, dir) == nil && !w.Cut()
	w.CutAfter = 0
	if err := again(t, w, p, dir); err != nil {
		t.Errorf("%s %s, cut after %d: %v", shell, p.Method, cut, err)
	}
	w.Gone(p)
	return ended
}

// byRole is the task of setting up by a role, where setup.Create is by a policy.
const byRole setup.Task = "create by a role"

// journeys are ways from a tenant to another, as the scripts that a function may have
// edited go: a setup by a policy, moved and undone; one that is undone at once; one by a
// role, undone; and one that somebody made by hand, moved.
func journeys(t testing.TB, edit func(task setup.Task, script string) string) {
	p := rehearsal.Plain(t, 2)
	for _, tasks := range [][]setup.Task{{setup.Create, setup.Migrate, setup.Undo}, {setup.Create, setup.Undo},
		{byRole, setup.Undo}, {setup.Migrate}} {
		w := world(t, p)
		w.Tenant.Dehydrate()
		if tasks[0] == setup.Migrate {
			w.ByHand(p)
		}
		for _, task := range tasks {
			travel(t, w, task, edit)
		}
	}
}

func travel(t testing.TB, w *rehearsal.World, task setup.Task, edit func(setup.Task, string) string) {
	p := rehearsal.Plain(t, 2)
	p.Task, p.Method, p.ClientID = task, setup.RBAC, w.ClientID(p)
	switch task {
	case setup.Create:
		p.Method, p.SentItemsDays = setup.Policy, 30
	case byRole:
		p.Task, p.Canary = setup.Create, rehearsal.Address(t, "ceo@contoso.com")
	}
	if err := w.Run(edit(task, print(t, p)), nil); err != nil {
		t.Fatal(task, err)
	}
	if task == setup.Undo {
		w.Gone(p)
		return
	}
	w.Restricted(p)
	if strings.Contains(strings.Join(w.Printed, "\n"), "Not in scope yet") {
		t.Error("a mailbox is said to be out of scope")
	}
}

// acting are the lines that change something, test it or wait for it. They are not
// those that only repeat a try, or that are for what this journey does not meet.
var acting = regexp.MustCompile(`^ +(\$[a-zA-Z]+ = )?(@\()?(Invoke-Patiently \{ )?(Set-Note 'Changed' \(Get-Now\); )?` +
	`(Set-Note 'Removed'|Set-Note 'Tested' \(|` +
	`(New|Add|Enable|Set-D|Set-Mailbox|Update-MgA|Remove|Wait|Test)[A-Za-z]*-?[A-Za-z]*)`)

// Each line that acts is taken out of each script, and the judge sees it every time.
func TestTheJudgeSeesWhatIsMissing(t *testing.T) {
	lines := map[setup.Task][]string{}
	journeys(t, func(task setup.Task, script string) string {
		for line := range strings.Lines(script) {
			if acting.MatchString(line) && !spare(line) && !(task == byRole && strings.Contains(line, "'Tested'")) {
				lines[task] = append(lines[task], line)
			}
		}
		return script
	})
	for task, list := range lines {
		for _, line := range list {
			seen := rehearsal.Seen(t, func(judge testing.TB) {
				journeys(judge, func(of setup.Task, script string) string {
					if of != task {
						return script
					}
					return strings.ReplaceAll(script, line, "\n")
				})
			})
			if !seen {
				t.Errorf("%s: nobody sees that this line is missing: %s", task, line)
			}
		}
	}
	if n := len(lines[setup.Create]) + len(lines[setup.Migrate]) + len(lines[setup.Undo]); n < 30 {
		t.Errorf("only %d lines act", n)
	}
	for _, cmdlet := range []string{"New-ServicePrincipal", "New-ManagementScope", "New-ManagementRoleAssignment",
		"New-DistributionGroup", "Add-DistributionGroupMember", "Test-ServicePrincipalAuthorization"} {
		for _, task := range []setup.Task{byRole, setup.Migrate} {
			if !slices.ContainsFunc(lines[task], func(l string) bool { return strings.Contains(l, cmdlet+" ") }) {
				t.Errorf("%s: no line of %s is taken out", task, cmdlet)
			}
		}
	}
}

// spare reports whether a line is for what the journey does not meet.
func spare(line string) bool {
	for _, s := range []string{"Update-MgApplication", "Set-Note 'Removed'", "Set-RetentionPolicyTag"} {
		if strings.Contains(line, s) {
			return true
		}
	}
	return false
}

// What is changed in a line is seen, too.
func TestTheJudgeSeesWhatIsWrong(t *testing.T) {
	for what, edit := range map[string][2]string{
		"a short wait":     {"Wait-Since 'Changed' 90", "Wait-Since 'Changed' 5"},
		"another right":    {"-AccessRight RestrictAccess", "-AccessRight DenyAccess"},
		"a stranger":       {"$Mailboxes = @(", "$Mailboxes = @('denied@contoso.com',"},
		"modules together": {"Connect-ExchangeOnline", "Connect-MgGraph -TenantId $Tenant; Connect-ExchangeOnline"},
		"no scope":         {" -CustomResourceScope $ScopeName", ""},
		"a wide scope":     {`("MemberOfGroup -eq '" + $dn + "'")`, `"Name -like '*'"`},
		"a role too early": {"  $scope = New-ManagementScope", "  $null = New-ManagementRoleAssignment -Name 'early' " +
			"-App $SpId -Role 'Application Mail.Send'\n  $scope = New-ManagementScope"},
		"a role of another": {"-Role 'Application Mail.Send'", "-Role 'Application Mail.ReadWrite'"},
		"a question":        {" -Confirm:$false", ""},
	} {
		found := false
		seen := rehearsal.Seen(t, func(judge testing.TB) {
			journeys(judge, func(_ setup.Task, script string) string {
				found = found || strings.Contains(script, edit[0])
				return strings.ReplaceAll(script, edit[0], edit[1])
			})
		})
		if !seen || !found {
			t.Errorf("%s: seen %v, in the script %v", what, seen, found)
		}
	}
}
