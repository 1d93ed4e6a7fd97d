package policy

import (
	"maps"
	"net/netip"
	"strings"

	"graphrelay/relay/envelope"
)

// hosts are the domains that mean this host.
type hosts map[string]bool

// newHosts takes each name, its first label alone, and that label within the
// domains that hosts without a domain use. A domain that has senders is not among
// them: an address in it means those senders.
func newHosts(names []string, all senders) hosts {
	set := hosts{}
	for _, name := range append([]string{"localhost"}, names...) {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		short, _, _ := strings.Cut(name, ".")
		if short == "" {
			continue
		}
		for _, suffix := range []string{"", ".local", ".localdomain", ".lan", ".internal"} {
			set[short+suffix] = true
		}
		set[name] = true
	}
	maps.DeleteFunc(set, func(domain string, _ bool) bool { return all.has(domain) })
	return set
}

// local reports whether a program on this host gave itself the address because it
// had no other: root, root@localhost, www-data@web01.local.
func (h hosts) local(a envelope.Address) bool {
	if a.IsZero() {
		return false
	}
	if literal, ok := strings.CutPrefix(a.Domain(), "["); ok {
		ip, err := netip.ParseAddr(strings.TrimPrefix(strings.TrimSuffix(literal, "]"), "IPv6:"))
		return err == nil && ip.IsLoopback()
	}
	return a.Domain() == "" || h[a.Domain()]
}
