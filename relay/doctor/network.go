package doctor

import (
	"net"
	"net/netip"
	"slices"
	"strings"

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
