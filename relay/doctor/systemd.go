package doctor

import (
	"context"
	"os/exec"
	"strings"
	"time"
)

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
