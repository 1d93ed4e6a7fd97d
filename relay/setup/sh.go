package setup

import (
	"fmt"
	"slices"
	"strings"
)

// heredocEnd ends the part for pwsh. No line of it can be the same: every value
// is quoted on a line that begins differently.
const heredocEnd = "END_OF_EXCHANGE"

// sh writes the script for a POSIX shell. A part in Exchange is one run of pwsh.
func (p Plan) sh() string {
	var s script
	parts := p.parts()
	s.line("#!/bin/sh")
	s.lines(comments(p.about(parts)...))
	s.lines(comments("", "It needs az, openssl and pwsh (PowerShell 7.6 or later), which has the only commands for "+
		"Exchange. PowerShell on Linux and macOS has no",
		"execution policy; on Windows, allow scripts for this window first: Set-ExecutionPolicy -Scope Process "+
			"-ExecutionPolicy RemoteSigned",
		"One part alone, again: sh setup.sh 2", "",
		"Values are in single quotes, so that nothing in them is expanded, whatever quotes of other scripts they have:",
		"shellcheck disable=SC2016,SC1112"))
	s.line("set -eu")
	s.line("WORK=$(mktemp -d)")
	s.line(`trap 'rm -rf "$WORK"' EXIT`)
	s.line("PART=${1:-}")
	s.line("SKIP_WAIT=${SKIP_WAIT:-}")
	s.line("NOTES=$(dirname \"$0\")/%s", shQuote(p.notesName()))
	s.line("")
	s.lines(p.shValues(parts))
	s.line("")
	s.lines(p.shFunctions(parts))
	number := 1
	for i, part := range parts {
		s.line("")
		s.lines(comments(fmt.Sprintf("Part %d: %s", i+1, part.side)))
		s.line(`if [ -z "$PART" ] || [ "$PART" = %d ]; then`, i+1)
		number = p.shPart(&s, part, i > 0, number)
		s.line("fi")
	}
	return s.String()
}

func (p Plan) shValues(parts []part) []string {
	list := []string{"TENANT=" + shQuote(p.TenantID), "CLIENT_ID=" + shQuote(p.ClientID)}
	if p.Credential != Managed {
		list = append(list, "APP_NAME="+shQuote(p.App))
	}
	if p.Admin != "" {
		list = append(list, "ADMIN="+shQuote(p.Admin))
	}
	if uses(parts, "$GRAPH/") {
		list = append(list, "GRAPH="+shQuote(p.graphURL()))
	}
	return append(list, p.credentialValues().sh...)
}

// shFunctions are those that a step of the plan calls.
func (p Plan) shFunctions(parts []part) []string {
	list := fragment("functions.sh")
	list = append(list, "sign_in() {", `  [ -z "${SIGNED_IN:-}" ] || return 0`)
	for _, l := range p.shSignIn() {
		list = append(list, "  "+l)
	}
	list = append(list, "}")
	if uses(parts, "find_app") || uses(parts, "by_name") {
		list = append(list, fragment("find_app.sh")...)
	}
	return list
}

// uses reports whether a line of a step in Entra has a word.
func uses(parts []part, word string) bool {
	has := func(line string) bool { return strings.Contains(line, word) }
	return slices.ContainsFunc(parts, func(p part) bool {
		return slices.ContainsFunc(p.steps, func(s step) bool { return slices.ContainsFunc(s.sh, has) })
	})
}

// shPart writes the steps of a part, the first of which has the number.
func (p Plan) shPart(s *script, part part, later bool, number int) int {
	if later && part.side == inEntra {
		s.lines(fragment("app.sh"))
	}
	if part.side == inEntra {
		for _, one := range part.steps {
			s.lines(one.first.sh)
		}
		s.line("sign_in")
	} else {
		s.line(`cat >"$WORK/exchange.ps1" <<'%s'`, heredocEnd)
		s.lines([]string{"$ErrorActionPreference = 'Stop'", "$SkipWait = [bool]$env:SKIP_WAIT", "$Notes = $env:NOTES"})
		s.lines(p.psValues())
		s.lines(fragment("version.ps1", "notes.ps1"))
		s.lines(p.openPowerShell(part, true))
	}
	open := part.side == inExchange
	for _, one := range part.steps {
		if open && one.side != inExchange {
			s.lines(closeExchange)
			s.lines(fragment("app.sh"))
			open = false
		}
		commands := one.sh
		if open {
			commands = one.ps
		}
		s.lines(one.text(number, commands))
		number++
	}
	if open {
		s.lines(closeExchange)
	}
	return number
}

// closeExchange runs what the part began: as a file, because pwsh reads
// standard input line by line, as if it were typed.
var closeExchange = []string{heredocEnd,
	`NOTES=$NOTES SKIP_WAIT=$SKIP_WAIT pwsh -NoProfile -File "$WORK/exchange.ps1"`}
