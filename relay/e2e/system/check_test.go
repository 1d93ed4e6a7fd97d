//go:build system

package system

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
)

// check breaks one thing at a time that only the service meets: check must name it,
// as the service then proves by not starting. What mends it makes check pass, and
// the service start.
func (m *machine) check(t *testing.T) {
	const file, dropIn = "/etc/graphrelay/config.yaml", "/etc/systemd/system/graphrelay.service.d/check.conf"
	good := m.read(file)
	set := func(text string) func() { return func() { m.write(file, text, 0o640) } }
	add := func(listener string) func() { return set(good + "    - address: " + listener + "\n") }
	run := func(command ...string) func() { return func() { m.run(command...) } }
	root := run("sh", "-c", "cp /srv/sandbox/ca.pem /root/ca.pem; chmod 755 /root; chmod 644 /root/ca.pem")
	for _, c := range []struct {
		name          string
		breaks, mends func()
		want          string
	}{
		{"the configuration", run("chmod", "600", file), run("chmod", "640", file),
			"config.yaml: cannot be read by the service"},
		{"a file", run("chmod", "600", "/etc/graphrelay/ca.pem"), run("chmod", "644", "/etc/graphrelay/ca.pem"),
			"ca_file: cannot be read by user graphrelay"},
		{"a hidden folder", func() {
			root()
			set(strings.ReplaceAll(good, "/etc/graphrelay/ca.pem", "/root/ca.pem"))()
		}, set(good), "ca_file: is in a folder that the service does not see"},
		{"a folder outside", set(good + "queue: {store: \"sqlite:/srv/queue.db\"}\n"), set(good),
			"queue.store: is in a folder that the service's sandbox makes read-only"},
		{"a credential", set(strings.ReplaceAll(good, "/secret.txt", "/other.txt")), set(good),
			"is a credential that systemd does not hand over"},
		{"a credential's file", func() { m.write(dropIn, "[Service]\nLoadCredential=x:/nowhere\n", 0o644) },
			func() { m.remove(dropIn) }, "the file of LoadCredential=x:/nowhere does not exist"},
		{"a socket", add("systemd:submission"), run("systemctl", "enable", "graphrelay-submission.socket"),
			"needs graphrelay-submission.socket, which is not enabled"},
		{"a name", add("systemd:other"), set(good + "    - address: systemd:submission\n"),
			"has no socket unit that opens it"},
		{"a low port", add("127.0.0.1:26"), set(good), "needs a privilege that user graphrelay lacks"},
		{"a port", func() {
			run("systemctl", "disable", "--now", "graphrelay-submission.socket")()
			run("systemctl", "stop", "graphrelay.service", "graphrelay-smtp.socket")()
			run("systemd-run", "--quiet", "--unit=other", "systemd-socket-activate", "-l", "127.0.0.1:25", "sleep",
				"1d")()
			harness.Until(t, patience, "another listener", func() bool { _, err := m.dial(); return err == nil })
		}, run("systemctl", "stop", "other.service"), "is in use by sleep of other.service"},
	} {
		c.breaks()
		m.run("systemctl", "daemon-reload")
		if out, err := m.try("graphrelay", "check"); err == nil || !strings.Contains(out, c.want) ||
			!strings.Contains(out, "checked as the service: user graphrelay, in the sandbox of graphrelay.service\n") {
			t.Errorf("%s: %v: %s, want %s", c.name, err, out, c.want)
		}
		if _, err := m.try("systemctl", "restart", "graphrelay.service"); err == nil {
			t.Errorf("%s: the service starts", c.name)
		}
		c.mends()
		m.run("systemctl", "daemon-reload")
		m.run("graphrelay", "check")
		m.run("systemctl", "restart", "graphrelay.service")
	}
	m.run("chmod", "700", "/root")
	m.checkByIDs(t)
	m.send()
	m.arrived()
}

// checkByIDs checks where systemd cannot be asked to run a program, and as the
// service's user: by IDs alone, which check says.
func (m *machine) checkByIDs(t *testing.T) {
	const alone = "checked with the IDs of user graphrelay alone"
	if out, err := m.try("runuser", "-u", "graphrelay", "--", "graphrelay", "check"); !strings.Contains(out, alone) {
		t.Errorf("as the user: %v: %s", err, out)
	}
	m.run("systemctl", "stop", "dbus.socket", "dbus.service")
	defer m.run("systemctl", "start", "dbus.socket")
	if out := m.run("graphrelay", "check"); !strings.Contains(out, alone) || !strings.Contains(out, "systemd-run: ") {
		t.Errorf("without a bus: %s", out)
	}
	m.run("chmod", "600", "/etc/graphrelay/ca.pem")
	if out, err := m.try("graphrelay", "check"); err == nil || !strings.Contains(out, "ca_file: cannot be read") {
		t.Errorf("without a bus, with a file of root: %v: %s", err, out)
	}
	m.run("chmod", "644", "/etc/graphrelay/ca.pem")
}

