package doctor

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"graphrelay/config"
)

// ports tells who holds port 25 and each port of the configuration.
func (d *examiner) ports() {
	wanted := []uint16{25}
	for _, l := range d.c.SMTP.Listeners {
		if p := l.Address.Addr.Port(); l.Address.Network == "tcp" && p != 0 && !slices.Contains(wanted, p) {
			wanted = append(wanted, p)
		}
	}
	for _, p := range wanted {
		holders, taken := holdersOf(p)
		d.port(p, holders, taken)
	}
}

// port judges who holds a port. A socket that systemd has handed over is held
// by both, and before the first mail by systemd alone.
func (d *examiner) port(p uint16, holders []string, taken bool) {
	about, names := fmt.Sprintf("port %d", p), strings.Join(holders, " and ")
	switch {
	case !taken:
		d.ok(about, "free")
	case slices.Contains(holders, "graphrelay"):
		d.ok(about, "held by graphrelay")
	case len(holders) == 0:
		d.warn(about, "held by a program of another user", "run this as root, or look with: ss -ltnp")
	case slices.Contains(holders, "systemd") && d.bySystemd():
		d.ok(about, "held by systemd, for a socket unit")
	case d.wants(p) && !d.running:
		d.fail(about, "held by "+names, "stop "+names+" (systemctl disable --now "+holders[0]+"), or write another port")
	default:
		d.warn(about, "held by "+names, "see whether "+names+" is meant to have it: programs of this host that send to localhost end up there")
	}
}

// bySystemd tells whether a listener of the configuration is a socket of systemd.
func (d *examiner) bySystemd() bool {
	return slices.ContainsFunc(d.c.SMTP.Listeners, func(l config.Listener) bool { return l.Address.Network == "systemd" })
}

// wants tells whether a listener of the configuration has the port.
func (d *examiner) wants(port uint16) bool {
	for _, l := range d.c.SMTP.Listeners {
		if l.Address.Network == "tcp" && l.Address.Addr.Port() == port {
			return true
		}
	}
	return false
}

// holdersOf finds the programs that listen on a port; those of others may not be
// looked at and are left out.
func holdersOf(port uint16) (names []string, taken bool) {
	var inodes []string
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		inodes = append(inodes, listening(bufio.NewScanner(f), port)...)
		_ = f.Close()
	}
	for _, inode := range inodes {
		names = append(names, programsOf("socket:["+inode+"]")...)
	}
	slices.Sort(names)
	return slices.Compact(names), len(inodes) > 0
}

// listening reads a table of the kernel (proc(5), /proc/net/tcp) and returns the
// inodes of sockets that listen on port.
func listening(lines *bufio.Scanner, port uint16) (inodes []string) {
	const stateListen = "0A"
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[3] != stateListen {
			continue
		}
		_, hex, _ := strings.Cut(fields[1], ":")
		if p, err := strconv.ParseUint(hex, 16, 16); err == nil && uint16(p) == port {
			inodes = append(inodes, fields[9])
		}
	}
	return inodes
}

// programsOf are the names of the programs that have a socket open.
func programsOf(socket string) (names []string) {
	files, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return nil
	}
	for _, f := range files {
		if target, err := os.Readlink(f); err == nil && target == socket {
			name, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(f)), "comm"))
			if err == nil {
				names = append(names, strings.TrimSpace(string(name)))
			}
		}
	}
	return names
}

// unit asks systemd how the service runs.
func (d *examiner) unit(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", "show", "graphrelay.service", "--property=LoadState,ActiveState,UnitFileState,User,NoNewPrivileges,ProtectSystem").Output()
	if err != nil {
		d.warn("systemd", "it does not answer, or this host has none", "see that something else starts graphrelay again after a fault and at boot")
		return
	}
	s := unitState(string(out))
	switch {
	case s["LoadState"] != "loaded":
		d.warn("systemd", "there is no unit graphrelay.service", "install the package, or systemd/graphrelay.service")
	case s["ActiveState"] != "active":
		d.fail("systemd", "the unit is "+s["ActiveState"], "systemctl start graphrelay; journalctl -u graphrelay tells why it does not")
	case s["UnitFileState"] != "enabled":
		d.warn("systemd", "the unit runs and is not enabled, so it will not start at boot", "systemctl enable graphrelay")
	case s["User"] == "" || s["User"] == "root":
		d.warn("systemd", "the service runs as root", "take the unit of the package, which runs it as graphrelay")
	case s["NoNewPrivileges"] != "yes" || s["ProtectSystem"] != "strict":
		d.warn("systemd", "the service runs outside its sandbox (NoNewPrivileges, ProtectSystem=strict)", "take the unit of the package; systemd-analyze security graphrelay shows what is open")
	default:
		d.ok("systemd", "the unit is active and enabled, as user %s, in its sandbox", s["User"])
	}
}

// unitState reads the lines NAME=VALUE that systemctl show prints.
func unitState(out string) map[string]string {
	s := map[string]string{}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		s[name] = value
	}
	return s
}

// clients tells whether each network of a client can get at some listener, as
// far as this host can tell: firewalls between are not seen from here.
func (d *examiner) clients() {
	own := ownPrefixes()
	for _, c := range d.c.Clients {
		for _, n := range c.Networks {
			about, network := "client "+string(c.Name), n.Prefix.String()
			switch listeners := d.listenersFor(n.Prefix); {
			case len(listeners) == 0:
				d.fail(about, "no listener can be reached from "+network, "add a listener with an address of this host in or towards that network, such as 0.0.0.0:25")
			case n.Prefix.Addr().IsLoopback() || slices.ContainsFunc(own, n.Prefix.Overlaps):
				d.ok(about, "%s reaches %s without a router", network, strings.Join(listeners, ", "))
			default:
				d.warn(about, network+" is another network, so routers and firewalls decide whether it reaches "+strings.Join(listeners, ", "), "try from there: nc -vz "+d.dialled(listeners[0]))
			}
		}
	}
}

// dialled is how somebody else would name a listener: HOST PORT.
func (d *examiner) dialled(listener string) string {
	host, port, err := net.SplitHostPort(listener)
	if err != nil {
		return string(d.c.Hostname) + " 25"
	}
	if a, err := netip.ParseAddr(host); err == nil && a.IsUnspecified() {
		host = string(d.c.Hostname)
	}
	return host + " " + port
}

// listenersFor are the listeners that a network could connect to.
func (d *examiner) listenersFor(network netip.Prefix) (list []string) {
	for _, l := range d.c.SMTP.Listeners {
		a := l.Address.Addr.Addr()
		switch {
		case l.Address.Network == "systemd":
			list = append(list, l.Address.String())
		case l.Address.Network != "tcp":
		case a.IsLoopback() && !network.Addr().IsLoopback():
		case a.Is4() != network.Addr().Is4() && !(a.IsUnspecified() && a.Is6()): // [::] takes both
		default:
			list = append(list, l.Address.String())
		}
	}
	return list
}

// ownPrefixes are the networks that this host is part of.
func ownPrefixes() (list []netip.Prefix) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, p.Masked())
		}
	}
	return list
}
