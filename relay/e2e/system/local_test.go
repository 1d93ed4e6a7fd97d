//go:build system

package system

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
)

// localMail sends as every kind of user, by sendmail and by the programs of Debian
// that call it. The configuration names printer@contoso.com first, and that is not
// the address of local mail.
func (m *machine) localMail(t *testing.T) {
	m.run("useradd", "--create-home", "alice")
	for _, user := range []string{"root", "alice", "www-data", "nobody"} {
		if out, code := m.sendmail(user, "sendmail of "+user); out != "" || code != "0" {
			t.Errorf("sendmail of %s: exit code %s: %s", user, code, out)
		}
		m.delivered(t, "^Subject: sendmail of "+user, "^From: .*notifications@contoso.com")
	}
	m.write("/etc/graphrelay/sendmail.conf", "submit: unix:/nowhere\n", 0o600)
	out, code := m.sendmail("nobody", "past a closed file")
	if !strings.Contains(out, "run as root: chmod 644 /etc/graphrelay/sendmail.conf;") || code != "0" {
		t.Errorf("with a sendmail.conf of root alone: exit code %s: %s", code, out)
	}
	m.run("rm", "/etc/graphrelay/sendmail.conf")
	m.run("chmod", "750", "/etc/graphrelay")
	out, code = m.sendmail("alice", "past a closed folder")
	if !strings.Contains(out, "run as root: chmod 755 /etc/graphrelay;") || code != "0" {
		t.Errorf("with a closed folder: exit code %s: %s", code, out)
	}
	m.run("chmod", "755", "/etc/graphrelay")

	m.run("sh", "-c", "echo '@reboot echo cron-of-alice' | crontab -u alice -; rm -f /run/crond.reboot")
	m.run("systemctl", "restart", "cron.service")
	m.run("runuser", "-u", "alice", "--", "sh", "-c", "echo 'echo at-of-alice' | at now")
	_, _ = m.try("mdadm", "--monitor", "--test", "--oneshot", "--mail=root", "/dev/md0")
	if out, code := m.php("php of www-data"); code != "0" {
		t.Errorf("mail() of PHP: exit code %s: %s", code, out)
	}
	m.delivered(t, "^cron-of-alice", "^To: alice@contoso.com", "^From: Cron Daemon <notifications@contoso.com>")
	m.delivered(t, "^at-of-alice", "^To: alice@contoso.com", "^From: .*notifications@contoso.com")
	m.delivered(t, "TestMessage event", "^To: admin@contoso.com", "^From: mdadm monitoring <notifications@contoso.com>")
	m.delivered(t, "^Subject: php of www-data", "^To: you@example.org", "^From: .*notifications@contoso.com")
	m.delivered(t, "past a closed file")
	m.delivered(t, "past a closed folder")
}

// withoutRelay sends while nothing listens: a home keeps the message, and without
// one the exit code asks the caller to keep it.
func (m *machine) withoutRelay(t *testing.T) {
	m.run("systemctl", "stop", "graphrelay.service", "graphrelay-smtp.socket", "graphrelay-submit.socket")
	for user, want := range map[string]string{
		"root":     "saved in /root/dead.letter",
		"alice":    "saved in /home/alice/dead.letter",
		"www-data": "only the program that called sendmail still has it",
		"nobody":   "only the program that called sendmail still has it",
	} {
		if out, code := m.sendmail(user, "into the void"); !strings.Contains(out, want) || code != "75" {
			t.Errorf("sendmail of %s without a relay: exit code %s, want 75: %s", user, code, out)
		}
	}
	if !strings.Contains(m.read("/home/alice/dead.letter"), "Subject: into the void\n") {
		t.Error("dead.letter of alice lacks the message")
	}
	if out, code := m.php("into the void"); code != "1" {
		t.Errorf("mail() of PHP without a relay: exit code %s, want 1 for false: %s", code, out)
	}
	m.run("systemctl", "start", "graphrelay-smtp.socket", "graphrelay-submit.socket", "graphrelay.service")
}

