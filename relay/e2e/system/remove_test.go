//go:build system

package system

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// start is what an administrator enables.
func (m *machine) start() {
	m.t.Helper()
	m.run("systemctl", "enable", "--now", "graphrelay-smtp.socket", "graphrelay-submit.socket", "graphrelay.service")
}

// exists checks which files of the machine there are.
func (m *machine) exists(t *testing.T, when string, files map[string]bool) {
	t.Helper()
	for path, want := range files {
		if _, err := os.Lstat(filepath.Join(m.root, path)); (err == nil) != want {
			t.Errorf("after %s: %s there: %v, want %v", when, path, err == nil, want)
		}
	}
}

// backups are the folders of queues that a removal has kept.
func (m *machine) backups() []string {
	list, _ := filepath.Glob(filepath.Join(m.root, "/var/backups/graphrelay-*"))
	return list
}

// kept checks what a removal printed about a queue with mail that is not sent, and
// returns the folder to which it was moved.
func (m *machine) kept(t *testing.T, out string) string {
	t.Helper()
	match := regexp.MustCompile(`graphrelay: messages that are not sent: 2; the queue is kept in ` +
		`(/var/backups/graphrelay-\d{4}-\d\d-\d\d-\w{6})\n`).FindStringSubmatch(out)
	if match == nil {
		t.Fatalf("the removal does not say where 2 messages are: %s", out)
	}
	if got := m.run("stat", "-c", "%a %U:%G", match[1]); got != "700 root:root\n" {
		t.Errorf("%s is %s", match[1], got)
	}
	m.exists(t, "a removal with mail", map[string]bool{match[1] + "/queue.db": true, match[1] + "/unsent": false,
		"/var/lib/graphrelay": false})
	return match[1]
}

// uninstall removes and purges the package: with mail that is not sent, which is sent
// after all from where the purge has kept it, and without.
func (m *machine) uninstall(t *testing.T, deb, rpm string) {
	m.run("dpkg", "--remove", "graphrelay")
	m.exists(t, "the removal", map[string]bool{"/var/lib/graphrelay/queue.db": true,
		"/etc/graphrelay/config.yaml": true, "/usr/bin/graphrelay": false, "/usr/sbin/sendmail": false})

	const config = "/etc/graphrelay/config.yaml"
	good := m.read(config)
	install := func() {
		t.Helper()
		if out, err := m.install(deb); err != nil {
			t.Fatalf("dpkg: %v\n%s", err, out)
		}
	}
	install()
	m.write(config, strings.Replace(good, "    endpoints:", "    proxy: http://127.0.0.1:9\n    endpoints:", 1), 0o640)
	m.start() // with no way to Microsoft
	m.send()
	m.send()
	kept := m.kept(t, m.run("dpkg", "--purge", "graphrelay"))

	install()
	m.write(config, good, 0o640)
	m.run("chgrp", "graphrelay", config)
	m.run("sh", "-c", "cp "+kept+"/queue.db* /var/lib/graphrelay; chown graphrelay: /var/lib/graphrelay/*")
	m.start()
	m.arrived()

	m.run("rm", "/etc/graphrelay/secret.txt", "/etc/graphrelay/ca.pem")
	m.run("dpkg", "--purge", "graphrelay")
	m.exists(t, "the purge", map[string]bool{"/var/lib/graphrelay": false, "/etc/graphrelay": false})
	if list := m.backups(); len(list) != 1 {
		t.Errorf("an empty queue was kept: %q", list)
	}
	m.removeRPM(t, rpm, kept)
}

// stateFolder makes what rpm cannot make outside the booted machine.
func (m *machine) stateFolder() {
	m.t.Helper()
	m.run("install", "-d", "-o", "graphrelay", "-g", "graphrelay", "-m", "750", "/var/lib/graphrelay")
}

// removeRPM installs the rpm over the file system of the machine, as far as rpm can
// on a Debian, and removes it with and without mail.
func (m *machine) removeRPM(t *testing.T, rpm, kept string) {
	install := func() {
		t.Helper()
		host(t, "rpm", "--root", m.root, "--install", "--nodeps", rpm)
	}
	install()
	if got := m.run("stat", "-c", "%a %U:%G", "/etc/graphrelay", "/etc/graphrelay/config.yaml"); got !=
		"755 root:graphrelay\n640 root:graphrelay\n" {
		t.Errorf("rpm made /etc/graphrelay and config.yaml %s", got)
	}
	m.stateFolder()
	m.run("sh", "-c", "cp "+kept+"/queue.db* /var/lib/graphrelay; chown graphrelay: /var/lib/graphrelay/*")
	m.kept(t, host(t, "rpm", "--root", m.root, "--erase", "graphrelay"))
	install()
	m.write("/var/lib/graphrelay/old/queue.db", "a store that was moved away", 0o640)
	_, second, _ := strings.Cut(host(t, "rpm", "--root", m.root, "--erase", "graphrelay"),
		"graphrelay: other files of /var/lib/graphrelay are kept in ")
	m.exists(t, "rpm -e", map[string]bool{strings.TrimSpace(second) + "/old/queue.db": true})
	install()
	m.stateFolder()
	host(t, "rpm", "--root", m.root, "--erase", "graphrelay")
	m.exists(t, "rpm -e", map[string]bool{"/var/lib/graphrelay": false, "/etc/graphrelay": false})
	if list := m.backups(); len(list) != 3 {
		t.Errorf("an empty queue was kept: %q", list)
	}
}
