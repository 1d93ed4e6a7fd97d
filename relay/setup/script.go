package setup

import (
	"embed"
	"fmt"
	"strings"

	"graphrelay/relay/envelope"
)

// fragments are pieces of the scripts in which nothing but @NAMES@ changes from plan to plan.
//
//go:embed scripts
var fragments embed.FS

// fragment is the lines of pieces.
func fragment(names ...string) (lines []string) {
	for _, name := range names {
		b, err := fragments.ReadFile("scripts/" + name)
		if err != nil {
			panic("setup: no script " + name)
		}
		lines = append(lines, strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")...)
	}
	return lines
}

// fill is a piece with values in the place of its @NAMES@.
func fill(name string, values ...string) []string {
	text := strings.Join(fragment(name), "\n")
	return strings.Split(strings.NewReplacer(values...).Replace(text), "\n")
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

// indented writes the lines of a block.
func (s *script) indented(list []string) {
	for _, l := range list {
		s.WriteString(strings.TrimRight("  "+l, " ") + "\n")
	}
}

// comments makes comment lines, with no values of the configuration but checked ones.
func comments(list ...string) []string {
	out := make([]string, 0, len(list))
	for _, l := range list {
		out = append(out, strings.TrimRight("# "+l, " "))
	}
	return out
}

// about is the head of every script.
func (p Plan) about(parts []part) []string {
	what := map[Task]string{
		Create:  "Set up and restrict the app of a graphrelay relay",
		Undo:    "Undo the setup of a graphrelay relay's app",
		Migrate: "Move a graphrelay relay's app from an access policy to RBAC for Applications",
	}[p.Task]
	way := " (RBAC for Applications)."
	switch {
	case p.Task == Undo:
		way = "."
	case p.Method == Policy:
		way = " (an application access policy)."
	}
	roles := "Application Administrator"
	if p.Task != Create || p.Method == Policy {
		roles += ", Privileged Role Administrator (for consents)"
	}
	list := append([]string{what + way, "", "Printed by `graphrelay setup` for the identity and mailboxes of its " +
		"configuration. Read it, then run it as a user who is",
		roles + " and Exchange Administrator with the Organization Management role.",
		"It can be run again at any time: each step checks whether it was done before.", "",
		"Graph and Exchange commands cannot share a process, so the script has parts, each in a process of its own:",
	}, titles(parts)...)
	return append(list, p.cloudNote()...)
}

// titles lists the parts with their steps.
func titles(parts []part) (list []string) {
	number := 0
	for i, part := range parts {
		list = append(list, fmt.Sprintf("  Part %d, %s:", i+1, part.side))
		for _, s := range part.steps {
			number++
			list = append(list, fmt.Sprintf("    %d. %s", number, s.title))
		}
	}
	return list
}

// psList writes a list as an array of PowerShell.
func psList(values []string) string {
	quoted := make([]string, 0, len(values))
	for _, v := range values {
		quoted = append(quoted, psQuote(v))
	}
	return "@(" + strings.Join(quoted, ", ") + ")"
}

func addresses(list []envelope.Address) (texts []string) {
	for _, a := range list {
		texts = append(texts, a.String())
	}
	return texts
}

// psValues are the values of the plan as variables of PowerShell.
func (p Plan) psValues() []string {
	list := []string{
		"$Tenant = " + psQuote(p.TenantID), "$Admin = " + psQuote(p.Admin),
		"$AppName = " + psQuote(p.App), "$GroupName = " + psQuote(p.groupName()),
		"$GroupAddress = " + psQuote(p.groupAddress()), "$ScopeName = " + psQuote(p.scopeName()),
		"$CanaryScope = " + psQuote(p.canaryScope()), "$Canary = " + psQuote(p.Canary.String()),
		"$RetentionName = " + psQuote(p.retentionName()), "$Denied = " + psQuote(p.Denied.String()),
		"$Roles = " + psList(p.roles()), "$Mailboxes = @("}
	for i, m := range p.Mailboxes {
		comma := ","
		if i == len(p.Mailboxes)-1 {
			comma = ""
		}
		list = append(list, "  "+psQuote(m.String())+comma)
	}
	return append(list, ")")
}

func (p Plan) powershell() string {
	var s script
	parts := p.parts()
	s.lines(comments(p.about(parts)...))
	s.lines(comments("", "Run it in Windows PowerShell 5.1, or in PowerShell 7.6 or later. Windows does not run "+
		"scripts, and least of all files from elsewhere,",
		"unless you allow it. For this file and this window, in the folder of the file:",
		"  Unblock-File -LiteralPath ./setup.ps1",
		"  Set-ExecutionPolicy -Scope Process -ExecutionPolicy RemoteSigned", "  ./setup.ps1",
		"One part alone, again: ./setup.ps1 -Part 2"))
	s.line("param([string]$Part = '', [switch]$SkipWait)")
	s.line("$ErrorActionPreference = 'Stop'")
	s.line("")
	s.lines(p.psValues())
	s.line("$ClientId = %s", psQuote(p.ClientID))
	s.lines(p.credentialValues().ps)
	s.line("$Notes = Join-Path -Path $PSScriptRoot -ChildPath %s", psQuote(p.notesName()))
	s.line("")
	s.lines(fragment("version.ps1"))
	numbers := make([]string, 0, len(parts))
	for i := range parts {
		numbers = append(numbers, fmt.Sprint(i+1))
	}
	s.lines(fill("driver.ps1", "@PARTS@", strings.Join(numbers, ", ")))
	s.line("")
	s.lines(fragment("notes.ps1"))
	number := 1
	for i, part := range parts {
		s.line("")
		s.lines(comments(fmt.Sprintf("Part %d: %s", i+1, part.side)))
		s.line("if ($Part -eq '%d') {", i+1)
		s.indented(p.openPowerShell(part, i > 0))
		for _, one := range part.steps {
			s.indented(one.text(number, one.ps))
			number++
		}
		s.line("}")
	}
	return s.String()
}

// openPowerShell is how a part in PowerShell begins: what it must know, its modules, and the login.
func (p Plan) openPowerShell(part part, later bool) []string {
	var list []string
	if later {
		list = fragment("app.ps1")
	}
	for _, one := range part.steps {
		list = append(list, one.first.ps...)
	}
	if part.side == inExchange {
		list = append(list, fill("module.ps1", "@NAMES@", "'ExchangeOnlineManagement'")...)
		return append(list, p.psConnectExchange()...)
	}
	list = append(list, fill("module.ps1", "@NAMES@", "'Microsoft.Graph.Authentication', "+
		"'Microsoft.Graph.Applications'")...)
	list = append(list, p.psConnectGraph(part.scopes())...)
	if !later {
		list = append(list, fragment("find_app.ps1")...)
	}
	return list
}
