package doctor

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/prometheus/procfs"

	"graphrelay/config"
)

// clients reports whether each network of a client can reach a listener, as far
// as this host can know: it does not see the firewalls between.
func (d *examiner) clients() {
	own := ownPrefixes()
	for _, c := range d.c.Clients {
		for _, n := range c.Networks {
			d.client("client "+string(c.Name), n, own)
		}
	}
}

func (d *examiner) client(about string, n config.Network, own []netip.Prefix) {
	network, listeners := n.Prefix.String(), d.listenersFor(n.Prefix)
	switch {
	case len(listeners) == 0:
		d.fail(about, "no listener can be reached from "+network,
			"add a listener on an address of this host that this network can reach, such as 0.0.0.0:25")
	case n.Prefix.Addr().IsLoopback() || slices.ContainsFunc(own, n.Prefix.Overlaps):
		d.ok(about, "%s reaches %s without a router", network, strings.Join(listeners, ", "))
	default:
		d.warn(about, network+" is another network, so routers and firewalls decide whether it reaches "+
			strings.Join(listeners, ", "), "try from there: nc -vz "+d.dialled(listeners[0]))
	}
}

// dialled is how another host would name a listener: HOST PORT.
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

// listenersFor returns the listeners that a network could connect to.
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

// ownPrefixes returns the networks that this host is part of.
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

// ports reports who holds port 25 and each port of the configuration.
func (d *examiner) ports() {
	wanted := []uint16{25}
	for _, l := range d.c.SMTP.Listeners {
		if p := l.Address.Addr.Port(); l.Address.Network == "tcp" && p != 0 && !slices.Contains(wanted, p) {
			wanted = append(wanted, p)
		}
	}
	for _, p := range wanted {
		holders, taken := whoHas(procfs.DefaultMountPoint, p)
		d.port(p, holders, taken)
	}
}

// port judges who holds a port. systemd holds a socket that it passes on together
// with the service, and alone until the first mail.
func (d *examiner) port(p uint16, holders []holder, taken bool) {
	about, names := fmt.Sprintf("port %d", p), namesOf(holders)
	all := strings.Join(names, " and ")
	switch {
	case !taken:
		d.ok(about, "free")
	case slices.Contains(names, "graphrelay"):
		d.ok(about, "held by graphrelay")
	case len(holders) == 0:
		d.warn(about, "held by a program of another user", "run this as root, or run: ss -ltnp")
	case slices.Contains(names, "systemd") && d.wants("systemd", 0):
		d.ok(about, "held by systemd, for a socket unit")
	case d.wants("tcp", p) && !d.running:
		d.fail(about, "held by "+all, stopping(holders)+", or choose another port in smtp.listeners")
	default:
		d.warn(about, "held by "+all, "check that "+all+" should hold it: "+
			"it gets the mail of programs on this host that send to localhost")
	}
}

func namesOf(holders []holder) (names []string) {
	for _, h := range holders {
		names = append(names, h.name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// stopping is how the holders of a port let it go. systemd itself is never stopped:
// one of its socket units is.
func stopping(holders []holder) string {
	names := namesOf(holders)
	if slices.Contains(names, "systemd") {
		return "find the socket unit (systemctl list-sockets) and disable it (systemctl disable --now NAME.socket)"
	}
	how := "stop " + strings.Join(names, " and ")
	if unit := holders[0].unit; strings.HasSuffix(unit, ".service") {
		how += " (systemctl disable --now " + unit + ")"
	}
	return how
}

// wants reports whether a listener of the configuration is on a network, and a
// TCP port; 0 is any.
func (d *examiner) wants(network string, port uint16) bool {
	return slices.ContainsFunc(d.c.SMTP.Listeners, func(l config.Listener) bool {
		return l.Address.Network == network && (port == 0 || l.Address.Addr.Port() == port)
	})
}
