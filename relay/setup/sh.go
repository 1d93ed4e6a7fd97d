package setup

import (
	"slices"
	"strings"
)

// heredocEnd ends the part for pwsh. No line of it can be the same: every value
// is quoted on a line that begins differently.
const heredocEnd = "END_OF_EXCHANGE"

// sh writes the script for a POSIX shell. Consecutive steps in Exchange are one run
// of pwsh, with its input in the environment.
func (p Plan) sh() string {
	var s script
	steps := p.steps()
	s.line("#!/bin/sh")
	s.comment(p.about()...)
	s.comment(titles(steps)...)
	s.comment("", "It needs az, openssl and pwsh (PowerShell 7), the only commands for Exchange. PowerShell on Linux "+
		"and macOS has no execution policy;",
		"on Windows, allow scripts for this window first: Set-ExecutionPolicy -Scope Process -ExecutionPolicy "+
			"RemoteSigned")
	s.comment("", "Values are in single quotes, so that nothing in them is expanded:", "shellcheck disable=SC2016")
	s.line("set -eu")
	s.line("WORK=$(mktemp -d)")
	s.line(`trap 'rm -rf "$WORK"' EXIT`)
	s.line("")
	s.line("APP_NAME=%s", shQuote(p.App))
	s.line("TENANT=%s", shQuote(p.TenantID))
	s.line("CLIENT_ID=%s", shQuote(p.ClientID))
	if callsGraph(steps) {
		s.line("GRAPH=%s", shQuote(p.graphURL()))
	}
	if p.Task == Create {
		s.line("CERTIFICATE=%s", shQuote(p.Certificate))
	}
	s.line("")
	s.lines(p.shCloud())
	s.line(`az login --tenant "$TENANT" --allow-no-subscriptions --output none`)
	s.line("")
	s.lines(part("find_app.sh"))
	if p.Task == Create {
		s.lines(part("thumbprint.sh"))
	}
	open := false
	for i, one := range steps {
		commands := one.sh
		if one.side == inExchange {
			commands = one.ps
		}
		switch {
		case open && one.side != inExchange:
			s.lines(closeExchange)
		case !open && one.side == inExchange:
			p.openExchange(&s)
		}
		open = one.side == inExchange
		s.step(i+1, one, commands)
	}
	if open {
		s.lines(closeExchange)
	}
	return s.String()
}

// callsGraph reports whether a step uses $GRAPH.
func callsGraph(steps []step) bool {
	uses := func(line string) bool { return strings.Contains(line, "$GRAPH/") }
	return slices.ContainsFunc(steps, func(s step) bool { return slices.ContainsFunc(s.sh, uses) })
}

func (p Plan) openExchange(s *script) {
	s.line("")
	s.line(`cat >"$WORK/exchange.ps1" <<'%s'`, heredocEnd)
	s.line("$ErrorActionPreference = 'Stop'")
	s.line("$AppId = $env:APP_ID")
	s.line("$SpId = $env:SP_ID")
	s.lines(p.psValues())
	s.lines(psModule("ExchangeOnlineManagement"))
	s.line("%s", p.psConnectExchange())
}

// closeExchange runs what openExchange began: as a file, because pwsh reads
// standard input line by line, as if it were typed.
var closeExchange = []string{heredocEnd, `APP_ID=$APP_ID SP_ID=$SP_ID pwsh -NoProfile -File "$WORK/exchange.ps1"`}
