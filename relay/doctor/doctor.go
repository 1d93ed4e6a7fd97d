// Package doctor examines this host for whatever keeps mail from flowing: files
// and their modes, ports and who holds them, disk, store, systemd, the networks
// of the clients, and the connection to Entra and Graph.
//
// # Promises
//
// It sends no mail and changes nothing. Each symptom that is not ok ends with
// what to do about it. Whatever cannot be examined from here, such as a firewall
// between two networks or the sockets of another user's program, is reported as
// a warning and never as ok. Examine does not fail: what goes wrong in it is a
// symptom.
//
// # What it must not know
//
// The running service, beyond what its admin socket answers.
package doctor

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"graphrelay/config"
	"graphrelay/relay/admin"
	"graphrelay/relay/verify"
)

// Symptom is one line of the doctor.
type Symptom struct {
	Mark   verify.Mark `json:"mark"`
	About  string      `json:"about"`
	Text   string      `json:"text"`
	Remedy string      `json:"remedy,omitempty"`
}

// examiner examines this host and what it reaches.
type examiner struct {
	c       *config.Config
	version string
	running bool // a service with this configuration answers
	report  func(Symptom)
}

// Examine reports everything that can be found out from this host, each with what
// to do about it. Run it as the service's user or as root.
func Examine(ctx context.Context, c *config.Config, file, version string, report func(Symptom)) {
	d := &examiner{c: c, version: version, report: report}
	d.service(ctx)
	d.host(CheckHost(ctx, c, file))
	d.ports()
	d.disk()
	d.store(ctx)
	d.unit(ctx)
	d.clients()
	d.identities(ctx)
	d.renewals()
}

func (d *examiner) ok(about, format string, args ...any) {
	d.report(Symptom{Mark: verify.OK, About: about, Text: fmt.Sprintf(format, args...)})
}

func (d *examiner) fail(about, text, remedy string) {
	d.report(Symptom{Mark: verify.Fail, About: about, Text: text, Remedy: remedy})
}

func (d *examiner) warn(about, text, remedy string) {
	d.report(Symptom{Mark: verify.Warn, About: about, Text: text, Remedy: remedy})
}

// service asks the running service for its status.
func (d *examiner) service(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	s, err := admin.Dial(d.c.Admin.Address.Address).Status(ctx)
	if err != nil {
		d.warn("service", "it does not answer at "+d.c.Admin.Address.String(),
			"start it (systemctl start graphrelay), or run this as root or as a member of the group graphrelay")
		return
	}
	d.running = true
	if s.Healthy {
		d.ok("service", "version %s, running since %s", s.Version, s.Started.Local().Format(time.RFC3339))
	}
	for _, p := range s.Problems {
		what := p.Headline
		if p.Detail != "" {
			what += " [" + p.Detail + "]"
		}
		if s.Healthy {
			d.warn("service", what, p.Remedy)
		} else {
			d.fail("service", what, p.Remedy)
		}
	}
	for _, w := range s.Warnings {
		d.warn("service", w, "see graphrelay status")
	}
}

// host reports what `graphrelay check` finds: files with their modes and owners,
// folders, ports, warnings, credentials and the listeners' certificate.
func (d *examiner) host(h Host) {
	for _, p := range h.Found {
		d.fail("host", strings.TrimSpace(p.Key+" "+p.Wrong), p.Remedy)
	}
	if h.Wrong != "" {
		d.fail("host", h.Wrong, "see graphrelay check")
	}
	if h.Sound() {
		d.ok("host", "files, modes, owners and folders are correct; %s", h.As)
	}
	for _, w := range h.Warnings {
		switch {
		case w.Key == "": // it is not in the file, but beside it
			d.warn("host", w.File+" "+w.Wrong, w.Remedy)
		case strings.HasPrefix(w.Key, "smtp."), strings.HasPrefix(w.Key, "identities["):
			d.warn("host", w.Key+" "+w.Wrong, w.Remedy)
		default:
			d.warn("sender", w.Text+" "+w.Wrong, w.Remedy)
		}
	}
}

// unit asks systemd how the service runs.
func (d *examiner) unit(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", "show", "graphrelay.service",
		"--property=LoadState,ActiveState,UnitFileState,User,NoNewPrivileges,ProtectSystem").Output()
	if err != nil {
		d.warn("systemd", "it does not answer, or this host has none",
			"make sure that something else restarts graphrelay after a failure and starts it at boot")
		return
	}
	d.unitState(parseUnit(string(out)))
}

// unitState judges the properties of the unit.
func (d *examiner) unitState(s map[string]string) {
	const packaged = "use the package's unit"
	switch {
	case s["LoadState"] != "loaded":
		d.warn("systemd", "there is no unit graphrelay.service", "install the package, or systemd/graphrelay.service")
	case s["ActiveState"] != "active":
		d.fail("systemd", "the unit is "+s["ActiveState"],
			"run: systemctl start graphrelay; journalctl -u graphrelay shows why it is not active")
	case s["UnitFileState"] != "enabled":
		d.warn("systemd", "the unit is active but not enabled, so it will not start at boot",
			"run: systemctl enable graphrelay")
	case s["User"] == "" || s["User"] == "root":
		d.warn("systemd", "the service runs as root", packaged+", which runs it as graphrelay")
	case s["NoNewPrivileges"] != "yes" || s["ProtectSystem"] != "strict":
		d.warn("systemd", "the service runs outside its sandbox (NoNewPrivileges, ProtectSystem=strict)",
			packaged+"; systemd-analyze security graphrelay shows what is open")
	default:
		d.ok("systemd", "the unit is active and enabled, runs as user %s, and is sandboxed", s["User"])
	}
}

// parseUnit reads the lines NAME=VALUE that systemctl show prints.
func parseUnit(out string) map[string]string {
	s := map[string]string{}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		s[name] = value
	}
	return s
}
