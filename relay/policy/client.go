package policy

import (
	"net/netip"

	"graphrelay/relay/status"
)

// localName is what the built-in client of this host is called.
const localName = "local"

// Client is a peer that may send. It comes from Policy.Client; the zero Client
// may send as nobody.
type Client struct {
	Name    string // of the rule that matched
	peer    string // for the log
	senders senders
}

// clientRule says which peers are a client, and what that client may do.
type clientRule struct {
	name    string
	matches func(ip netip.Addr, unix bool) bool
	senders senders
}

// Client finds the rule for a peer at connect: by its address, or unix for a
// unix socket, whose addr is not looked at. 554 5.7.1 if there is none.
func (p *Policy) Client(addr netip.AddrPort, unix bool) (Client, error) {
	ip, peer := addr.Addr().Unmap(), "unix"
	if !unix {
		peer = ip.String()
	}
	for _, rule := range p.clients {
		if rule.matches(ip, unix) {
			return Client{Name: rule.name, peer: peer, senders: rule.senders}, nil
		}
	}
	return Client{}, errClient().Becausef("client %s matches no rule; only programs on this host may send, through a loopback address or a unix socket", peer)
}

// isLocal matches this host: 127.0.0.0/8, ::1 and unix sockets.
func isLocal(ip netip.Addr, unix bool) bool { return unix || ip.IsLoopback() }

func errClient() *status.Error {
	return status.New(554, status.Enhanced{5, 7, 1}, "Access denied; ask the administrator of this relay to allow this client")
}
