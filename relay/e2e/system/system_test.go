//go:build system

package system

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
)

const patience = 60 * time.Second

// packages builds a package and a newer one of the same source.
func packages(t *testing.T) (older, newer string) {
	t.Helper()
	if _, err := exec.LookPath("scdoc"); err != nil {
		foreign.LeaveOut(t, "scdoc is not installed")
	}
	build := func(version string) string {
		dir := t.TempDir()
		cmd := exec.Command("go", "run", ".", "-root", "../..", "-out", dir, "-version", version, "-arch", "amd64")
		cmd.Dir = "../../../packaging/pack"
		cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("pack: %v\n%s", err, out)
		}
		list, _ := filepath.Glob(filepath.Join(dir, "*.deb"))
		if len(list) != 1 {
			t.Fatalf("packages: %v", list)
		}
		return list[0]
	}
	older, newer = build("v1.0.0"), build("v1.0.1")
	again := build("v1.0.0")
	same(t, older, again)
	same(t, strings.TrimSuffix(filepath.Dir(older), "/")+"/graphrelay_1.0.0_amd64.cdx.json", filepath.Dir(again)+"/graphrelay_1.0.0_amd64.cdx.json")
	for _, dir := range []string{filepath.Dir(older)} {
		rpms, _ := filepath.Glob(filepath.Join(dir, "*.rpm"))
		for _, r := range rpms {
			same(t, r, filepath.Join(filepath.Dir(again), filepath.Base(r)))
		}
	}
	return older, newer
}

// same fails where the same source has made other bytes.
func same(t *testing.T, a, b string) {
	t.Helper()
	x, errX := os.ReadFile(a)
	y, errY := os.ReadFile(b)
	if errX != nil || errY != nil || !bytes.Equal(x, y) {
		t.Errorf("%s was made twice and differs (%v, %v)", filepath.Base(a), errX, errY)
	}
}