// sendmail sends a message of a user, and returns what was printed and the exit code.
func (m *machine) sendmail(user, subject string) (out, code string) {
	m.t.Helper()
	return m.exits("runuser", "-u", user, "--", "sh", "-c",
		"printf 'To: you@example.org\\nSubject: "+subject+"\\n\\nx\\n' | sendmail -t")
}

// php sends by PHP's mail() as www-data; the exit code is 1 where it returns false.
func (m *machine) php(subject string) (out, code string) {
	m.t.Helper()
	return m.exits("runuser", "-u", "www-data", "--", "php", "-r",
		"exit(mail('you@example.org', '"+subject+"', 'x') ? 0 : 1);")
}

// exits runs a program, and returns what it printed and its exit code.
func (m *machine) exits(command ...string) (out, code string) {
	m.t.Helper()
	out = m.run(append([]string{"sh", "-c", `"$@"; echo "exit code $?"`, "sh"}, command...)...)
	out, code, _ = strings.Cut(out, "exit code ")
	return out, strings.TrimSpace(code)
}

// delivered waits until the double has a message with lines by all of these patterns.
func (m *machine) delivered(t *testing.T, lines ...string) {
	t.Helper()
	harness.Until(t, patience, "a message with "+strings.Join(lines, " and "), func() bool {
		list, _ := filepath.Glob(filepath.Join(m.root, "/srv/sandbox/messages", "*.eml"))
		for _, path := range list {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			has := true
			for _, line := range lines {
				has = has && regexp.MustCompile("(?m)"+line).Match(b)
			}
			if has {
				return true
			}
		}
		return false
	})
}

// quietStart wants no warning of systemd about the units, and none in the journal
// of the first start beyond those for a double without a denied mailbox.
func (m *machine) quietStart(t *testing.T) {
	units := []string{"graphrelay.service", "graphrelay-smtp.socket", "graphrelay-smtps.socket",
		"graphrelay-submission.socket", "graphrelay-submit.socket", "graphrelay-failed.target",
		"graphrelay-repaired.path", "graphrelay-repaired.timer"}
	for _, command := range [][]string{
		append([]string{"systemd-analyze", "verify", "--man=no"}, units...), // the machine has no man
		{"systemd-tmpfiles", "--create", "graphrelay.conf"},
		{"systemd-sysusers", "graphrelay.conf"},
	} {
		if out := m.run(command...); out != "" {
			t.Errorf("%s: %s", strings.Join(command, " "), out)
		}
	}
	m.journal(t, "no denied_mailbox", "-u", "graphrelay.service", "-p", "warning") // the last of them
	out := m.run("journalctl", "-q", "--no-pager", "-o", "cat", "-p", "warning", "-u", "graphrelay*")
	for line := range strings.Lines(out) {
		if !strings.Contains(line, "not Microsoft") && !strings.Contains(line, "no denied_mailbox") {
			t.Errorf("a warning at the start: %s", line)
		}
	}
}

// moreAddresses follows the manual: a drop-in with more addresses and ports, among
// them one that the host does not have yet, keeps loopback.
func (m *machine) moreAddresses(t *testing.T) {
	m.write("/etc/systemd/system/graphrelay-smtp.socket.d/override.conf",
		"[Socket]\nListenStream=10.1.2.1:25\nListenStream=10.1.2.1:2525\n", 0o644)
	m.run("systemctl", "daemon-reload") // as systemctl edit does
	m.run("systemctl", "stop", "graphrelay.service", "graphrelay-smtp.socket", "graphrelay-submit.socket")
	m.run("systemctl", "start", "graphrelay-smtp.socket", "graphrelay-submit.socket", "graphrelay.service")
	m.journal(t, `listeners="[127.0.0.1:25 [::1]:25 10.1.2.1:25 10.1.2.1:2525 unix:/run/graphrelay/submit.sock]"`,
		"-u", "graphrelay.service")
	if got := m.greeting(t); !strings.HasPrefix(got, "220 ") {
		t.Errorf("on loopback: %s", got)
	}
}
