//go:build system

package system

import (
	"bufio"
	"bytes"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
)

// onABootedDebian is the life of a package on a machine.
func onABootedDebian(t *testing.T, older, newer, rpm string) {
	m := boot(t)
	if out, err := m.install(older); err != nil {
		t.Fatalf("dpkg: %v\n%s", err, out)
	}
	if got := m.run("stat", "-c", "%a %U:%G", "/etc/graphrelay", "/etc/graphrelay/config.yaml"); got !=
		"755 root:graphrelay\n640 root:graphrelay\n" {
		t.Errorf("/etc/graphrelay and config.yaml are %s", got)
	}
	if got := m.run("readlink", "-f", "/usr/sbin/sendmail"); got != "/usr/bin/graphrelay\n" {
		t.Errorf("sendmail is %s", got)
	}
	m.configure()
	m.run("graphrelay", "check")
	m.start()
	t.Run("a start without warnings", func(t *testing.T) { m.quietStart(t) })

	m.send()
	m.run("sh", "-c", "printf 'From: notifications@contoso.com\\nTo: you@example.org\\nSubject: by "+
		"sendmail\\n\\nx\\n' | sendmail -t")
	m.accept("by sendmail")
	m.arrived()
	t.Run("local mail", func(t *testing.T) { m.localMail(t) })
	t.Run("local mail without a relay", func(t *testing.T) { m.withoutRelay(t) })
	t.Run("more addresses and ports", func(t *testing.T) { m.moreAddresses(t) })

	t.Run("hardening", func(t *testing.T) { m.hardening(t) })
	t.Run("taken over", func(t *testing.T) { m.takenOver(t) })
	t.Run("reload", func(t *testing.T) { m.reload(t) })
	t.Run("certificate renewed by root", func(t *testing.T) { m.rolls(t) })
	t.Run("cannot start", func(t *testing.T) { m.cannotStart(t) })
	t.Run("check", func(t *testing.T) { m.check(t) })
	t.Run("documents", func(t *testing.T) { m.documents(t) })
	t.Run("restart under load", func(t *testing.T) {
		m.underLoad(t, func() { m.run("systemctl", "restart", "graphrelay.service") })
	})
	m.arrived()
	t.Run("upgrade under load", func(t *testing.T) {
		m.run("chmod", "750", "/etc/graphrelay")
		m.write("/etc/graphrelay/loose.pem", "", 0o644)
		m.write("/etc/graphrelay/sendmail.conf", "", 0o644)
		m.underLoad(t, func() {
			if out, err := m.install(newer); err != nil {
				t.Errorf("dpkg: %v\n%s", err, out)
			}
		})
		if got := m.run("graphrelay", "version"); !strings.Contains(got, "1.0.1") {
			t.Errorf("after the upgrade: %s", got)
		}
		if got := m.read("/etc/graphrelay/config.yaml"); !strings.Contains(got, "endpoints") {
			t.Error("the upgrade replaced the configuration")
		}
		if got := m.run("sh", "-c", "cd /etc/graphrelay; stat -c '%a %U:%G %n' . *"); got != "755 root:graphrelay .\n"+
			"640 root:graphrelay ca.pem\n640 root:graphrelay config.yaml\n640 root:graphrelay loose.pem\n"+
			"600 root:root secret.txt\n644 root:root sendmail.conf\n" {
			t.Errorf("after the upgrade the folder of the configuration is\n%s", got)
		}
		m.run("rm", "/etc/graphrelay/loose.pem", "/etc/graphrelay/sendmail.conf")
	})
	m.arrived()
	t.Run("kill -9", func(t *testing.T) { m.comesBack(t, "SIGKILL", "signal") })
	t.Run("watchdog", func(t *testing.T) { m.watchdog(t) })
	m.send()
	m.arrived()
	t.Run("downgrade", func(t *testing.T) { m.downgrade(t, older) })
	t.Run("remove and purge", func(t *testing.T) { m.uninstall(t, newer, rpm) })
}

// configure starts the double of Microsoft 365 in the machine and writes a
// configuration for it, with the secret handed over by systemd.
func (m *machine) configure() {
	m.t.Helper()
	m.run("systemd-run", "--quiet", "--unit=sandbox", "graphrelay", "sandbox", "--dir", "/srv/sandbox")
	harness.Until(m.t, patience, "the files of the sandbox", func() bool {
		for file, end := range map[string]string{"config.yaml": "smtp:\n", "ca.pem": "-----END CERTIFICATE-----\n",
			"secret.txt": "\n"} {
			b, err := os.ReadFile(filepath.Join(m.root, "/srv/sandbox", file))
			if err != nil || !strings.Contains(string(b), end) {
				return false
			}
		}
		return true
	})
	keep, _, _ := strings.Cut(m.read("/srv/sandbox/config.yaml"), "smtp:\n")
	keep = regexp.MustCompile(`client_secret_file: .*`).ReplaceAllLiteralString(keep,
		"client_secret_file: ${CREDENTIALS_DIRECTORY}/secret.txt")
	keep = strings.ReplaceAll(keep, "/srv/sandbox/ca.pem", "/etc/graphrelay/ca.pem")
	keep = strings.Replace(keep, "senders:\n", "default_sender: notifications@contoso.com\n"+
		"aliases: {root: admin@contoso.com, alice: alice@contoso.com}\nsenders:\n  - address: printer@contoso.com\n", 1)
	m.run("cp", "/srv/sandbox/ca.pem", "/etc/graphrelay/ca.pem")
	m.run("cp", "/srv/sandbox/secret.txt", "/etc/graphrelay/secret.txt")
	m.write("/etc/graphrelay/config.yaml", keep+"smtp:\n  listeners:\n    - address: systemd:smtp\n", 0o640)
	m.write("/etc/systemd/system/graphrelay.service.d/test.conf",
		"[Service]\nLoadCredential=secret.txt:/etc/graphrelay/secret.txt\n", 0o644)
	m.run("chmod", "600", "/etc/graphrelay/secret.txt")
	m.run("chmod", "644", "/etc/graphrelay/ca.pem")
	m.run("systemctl", "daemon-reload")
}

