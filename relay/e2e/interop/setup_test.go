//go:build interop

package interop_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/powershell"
	"graphrelay/relay/e2e/rehearsal"
	scripts "graphrelay/relay/setup"
)

// setupScripts writes every kind of script.
func setupScripts(t *testing.T) (powershell, shell []string) {
	t.Helper()
	dir := t.TempDir()
	for name, p := range rehearsal.Plans(t) {
		script, err := scripts.Script(p)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		if p.Shell == scripts.PowerShell {
			powershell = append(powershell, file)
			continue
		}
		shell = append(shell, file)
		powershell = append(powershell, exchangeParts(t, file)...)
	}
	return powershell, shell
}

// exchangeParts are the scripts that a script for the shell hands to pwsh.
func exchangeParts(t *testing.T, file string) (parts []string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, piece := range strings.Split(string(b), "<<'END_OF_EXCHANGE'\n")[1:] {
		part, _, found := strings.Cut(piece, "\nEND_OF_EXCHANGE\n")
		if !found {
			t.Fatalf("%s: a part for pwsh does not end", file)
		}
		name := fmt.Sprintf("%s.%d.ps1", file, i)
		if err := os.WriteFile(name, []byte(part), 0o600); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, name)
	}
	return parts
}

// A real grammar of PowerShell reads every script that is printed.
func TestSetupScriptsParseAsPowerShell(t *testing.T) {
	files, _ := setupScripts(t)
	out, err := foreign.PowerShellGrammar(t)(append([]string{"testdata/parse.cjs"}, files...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	parsed, found := 0, map[string][]string{}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "parsed ") {
			parsed++
			continue
		}
		command, isCommand := strings.CutPrefix(strings.TrimSpace(line), "command ")
		if !isCommand {
			t.Errorf("not understood: %s", line)
			continue
		}
		file := files[parsed-1]
		found[file] = append(found[file], command)
	}
	if parsed != len(files) {
		t.Errorf("%d of %d scripts were read", parsed, len(files))
	}
	for _, file := range files {
		sameCommands(t, file, found[file])
	}
}

// sameCommands compares the commands that the grammar finds with those that the
// rehearsal runs: names, parameters, values and order.
func sameCommands(t *testing.T, file string, found []string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	script, err := powershell.Parse(string(b))
	if err != nil {
		t.Errorf("%s: %v", file, err)
		return
	}
	ours := script.Commands
	for i, want := range found {
		var text string
		if err := json.Unmarshal([]byte(want), &text); err != nil {
			t.Fatal(err)
		}
		if i >= len(ours) || ours[i].Text != text {
			t.Errorf("%s: command %d is %s, and another one in the rehearsal", file, i+1, want)
			return
		}
	}
	if len(ours) != len(found) {
		t.Errorf("%s: %d commands, and %d in the rehearsal", file, len(found), len(ours))
	}
}

// shellcheck finds nothing in the scripts for the shell.
func TestSetupScriptsPassShellcheck(t *testing.T) {
	_, files := setupScripts(t)
	if out, err := foreign.ShellCheck(t)(files...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