func TestPackageOnABootedDebian(t *testing.T) {
	older, newer := packages(t)
	if _, err := exec.LookPath("lintian"); err != nil {
		foreign.LeaveOut(t, "lintian is not installed")
	}
	host(t, "lintian", "--allow-root", "--fail-on", "error,warning", older)
	m := boot(t)
	if out, err := m.install(older); err != nil {
		t.Fatalf("dpkg: %v\n%s", err, out)
	}
	if got := m.run("stat", "-c", "%a %U:%G", "/etc/graphrelay/config.yaml"); got != "640 root:graphrelay\n" {
		t.Errorf("config.yaml is %s", got)
	}
	if got := m.run("readlink", "-f", "/usr/sbin/sendmail"); got != "/usr/bin/graphrelay\n" {
		t.Errorf("sendmail is %s", got)
	}
	m.configure()
	m.run("graphrelay", "check")
	m.run("systemctl", "enable", "--now", "graphrelay-smtp.socket", "graphrelay-submit.socket", "graphrelay.service")

	sent := m.send("127.0.0.1:25")
	m.arrived(sent)
	m.run("sh", "-c", "printf 'From: notifications@contoso.com\\nTo: you@example.org\\nSubject: by sendmail\\n\\nx\\n' | sendmail -t")
	sent++
	m.arrived(sent)

	t.Run("hardening", func(t *testing.T) { m.hardening(t) })
	t.Run("reload", func(t *testing.T) { m.reload(t) })
	t.Run("restart under load", func(t *testing.T) {
		sent += m.underLoad(t, func() { m.run("systemctl", "restart", "graphrelay.service") })
	})
	m.arrived(sent)
	t.Run("upgrade under load", func(t *testing.T) {
		sent += m.underLoad(t, func() {
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
	})
	m.arrived(sent)
	t.Run("kill -9", func(t *testing.T) { m.comesBack(t, "SIGKILL", "signal") })
	t.Run("watchdog", func(t *testing.T) { m.comesBack(t, "SIGSTOP", "watchdog") })
	sent += m.send("127.0.0.1:25")
	m.arrived(sent)
	t.Run("downgrade", func(t *testing.T) { m.downgrade(t, older) })
	t.Run("remove and purge", func(t *testing.T) { m.remove(t) })
}

// configure starts the double of Microsoft 365 in the machine and writes a
// configuration for it, with the secret handed over by systemd.
func (m *machine) configure() {
	m.t.Helper()
	m.run("systemd-run", "--quiet", "--unit=sandbox", "graphrelay", "sandbox", "--dir", "/srv/sandbox")
	harness.Until(m.t, patience, "the sandbox", func() bool {
		_, err := os.Stat(filepath.Join(m.root, "/srv/sandbox/config.yaml"))
		return err == nil
	})
	made := m.read("/srv/sandbox/config.yaml")
	keep, _, _ := strings.Cut(made, "smtp:\n")
	keep = regexp.MustCompile(`client_secret_file: .*`).ReplaceAllLiteralString(keep, "client_secret_file: ${CREDENTIALS_DIRECTORY}/secret.txt")
	keep = strings.ReplaceAll(keep, "/srv/sandbox/ca.pem", "/etc/graphrelay/ca.pem")
	m.run("cp", "/srv/sandbox/ca.pem", "/etc/graphrelay/ca.pem")
	m.run("cp", "/srv/sandbox/secret.txt", "/etc/graphrelay/secret.txt")
	m.write("/etc/graphrelay/config.yaml", keep+"smtp:\n  listeners:\n    - address: systemd:smtp\n", 0o640)
	m.write("/etc/systemd/system/graphrelay.service.d/test.conf",
		"[Service]\nLoadCredential=secret.txt:/etc/graphrelay/secret.txt\nWatchdogSec=6s\n", 0o644)
	m.run("chmod", "600", "/etc/graphrelay/secret.txt")
	m.run("chmod", "644", "/etc/graphrelay/ca.pem")
	m.run("systemctl", "daemon-reload")
}

// arrived waits until the double has n messages.
func (m *machine) arrived(n int) {
	m.t.Helper()
	var got int
	if !harness.Holds(patience, func() bool {
		list, _ := filepath.Glob(filepath.Join(m.root, "/srv/sandbox/messages/*.eml"))
		got = len(list)
		return got >= n
	}) {
		status, _ := m.try("graphrelay", "status")
		m.t.Fatalf("%d messages arrived, want %d\n%s", got, n, status)
	}
}

// send sends one message and returns 1.
func (m *machine) send(addr string) int {
	m.t.Helper()
	if err := m.submit(addr); err != nil {
		m.t.Fatal(err)
	}
	return 1
}

func (m *machine) submit(addr string) error {
	nc, err := m.dial(addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(60 * time.Second))
	r := bufio.NewReader(nc)
	for _, step := range []struct{ say, want string }{
		{"", "220"}, {"HELO c", "250"}, {"MAIL FROM:<notifications@contoso.com>", "250"}, {"RCPT TO:<you@example.org>", "250"}, {"DATA", "354"},
		{"From: notifications@contoso.com\r\nTo: you@example.org\r\nSubject: x\r\n\r\nx\r\n.", "250"}, {"QUIT", "221"},
	} {
		if step.say != "" {
			if _, err := fmt.Fprintf(nc, "%s\r\n", step.say); err != nil {
				return err
			}
		}
		line, err := r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("after %.20q: %w", step.say, err)
		}
		if !strings.HasPrefix(line, step.want) {
			return fmt.Errorf("after %.20q: %s", step.say, line)
		}
	}
	return nil
}

// underLoad sends from four clients while do runs, and after it. No connection
// may be refused. What a client was told 421 it sends again; the number of
// messages with 250 is returned.
func (m *machine) underLoad(t *testing.T, do func()) int {
	stop := make(chan struct{})
	var mu sync.Mutex
	var accepted int
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				err := m.submit("127.0.0.1:25")
				mu.Lock()
				if err == nil {
					accepted++
				}
				mu.Unlock()
				if err != nil && strings.Contains(err.Error(), "refused") {
					t.Errorf("a connection was refused: %v", err)
				}
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
	counted := func() int { mu.Lock(); defer mu.Unlock(); return accepted }
	harness.Until(t, patience, "mail before", func() bool { return counted() >= 8 })
	do()
	before := counted()
	harness.Until(t, patience, "mail after", func() bool { return counted() >= before+8 })
	close(stop)
	clients.Wait()
	return accepted
}

func (m *machine) hardening(t *testing.T) {
	out := m.run("systemd-analyze", "security", "--no-pager", "graphrelay.service")
	match := regexp.MustCompile(`Overall exposure level for graphrelay.service: ([0-9.]+)`).FindStringSubmatch(out)
	if match == nil {
		t.Fatalf("no verdict in %s", out)
	}
	if level, err := strconv.ParseFloat(match[1], 64); err != nil || level > 1.2 {
		t.Errorf("exposure level %s, want 1.2 or lower\n%s", match[1], out)
	}
	pid := m.property("graphrelay.service", "MainPID")
	if caps := m.run("sh", "-c", "grep CapEff /proc/"+pid+"/status"); !strings.Contains(caps, "0000000000000000") {
		t.Errorf("the service has capabilities: %s", caps)
	}
	if got := m.property("graphrelay.service", "StatusText"); !strings.Contains(got, "queued") {
		t.Errorf("StatusText = %q", got)
	}
	if out := m.run("journalctl", "-q", "--no-pager", "-u", "graphrelay.service", "-p", "4..4"); !strings.Contains(out, "not Microsoft") {
		t.Errorf("no warning with its priority in the journal: %s", out)
	}
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
	if now := m.property("graphrelay.service", "MainPID"); now != pid || m.property("graphrelay.service", "ActiveState") != "active" {
		t.Errorf("a reload changed the process: %s, was %s", now, pid)
	}
}

func (m *machine) greeting(t *testing.T) string {
	nc, err := m.dial("127.0.0.1:25")
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
	if out := m.run("journalctl", "-q", "--no-pager", "_PID=1"); !strings.Contains(out, "result '"+result+"'") {
		t.Errorf("systemd does not tell that the result was %q", result)
	}
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

func (m *machine) remove(t *testing.T) {
	m.run("dpkg", "--remove", "graphrelay")
	for path, want := range map[string]bool{"/var/lib/graphrelay/queue.db": true, "/etc/graphrelay/config.yaml": true, "/usr/bin/graphrelay": false, "/usr/sbin/sendmail": false} {
		if _, err := os.Lstat(filepath.Join(m.root, path)); (err == nil) != want {
			t.Errorf("after the removal: %s there: %v, want %v", path, err == nil, want)
		}
	}
	m.run("rm", "/etc/graphrelay/secret.txt", "/etc/graphrelay/ca.pem")
	m.run("dpkg", "--purge", "graphrelay")
	for _, path := range []string{"/var/lib/graphrelay", "/etc/graphrelay"} {
		if _, err := os.Lstat(filepath.Join(m.root, path)); err == nil {
			t.Errorf("after the purge: %s is there", path)
		}
	}
}
