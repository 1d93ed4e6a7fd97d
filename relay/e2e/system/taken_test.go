//go:build system

package system

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
)

// takenOver runs a program with everything that the unit gives to the service, and
// compares what it can do with what the security model says. Whoever takes over the
// process can do no more.
func (m *machine) takenOver(t *testing.T) {
	const program = "/usr/bin/graphrelay-probe"
	cmd := exec.Command("go", "build", "-o", filepath.Join(m.root, program), "./relay/e2e/system/testdata/probe")
	cmd.Dir, cmd.Env = harness.ModuleDir(t), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	unit := m.read("/usr/lib/systemd/system/graphrelay.service")
	service := regexp.MustCompile(`(?m)^(OnFailure|Restart|ExecReload|Watchdog|NotifyAccess).*\n`)
	unit = service.ReplaceAllString(unit, "")
	unit = regexp.MustCompile(`(?m)^ExecStart=.*`).ReplaceAllString(unit, "ExecStart="+program)
	unit = strings.NewReplacer("Type=notify", "Type=oneshot", "ExecPaths=+/usr/bin/graphrelay",
		"ExecPaths=+"+program).Replace(unit)
	m.write("/etc/systemd/system/graphrelay-probe.service", unit, 0o644)
	m.run("systemctl", "daemon-reload")
	m.run("systemctl", "start", "graphrelay-probe.service")
	m.journal(t, "listen at TCP: ", "-u", "graphrelay-probe.service")
	got := map[string]string{}
	for line := range strings.Lines(m.run("journalctl", "-q", "--no-pager", "-o", "cat", "-u",
		"graphrelay-probe.service")) {
		if name, result, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			got[name] = result
		}
	}
	may := m.mayAsWell()
	for name, result := range got {
		if (result == "done") != may[name] {
			t.Errorf("%s: %q", name, result)
		}
	}
	if len(got) < 28 {
		t.Errorf("only %d were tried: %v", len(got), got)
	}
	m.run("rm", program, "/etc/systemd/system/graphrelay-probe.service", "/var/lib/graphrelay/probe")
	m.run("systemctl", "daemon-reload")
}

// mayAsWell is what the process can do all the same: its work, what systemd has no
// setting against, and what only the filters of sockets prevent that this systemd,
// or the kernel under it, lacks.
func (m *machine) mayAsWell() map[string]bool {
	may := map[string]bool{"write the store": true, "listen at TCP": true, "run from memory": true}
	if strings.Contains(m.run("systemctl", "--version"), "-BPF_FRAMEWORK") {
		may["listen at UDP"] = true
	}
	return may
}
