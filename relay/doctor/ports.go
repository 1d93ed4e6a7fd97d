package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/procfs"

	"graphrelay/config"
)

// ports reports who holds port 25 and each port of the configuration.
func (d *examiner) ports() {
	wanted := []uint16{25}
	for _, l := range d.c.SMTP.Listeners {
		if p := l.Address.Addr.Port(); l.Address.Network == "tcp" && p != 0 && !slices.Contains(wanted, p) {
			wanted = append(wanted, p)
		}
	}
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		d.warn("ports", "cannot examine them: "+err.Error(), "run: ss -ltnp")
		return
	}
	for _, p := range wanted {
		holders, taken := holdersOf(proc, p)
		d.port(p, holders, taken)
	}
}

// port judges who holds a port. systemd holds a socket that it passes on together
// with the service, and alone until the first mail.
func (d *examiner) port(p uint16, holders []string, taken bool) {
	about, names := fmt.Sprintf("port %d", p), strings.Join(holders, " and ")
	switch {
	case !taken:
		d.ok(about, "free")
	case slices.Contains(holders, "graphrelay"):
		d.ok(about, "held by graphrelay")
	case len(holders) == 0:
		d.warn(about, "held by a program of another user", "run this as root, or run: ss -ltnp")
	case slices.Contains(holders, "systemd") && d.bySystemd():
		d.ok(about, "held by systemd, for a socket unit")
	case d.wants(p) && !d.running:
		d.fail(about, "held by "+names,
			"stop "+names+" (systemctl disable --now "+holders[0]+"), or choose another port in smtp.listeners")
	default:
		d.warn(about, "held by "+names, "check that "+names+" should hold it: "+
			"it gets the mail of programs on this host that send to localhost")
	}
}

// bySystemd reports whether a listener of the configuration is a socket of systemd.
func (d *examiner) bySystemd() bool {
	return slices.ContainsFunc(d.c.SMTP.Listeners, func(l config.Listener) bool {
		return l.Address.Network == "systemd"
	})
}

// wants reports whether a listener of the configuration has the port.
func (d *examiner) wants(port uint16) bool {
	return slices.ContainsFunc(d.c.SMTP.Listeners, func(l config.Listener) bool {
		return l.Address.Network == "tcp" && l.Address.Addr.Port() == port
	})
}

// holdersOf returns the names of the programs that listen on a port; those that
// this user may not examine are left out.
func holdersOf(proc procfs.FS, port uint16) (names []string, taken bool) {
	sockets := listening(proc, port)
	all, err := proc.AllProcs()
	if err != nil || len(sockets) == 0 {
		return nil, len(sockets) > 0
	}
	for _, p := range all {
		files, err := p.FileDescriptorTargets()
		if err != nil || !slices.ContainsFunc(files, func(f string) bool { return slices.Contains(sockets, f) }) {
			continue
		}
		if name, err := p.Comm(); err == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), true
}

// listening returns the sockets that listen on port, as /proc/PID/fd names them.
func listening(proc procfs.FS, port uint16) (sockets []string) {
	const stateListen = 0x0A
	for _, table := range []func() (procfs.NetTCP, error){proc.NetTCP, proc.NetTCP6} {
		lines, err := table()
		if err != nil {
			continue // a host without IPv6 has no second table
		}
		for _, l := range lines {
			if l.St == stateListen && l.LocalPort == uint64(port) {
				sockets = append(sockets, fmt.Sprintf("socket:[%d]", l.Inode))
			}
		}
	}
	return sockets
}