// documents takes each configuration of the documents through check, the command
// that check prints, and a first mail.
func (m *machine) documents(t *testing.T) {
	const file = "/etc/graphrelay/config.yaml"
	good := m.read(file)
	m.run("graphrelay", "cert", "new", "--out", "/etc/graphrelay", "--bits", "2048")
	m.run("graphrelay", "sandbox", "tenant", "--certificate", "/etc/graphrelay/entra.cer",
		"--role", "notifications@contoso.com", "--role", "erp@contoso.com")
	certificate, key := harness.Certificate(t)
	for to, from := range map[string]string{"tls.crt": certificate, "tls.key": key} {
		host(t, "install", "-m", "640", from, filepath.Join(m.root, "/etc/graphrelay", to))
		m.run("chgrp", "graphrelay", "/etc/graphrelay/"+to)
	}
	hash := strings.TrimSpace(m.run("sh", "-c", "echo a-long-password | graphrelay passwd"))
	examples := configurations(t)
	for _, name := range []string{"README.md", "front-door.md", "graphrelay-config.5.scd", "config.yaml"} {
		if len(examples[name]) == 0 {
			t.Fatalf("found no example in %s; the search is broken", name)
		}
	}
	units := []string{"graphrelay.service", "graphrelay-smtp.socket", "graphrelay-smtps.socket",
		"graphrelay-submission.socket", "graphrelay-submit.socket"}
	for name, texts := range examples {
		for i, text := range texts {
			subject := fmt.Sprintf("example %d of %s", i+1, name)
			m.run(append([]string{"systemctl", "disable", "--quiet", "--now"}, units...)...)
			m.write(file, complete(text, good, hash), 0o640)
			out, err := m.try("graphrelay", "check")
			_, start, ok := strings.Cut(strings.TrimSpace(out), "start it: ")
			if err != nil || !ok {
				t.Errorf("%s: check: %v: %s\nof\n%s", name, err, out, m.read(file))
				continue
			}
			m.run("sh", "-c", start)
			m.run("graphrelay", "send", "--to", "you@example.org", "--subject", subject)
			m.accept(subject)
			m.arrived()
			if name == "README.md" && !strings.Contains(readDocument(t, "README.md"), "\n"+start+"\n") {
				t.Errorf("README does not start the service by %s", start)
			}
		}
	}
	m.write(file, good, 0o640)
	for _, name := range []string{"entra.pem", "entra.cer", "tls.crt", "tls.key"} {
		m.remove("/etc/graphrelay/" + name)
	}
	m.run("systemctl", "enable", "graphrelay-smtp.socket", "graphrelay-submit.socket", "graphrelay.service")
	m.run("systemctl", "restart", "graphrelay.service")
}

func readDocument(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(harness.ModuleDir(t), path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// configurations finds every example of a configuration in the documents, by the
// name of the document. Those of other programs and single lines are none.
func configurations(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{"config.yaml": {readDocument(t, "packaging/config.yaml")}}
	pages, err := filepath.Glob(filepath.Join(harness.ModuleDir(t), "packaging", "man", "*.scd"))
	if err != nil {
		t.Fatal(err)
	}
	files := []string{"README.md", "packaging/doc/front-door.md", "packaging/doc/console.md",
		"packaging/doc/large-mail.md"}
	for _, page := range pages {
		files = append(files, "packaging/man/"+filepath.Base(page))
	}
	for _, file := range files {
		for i, part := range strings.Split("\n"+readDocument(t, file), "\n```") {
			kind, text, _ := strings.Cut(part, "\n")
			if text += "\n"; i%2 == 1 && (kind == "" || kind == "yaml") && section.MatchString(text) {
				all[filepath.Base(file)] = append(all[filepath.Base(file)], text)
			}
		}
	}
	return all
}

// section is the first line of a section of the configuration.
var section = regexp.MustCompile("(?m)^(identities|senders|smtp|clients|console|delivery|queue|mailboxes|metrics):.*\n")

// complete adds to an example what it leaves out, as in good, and has it speak to
// the double.
func complete(example, good, hash string) string {
	for _, name := range []string{"identities", "senders"} {
		if !strings.Contains(example, name+":\n") {
			begin := strings.Index(good, name+":\n")
			end := begin + len(name) + 2
			for end < len(good) && strings.HasPrefix(good[end:], " ") {
				end += strings.Index(good[end:], "\n") + 1
			}
			example += "\n" + good[begin:end]
		}
	}
	if !strings.Contains(example, "address: erp@") {
		example = strings.Replace(example, "senders:\n", "senders:\n  - address: erp@contoso.com\n", 1)
	}
	for _, key := range []string{"tenant_id", "client_id"} {
		value := regexp.MustCompile(key + ": .*").FindString(good)
		example = regexp.MustCompile(key+": .*").ReplaceAllString(example, value)
	}
	if !strings.Contains(example, "endpoints:") {
		double := regexp.MustCompile("(?m)^    (ca_file|endpoints): .*\n").FindAllString(good, -1)
		example = regexp.MustCompile("(?m)^(    client_id: .*\n)").ReplaceAllString(example,
			"${1}"+strings.Join(double, ""))
	}
	return regexp.MustCompile(`"\$2[ay]\$1[02]\$\.\.\."`).ReplaceAllLiteralString(example, `"`+hash+`"`)
}
