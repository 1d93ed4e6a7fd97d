package setup

import (
	"embed"
	"fmt"
	"strings"
)

// parts are pieces of the scripts in which nothing changes from plan to plan.
//
//go:embed scripts
var parts embed.FS

func part(names ...string) (lines []string) {
	for _, name := range names {
		b, err := parts.ReadFile("scripts/" + name)
		if err != nil {
			panic(err) // a name in this package is wrong
		}
		lines = append(lines, strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")...)
	}
	return lines
}

// fill is a part with values in the place of its @NAMES@.
func fill(name string, values ...string) []string {
	lines := part(name)
	for i, l := range lines {
		lines[i] = strings.NewReplacer(values...).Replace(l)
	}
	return lines
}

// Script writes the script of a plan.
func Script(p Plan) (string, error) {
	if err := p.Check(); err != nil {
		return "", err
	}
	if p.Shell == Az {
		return p.sh(), nil
	}
	return p.powershell(), nil
}

// script collects lines.
type script struct{ strings.Builder }

func (s *script) line(format string, args ...any) { fmt.Fprintf(s, format+"\n", args...) }

func (s *script) lines(list []string) {
	for _, l := range list {
		s.WriteString(l + "\n")
	}
}

// comment writes comment lines, with no values of the configuration but checked ones.
func (s *script) comment(list ...string) {
	for _, l := range list {
		s.WriteString(strings.TrimRight("# "+l, " ") + "\n")
	}
}

func (s *script) step(number int, one step, commands []string) {
	s.line("")
	s.comment(fmt.Sprintf("%d. %s", number, one.title))
	s.comment(one.why...)
	s.lines(commands)
}

// about is the head of every script.
func (p Plan) about() []string {
	what := map[Task]string{
		Create:  "Set up and restrict the app of a graphrelay relay",
		Undo:    "Undo the setup of a graphrelay relay's app",
		Migrate: "Move a graphrelay relay's app from an access policy to RBAC for Applications",
	}[p.Task]
	way := "RBAC for Applications"
	if p.Method == Policy {
		way = "an application access policy"
	}
	return append([]string{
		what + " (" + way + ").", "", "Printed by `graphrelay setup` for the identity and mailboxes of its " +
			"configuration. Read it, then run it as a user who is",
		"Application Administrator, Privileged Role Administrator (for consents) and Exchange Administrator with the " +
			"Organization Management role.",
		"It can be run again at any time: each step checks whether it was done before.",
	}, p.cloudNote()...)
}

// titles numbers the steps.
func titles(steps []step) []string {
	list := []string{"", "Steps:"}
	for i, s := range steps {
		list = append(list, fmt.Sprintf("  %d. %s", i+1, s.title))
	}
	return list
}

// psValues are the values of the plan as variables of PowerShell.
func (p Plan) psValues() []string {
	list := []string{
		"$AppName = " + psQuote(p.App), "$GroupName = " + psQuote(p.groupName()),
		"$GroupAddress = " + psQuote(p.groupAddress()), "$ScopeName = " + psQuote(p.scopeName()),
		"$Denied = " + psQuote(p.denied()), "$Mailboxes = @(",
	}
	var quoted []string
	for _, m := range p.Mailboxes {
		quoted = append(quoted, psQuote(m.String()))
	}
	return append(list, "  "+strings.Join(quoted, ",\n  "), ")")
}

// psModule installs or updates a module.
func psModule(name string) []string { return fill("module.ps1", "@NAME@", name) }

func (p Plan) powershell() string {
	var s script
	steps := p.steps()
	s.comment(p.about()...)
	s.comment(titles(steps)...)
	s.comment("", "Windows does not run scripts unless you allow it. For this window only:",
		"  Set-ExecutionPolicy -Scope Process -ExecutionPolicy RemoteSigned", "then, in the folder of the file:",
		"  ./setup.ps1")
	s.line("param([switch]$SkipWait)")
	s.line("$ErrorActionPreference = 'Stop'")
	s.line("")
	s.line("$Tenant = %s", psQuote(p.TenantID))
	s.line("$ClientId = %s", psQuote(p.ClientID))
	s.line("$Certificate = %s", psQuote(p.Certificate))
	s.lines(p.psValues())
	s.line("")
	s.comment("Modules: installed if missing, otherwise updated.")
	for _, m := range []string{"Microsoft.Graph.Authentication", "Microsoft.Graph.Applications",
		"ExchangeOnlineManagement"} {
		s.lines(psModule(m))
	}
	s.line("%s", p.psConnectGraph())
	s.line("%s", p.psConnectExchange())
	s.line("")
	s.comment("The app registration with the client ID of the configuration, or else with this name.")
	// By client ID, so that a second app of the same name does no harm, and by
	// name if the configuration names none in this tenant yet.
	s.lines(part("find_app.ps1"))
	for i, one := range steps {
		s.step(i+1, one, one.ps)
	}
	return s.String()
}
