// Package hostheader judges the Host header of a request to one of our addresses. A
// page elsewhere can make a name of its own resolve to this host (DNS
// rebinding), and the browser then lets it read our answers: we must therefore
// answer only to names that such a page cannot have. The package must not know
// what is served.
package hostheader

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Own reports whether the Host header is a name of this relay: localhost, a
// loopback address, the address that was connected to, or hostname.
func Own(r *http.Request, hostname string) bool {
	name := nameOf(r.Host)
	if strings.EqualFold(name, "localhost") || name != "" && strings.EqualFold(name, hostname) {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && (ip.Unmap().IsLoopback() || ip.Unmap() == localAddr(r))
}

// Local reports whether the Host header is Own or another name that no foreign
// page can have: an address, a name without a dot, which only the local network
// resolves, or none. It is for what has no password and changes nothing.
func Local(r *http.Request, hostname string) bool {
	name := strings.TrimSuffix(nameOf(r.Host), ".")
	_, err := netip.ParseAddr(name)
	return err == nil || !strings.Contains(name, ".") || strings.EqualFold(name, hostname)
}

func nameOf(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// localAddr is the address that was connected to.
func localAddr(r *http.Request) netip.Addr {
	a, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if a == nil {
		return netip.Addr{}
	}
	ap, _ := netip.ParseAddrPort(a.String())
	return ap.Addr().Unmap()
}
