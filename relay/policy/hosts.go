package policy

import (
	"net/netip"
	"strings"

	"graphrelay/relay/envelope"
)

// hosts are the domains that mean this host.
type hosts map[string]bool

// newHosts takes each name with its first label alone, and that label within
// the domains that hosts call themselves by where they have none. A domain that
// has senders is never one: who uses it means the senders.
func newHosts(names []string, all senders) hosts {
	set := hosts{}
	for _, name := range append([]string{"localhost"}, names...) {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		short, _, _ := strings.Cut(name, ".")
		if short == "" {
			continue
		}
		for _, domain := range []string{name, short, short + ".local", short + ".localdomain", short + ".lan", short + ".internal"} {
			if !all.has(domain) {
				set[domain] = true
			}
		}
	}
	return set
}

// local tells whether a program on this host gave itself the address, for it
// knew no better: root, root@localhost, www-data@web01.local.
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