func (m *machine) hardening(t *testing.T) {
	out := m.run("systemd-analyze", "security", "--no-pager", "graphrelay.service")
	match := regexp.MustCompile(`Overall exposure level for graphrelay.service: ([0-9.]+)`).FindStringSubmatch(out)
	if match == nil {
		t.Fatalf("no verdict in %s", out)
	}
	if level, err := strconv.ParseFloat(match[1], 64); err != nil || level > 1.1 {
		t.Errorf("exposure level %s, want 1.1 or lower\n%s", match[1], out)
	}
	pid := m.property("graphrelay.service", "MainPID")
	if caps := m.run("sh", "-c", "grep CapEff /proc/"+pid+"/status"); !strings.Contains(caps, "0000000000000000") {
		t.Errorf("the service has capabilities: %s", caps)
	}
	harness.Until(t, patience, "a status that counts the queue", func() bool {
		return strings.Contains(m.property("graphrelay.service", "StatusText"), "queued")
	})
	m.journal(t, "not Microsoft", "-u", "graphrelay.service", "-p", "4..4") // a warning, with its priority
}

func (m *machine) reload(t *testing.T) {
	const config = "/etc/graphrelay/config.yaml"
	good, pid := m.read(config), m.property("graphrelay.service", "MainPID")
	m.write(config, "hostname: renamed.example\n"+good, 0o640)
	m.run("systemctl", "reload", "graphrelay.service")
	if got := m.greeting(t); !strings.Contains(got, "renamed.example") {
		t.Errorf("after the reload: %s", got)
	}
	m.write(config, "hostnam: typo.example\n"+good, 0o640)
	if out, err := m.try("systemctl", "reload", "graphrelay.service"); err == nil {
		t.Errorf("a bad configuration was reloaded: %s", out)
	}
	if out, err := m.try("graphrelay", "reload"); err == nil || !strings.Contains(out, "config.yaml:1: hostnam") {
		t.Errorf("graphrelay reload: %v: %s", err, out)
	}
	if got := m.greeting(t); !strings.Contains(got, "renamed.example") {
		t.Errorf("after the refused reload: %s", got)
	}
	m.write(config, good, 0o640)
	m.run("graphrelay", "reload")
	if now := m.property("graphrelay.service", "MainPID"); now != pid ||
		m.property("graphrelay.service", "ActiveState") != "active" {
		t.Errorf("a reload changed the process: %s, was %s", now, pid)
	}
}

func (m *machine) greeting(t *testing.T) string {
	nc, err := m.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	return firstLine(nc)
}

func firstLine(nc net.Conn) string {
	line, _ := bufio.NewReader(nc).ReadString('\n')
	return line
}

// comesBack sends a signal to the service and waits until systemd has it back.
func (m *machine) comesBack(t *testing.T, signal, result string) {
	before := m.property("graphrelay.service", "MainPID")
	m.run("systemctl", "kill", "-s", signal, "--kill-whom=main", "graphrelay.service")
	harness.Until(t, patience, "another process", func() bool {
		now := m.property("graphrelay.service", "MainPID")
		return now != before && now != "0" && m.property("graphrelay.service", "ActiveState") == "active"
	})
	m.journal(t, "result '"+result+"'", "_PID=1")
}

// journal waits until an entry of the journal, chosen by match, has the text.
func (m *machine) journal(t *testing.T, text string, match ...string) {
	t.Helper()
	harness.Until(t, patience, "an entry of the journal with "+text, func() bool {
		return strings.Contains(m.run(append([]string{"journalctl", "-q", "--no-pager"}, match...)...), text)
	})
}

// watchdog stops the service's process, which then does not tell that it is
// alive. Only for this is the time short within which it must.
func (m *machine) watchdog(t *testing.T) {
	const dropIn = "/etc/systemd/system/graphrelay.service.d/watchdog.conf"
	m.write(dropIn, "[Service]\nWatchdogSec=6s\n", 0o644)
	m.run("systemctl", "daemon-reload")
	m.run("systemctl", "restart", "graphrelay.service")
	m.comesBack(t, "SIGSTOP", "watchdog")
	m.run("rm", dropIn)
	m.run("systemctl", "daemon-reload")
	m.run("systemctl", "restart", "graphrelay.service")
}

// downgrade fails where the store was written by a newer version.
func (m *machine) downgrade(t *testing.T, older string) {
	m.run("systemctl", "stop", "graphrelay.service")
	store := filepath.Join(m.root, "/var/lib/graphrelay/queue.db")
	b, err := os.ReadFile(store)
	if err != nil {
		t.Fatal(err)
	}
	newer := bytes.Clone(b)
	newer[63] = 99 // user_version
	if err := os.WriteFile(store, newer, 0o640); err != nil {
		t.Fatal(err)
	}
	if out, err := m.install(older); err == nil || !strings.Contains(out, "newer version") {
		t.Errorf("a downgrade over a newer store: %v\n%s", err, out)
	}
	if got := m.run("graphrelay", "version"); !strings.Contains(got, "1.0.1") {
		t.Errorf("after the refused downgrade: %s", got)
	}
	if err := os.WriteFile(store, b, 0o640); err != nil {
		t.Fatal(err)
	}
	m.run("systemctl", "start", "graphrelay.service")
}
