//go:build system

package system

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"graphrelay/relay/e2e/harness"
)

// cannotStart breaks the service in ways that systemd meets at different moments.
// No client waits for a greeting meanwhile, and once the fault is gone the service
// is back by a start at most.
func (m *machine) cannotStart(t *testing.T) {
	const config, dropIn = "/etc/graphrelay/config.yaml", "/etc/systemd/system/graphrelay.service.d/broken.conf"
	good := m.read(config)
	for _, c := range []struct {
		name           string
		breaks, repair func()
		self           bool // systemd itself starts the service again
	}{
		{"a mistake in the configuration",
			func() { m.write(config, "hostnam: typo.example\n"+good, 0o640) },
			func() { m.write(config, good, 0o640) }, true},
		{"a file of the configuration that is not there",
			func() { m.run("mv", "/etc/graphrelay/ca.pem", "/etc/graphrelay/away.pem") },
			func() { m.run("mv", "/etc/graphrelay/away.pem", "/etc/graphrelay/ca.pem") }, true},
		{"a credential that is not there",
			func() { m.write(dropIn, "[Service]\nLoadCredential=x:/nowhere\n", 0o644) },
			func() { m.remove(dropIn) }, false},
		{"a program that is not there",
			func() { m.write(dropIn, "[Service]\nExecStart=\nExecStart=/nowhere\n", 0o644) },
			func() { m.remove(dropIn) }, false},
		{"a store that is not its own",
			func() { m.run("chown", "root:root", "/var/lib/graphrelay/queue.db") },
			func() { m.run("chown", "graphrelay:graphrelay", "/var/lib/graphrelay/queue.db") }, true},
	} {
		c.breaks()
		m.run("systemctl", "daemon-reload")
		for _, how := range []string{"stop", "restart"} { // a client starts a stopped one
			out, err := m.try("systemctl", how, "graphrelay.service")
			if how == "restart" && err == nil {
				t.Errorf("%s: the service starts: %s", c.name, out)
			}
			for range 3 {
				if got := m.answer(t); got != "" && !strings.HasPrefix(got, "421 ") {
					t.Errorf("%s, %s: a client reads %q", c.name, how, got)
				}
			}
		}
		c.repair()
		m.run("systemctl", "daemon-reload")
		if !c.self {
			m.run("systemctl", "start", "graphrelay.service")
		}
		harness.Until(t, patience, "a greeting after "+c.name, func() bool {
			return strings.HasPrefix(m.answer(t), "220 ")
		})
	}
	m.send()
	m.arrived()
}

// answer is what a client at port 25 reads: "" where the connection was refused or
// closed. A client that waits for longer than a client would is a fault.
func (m *machine) answer(t *testing.T) string {
	t.Helper()
	nc, err := m.dial()
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	b := make([]byte, 512)
	n, err := nc.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("a client waits for a greeting that does not come")
	}
	return string(b[:n])
}

// remove removes a file of the machine.
func (m *machine) remove(path string) {
	m.t.Helper()
	if err := os.Remove(filepath.Join(m.root, path)); err != nil {
		m.t.Fatal(err)
	}
}
