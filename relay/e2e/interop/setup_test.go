//go:build interop

package interop_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/envelope"
	scripts "graphrelay/relay/setup"
)

// setupScripts writes every kind of script, for 1 and 30 mailboxes, with plain
// names and with all that means something to a shell.
func setupScripts(t *testing.T) (powershell, shell []string) {
	t.Helper()
	dir := t.TempDir()
	for _, method := range []scripts.Method{scripts.RBAC, scripts.Policy} {
		for _, task := range []scripts.Task{scripts.Create, scripts.Undo, scripts.Migrate} {
			for i, n := range []int{1, 30} {
				for _, app := range []string{[]string{"graphrelay",
					"Bob's \"relay\" $(touch /tmp/x) `id` ${HOME}; exit 1 #"}[i]} {
					if task == scripts.Migrate && method == scripts.Policy {
						continue
					}
					p := scripts.Plan{Method: method, Task: task, Identity: app, App: app,
						TenantID:    "11111111-1111-1111-1111-111111111111",
						Certificate: app + "/entra.cer", PEM: app +
							"/entra.pem", Mailboxes: setupMailboxes(t, n), ReadWrite: n > 1}
					name := filepath.Join(dir, fmt.Sprintf("%s-%s-%d", method, task, n))
					p.Shell = scripts.PowerShell
					powershell = append(powershell, writeScript(t, name+".ps1", p))
					p.Shell = scripts.Az
					sh := writeScript(t, name+".sh", p)
					shell = append(shell, sh)
					powershell = append(powershell, exchangeParts(t, sh)...)
				}
			}
		}
	}
	p := scripts.Plan{Method: scripts.RBAC, Task: scripts.Create, Identity: "i", App: "a", TenantID: "contoso.com",
		Certificate: "a.cer", PEM: "a.pem",
		Mailboxes: setupMailboxes(t, 1), Cloud: "usgov", GraphURL: "https://graph.example", Shell: scripts.PowerShell}
	powershell = append(powershell, writeScript(t, filepath.Join(dir, "national.ps1"), p))
	p.Shell = scripts.Az
	return powershell, append(shell, writeScript(t, filepath.Join(dir, "national.sh"), p))
}

func setupMailboxes(t *testing.T, n int) (list []envelope.Address) {
	t.Helper()
	for i := range n {
		local := fmt.Sprintf("o'brien+%d", i)
		if i%3 == 1 {
			local = fmt.Sprintf("\"a b$HOME %d `id`\"", i)
		}
		a, err := envelope.ParseAddress(local + "@contoso.com")
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, a)
	}
	return list
}

func writeScript(t *testing.T, file string, p scripts.Plan) string {
	t.Helper()
	script, err := scripts.Script(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
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
	parsed := 0
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "parsed ") {
			parsed++
			continue
		}
		t.Errorf("not understood: %s", line)
	}
	if parsed != len(files) {
		t.Errorf("%d of %d scripts were read", parsed, len(files))
	}
}

// shellcheck finds nothing in the scripts for the shell.
func TestSetupScriptsPassShellcheck(t *testing.T) {
	_, files := setupScripts(t)
	if out, err := foreign.ShellCheck(t)(files...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
