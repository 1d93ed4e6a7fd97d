package envelope

import "net/netip"

// NetworkOf is what belongs to one peer: its address, and of IPv6 its /64. It is
// zero for the zero Addr, which a unix socket has.
func NetworkOf(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}
