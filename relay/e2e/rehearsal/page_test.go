package rehearsal_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/e2e/rehearsal"
	"graphrelay/relay/setup"
)

var (
	code    = regexp.MustCompile("(?s)\n *```(sh|powershell)\n(.*?)\n *```|`([^`\n]+)`")
	command = regexp.MustCompile(`^(graphrelay |\./|sh |[A-Z][a-z]+-[A-Z])`)
	cmdlet  = regexp.MustCompile(`^[A-Z][a-z]+-[A-Z][A-Za-z]+`)
	option  = regexp.MustCompile(`(?:^|\s)(--?[A-Za-z][A-Za-z-]*)`)
)

// Every command of the page, in its blocks and its sentences, is one that runs: a cmdlet of the
// committed table with its parameters; the script, here; or a command of this program that a
// testscript runs with these options.
func TestEveryCommandOfThePage(t *testing.T) {
	whole := read(t, "../../../packaging/doc/tenant-setup.md")
	seen := 0
	for _, m := range code.FindAllStringSubmatch(whole, -1) {
		for line := range strings.Lines(m[2] + m[3]) {
			line = strings.TrimSpace(line)
			if m[1] != "powershell" && !command.MatchString(line) {
				continue
			}
			seen++
			if why := runs(t, line); why != "" {
				t.Errorf("%s: %s", line, why)
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d commands are found", seen)
	}
	for _, wrong := range []string{"Get-Nothing", "Unblock-File -Force", "graphrelay setup --nothing",
		"graphrelay nothing", "./other.ps1"} {
		if runs(t, wrong) == "" {
			t.Errorf("%s passes", wrong)
		}
	}
}

// runs says why a command does not run; empty if it does.
func runs(t *testing.T, line string) string {
	t.Helper()
	script, arguments, _ := strings.Cut(strings.TrimPrefix(line, "sh "), " ")
	switch {
	case script == "./setup.ps1" || script == "setup.sh":
		return replayed(t, script, strings.Fields(arguments))
	case strings.HasPrefix(line, "graphrelay "):
		return scripted(t, line)
	}
	known := false
	for entry := range strings.Lines(read(t, "../../setup/testdata/cmdlets.txt")) {
		if words := strings.Fields(entry); len(words) > 0 && words[0] == cmdlet.FindString(line) {
			known = true
			for _, o := range option.FindAllStringSubmatch(line, -1) {
				if !slices.Contains(words, o[1][1:]) {
					return "there is no " + o[1]
				}
			}
		}
	}
	if !known {
		return "is not in cmdlets.txt"
	}
	return ""
}

// replayed runs the script with arguments, in a tenant in which it has run.
func replayed(t *testing.T, script string, arguments []string) string {
	t.Helper()
	p, dir := rehearsal.Plain(t, 1), t.TempDir()
	if script == "setup.sh" {
		p.Shell = setup.Az
	}
	w := world(t, p)
	err := run(t, w, p, dir)
	switch {
	case err != nil:
	case p.Shell == setup.Az:
		err = w.RunShell(dir, print(t, p), arguments...)
	case len(arguments) == 2 && arguments[0] == "-Part":
		err = w.Run(print(t, p), map[string]any{"Part": arguments[1]})
	case len(arguments) > 0:
		return "has other parameters than -Part"
	}
	if err != nil {
		return err.Error()
	}
	w.Restricted(p)
	return ""
}

// scripted looks for the testscript that runs a command of the program with its options.
func scripted(t *testing.T, line string) string {
	t.Helper()
	line, _, _ = strings.Cut(line, " >")
	var want []string
	for _, o := range option.FindAllStringSubmatch(line, -1) {
		want = append(want, " "+o[1]+" ")
	}
	name := regexp.MustCompile(`^graphrelay( [a-z]+)+`).FindString(line)
	files, err := filepath.Glob("../../../cmd/graphrelay/testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		for try := range strings.Lines(read(t, file)) {
			lacks := func(o string) bool { return !strings.Contains(strings.TrimSpace(try)+" ", o) }
			if !strings.HasPrefix(try, "#") && !lacks(name+" ") && !slices.ContainsFunc(want, lacks) {
				return ""
			}
		}
	}
	return "no testscript runs it"
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
