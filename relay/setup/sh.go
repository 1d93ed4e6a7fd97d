package setup

import (
	"fmt"
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
	s.lines(shFind)
	if p.Task == Create {
		s.lines(shThumbprint)
	}
	open := false
	for i, one := range steps {
		if open && one.side != inExchange {
			s.lines(closeExchange)
			open = false
		}
		if one.side == inExchange && !open {
			p.openExchange(&s)
			open = true
		}
		s.line("")
		s.comment(fmt.Sprintf("%d. %s", i+1, one.title))
		s.comment(one.why...)
		if one.side == inExchange {
			s.lines(one.ps)
		} else {
			s.lines(one.sh)
		}
	}
	if open {
		s.lines(closeExchange)
	}
	return s.String()
}

// callsGraph reports whether a step uses $GRAPH.
func callsGraph(steps []step) bool {
	return slices.ContainsFunc(steps,
		func(s step) bool { return strings.Contains(strings.Join(s.sh, "\n"), "$GRAPH/") })
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
var closeExchange = []string{
	heredocEnd,
	`APP_ID=$APP_ID SP_ID=$SP_ID pwsh -NoProfile -File "$WORK/exchange.ps1"`,
}

var shFind = []string{
	`# The app registration with the client ID of the configuration, or else with this name.`,
	`find_app() {`,
	`  APP_ID=''`,
	`  if [ -n "$CLIENT_ID" ]; then`,
	`    APP_ID=$(az ad app show --id "$CLIENT_ID" --query appId --output tsv 2>/dev/null || true)`,
	`  fi`,
	`  if [ -z "$APP_ID" ]; then`,
	`    APP_ID=$(az ad app list --all --output tsv --query '[].[displayName, appId]' | APP_NAME=$APP_NAME awk -F ` +
		`'\t' '$1 == ENVIRON["APP_NAME"] { print $2 }')`,
	`  fi`,
	`  case $APP_ID in`,
	`  *[!0-9a-fA-F-]*)`,
	`    echo "More than one app registration is named $APP_NAME. Write client_id into the configuration, and make ` +
		`the script again." >&2`,
	`    exit 1`,
	`    ;;`,
	`  esac`,
	`}`,
}

var shThumbprint = []string{
	``,
	`# The SHA-1 thumbprint of the certificate, in upper case and without colons.`,
	`thumbprint() {`,
	`  { openssl x509 -inform der -in "$CERTIFICATE" -noout -fingerprint -sha1 2>/dev/null ||`,
	`    openssl x509 -in "$CERTIFICATE" -noout -fingerprint -sha1; } | sed 's/.*=//; s/://g'`,
	`}`,
}
