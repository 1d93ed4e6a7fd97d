//go:build system

package system

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
	"graphrelay/relay/setup/certificate"
)

const (
	rollUnit  = "graphrelay-cert-roll.service"
	entraFile = "/etc/graphrelay/entra.pem"
	entraNote = "/etc/graphrelay/entra-renewal.json"
)

// rolls renews a certificate in the folder of root by the units that the package ships
// disabled; the running service, which cannot write there, loads the next one.
func (m *machine) rolls(t *testing.T) {
	const config = "/etc/graphrelay/config.yaml"
	good := m.read(config)
	m.certificate(t)
	m.write(config, regexp.MustCompile(`(?m)^( +)client_secret_file: .*`).ReplaceAllString(good,
		"${1}certificate_file: "+entraFile+"\n${1}certificate_renewal: auto\n${1}app_object_id: "+
			sandbox.DefaultObjectID+"\n${1}denied_mailbox: denied@contoso.com"), 0o640)
	if out := m.run("graphrelay", "check"); !strings.Contains(out, "graphrelay-cert-roll.timer") {
		t.Errorf("check does not name the timer:\n%s", out)
	}
	m.run("systemctl", "restart", "graphrelay.service")
	pid := m.property("graphrelay.service", "MainPID")
	if out, _ := m.try("systemctl", "is-enabled", "graphrelay-cert-roll.timer"); out != "disabled\n" {
		t.Errorf("as it is shipped the timer is %s", out)
	}
	m.run("systemctl", "enable", "--now", "graphrelay-cert-roll.timer")
	if next := m.property("graphrelay-cert-roll.timer", "NextElapseUSecRealtime"); next == "" {
		t.Error("the timer does not start anything")
	}
	first := m.read(entraFile)
	m.roll()
	m.shows(t, "status", "1 of 12 logins")
	m.shows(t, "doctor", "1 of 12 logins")
	m.anHourLater(t)
	m.roll()
	m.shows(t, "status", "the new one is in force")
	m.journal(t, "logging in again", "_PID="+pid)
	harness.Until(t, patience, "mail is sent with the next certificate", func() bool {
		m.send()
		return strings.Contains(m.run("graphrelay", "status", "--json"), `"sent": true`)
	})
	m.run("systemctl", "stop", rollUnit)
	m.run("systemctl", "start", rollUnit) // to its end
	m.journal(t, "verify found nothing wrong", "-u", rollUnit)
	m.shows(t, "status", "renews itself: from")
	m.arrived()
	if m.read(entraFile) == first || m.run("stat", "-c", "%a %U:%G", entraFile) != "640 root:graphrelay\n" {
		t.Errorf("%s is %s", entraFile, m.run("stat", "-c", "%a %U:%G", entraFile))
	}
	if now := m.property("graphrelay.service", "MainPID"); now != pid {
		t.Error("the service was restarted, not reloaded")
	}
	m.run("systemctl", "disable", "--now", "graphrelay-cert-roll.timer")
	m.write(config, good, 0o640)
	m.run("graphrelay", "sandbox", "tenant", "--consent", "Mail.Send")
	m.run("systemctl", "restart", "graphrelay.service")
	m.run("sh", "-c", "rm /etc/graphrelay/entra*")
}

// certificate gives the app a certificate that ends in two weeks, and makes the tenant
// refuse it other mailboxes than the relay's.
func (m *machine) certificate(t *testing.T) {
	pair, err := certificate.New(certificate.Request{Name: "relay", Days: 365, Bits: 2048,
		Now: time.Now().AddDate(0, 0, -350)})
	if err != nil {
		t.Fatal(err)
	}
	m.write(entraFile, string(pair.PEM), 0o640)
	m.run("chown", "root:graphrelay", entraFile)
	m.write("/root/entra.cer", string(pair.Cer), 0o644)
	m.run("graphrelay", "sandbox", "tenant", "--certificate", "/root/entra.cer", "--role", harness.Sender, "--role",
		"printer@contoso.com")
}

// roll starts the unit and leaves it at work.
func (m *machine) roll() {
	m.t.Helper()
	m.run("systemctl", "start", "--no-block", rollUnit)
}

// shows waits until a command prints words.
func (m *machine) shows(t *testing.T, command, words string) {
	t.Helper()
	out := ""
	if !harness.Holds(patience, func() bool {
		out, _ = m.try("graphrelay", command)
		return strings.Contains(out, words)
	}) {
		journal, _ := m.try("journalctl", "-q", "-n", "20", "--no-pager", "-u", rollUnit)
		t.Fatalf("%s does not say %q:\n%s\n%s", command, words, out, journal)
	}
}

// anHourLater stops the unit and changes its note as if eleven logins had succeeded.
func (m *machine) anHourLater(t *testing.T) {
	t.Helper()
	m.run("systemctl", "stop", rollUnit)
	var n map[string]any
	if err := json.Unmarshal([]byte(m.read(entraNote)), &n); err != nil {
		t.Fatal(err)
	}
	n["logins"], n["tried"] = 11, time.Now().Add(-6*time.Minute)
	data, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	m.write(entraNote, string(data), 0o640)
}
