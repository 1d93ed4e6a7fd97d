package socket

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
)

// Passed are the sockets that systemd opened for this process (see
// sd_listen_fds(3)) and nobody has taken yet, by their FileDescriptorName=.
type Passed map[string][]net.Listener

// Inherited returns the sockets of systemd. Only the first call returns them.
func Inherited() (Passed, error) {
	return activation.ListenersWithNames()
}

// Take takes all sockets of a name out of p.
func (p Passed) Take(name string) ([]net.Listener, error) {
	list := p[name]
	if len(list) == 0 {
		names := slices.Sorted(maps.Keys(p))
		return nil, fmt.Errorf("listener systemd:%s: systemd passed no socket of this name (it passed: %s); "+
			"run graphrelay check as root: it says which unit to enable (FileDescriptorName=%s)",
			name, cmp.Or(strings.Join(names, ", "), "none"), name)
	}
	delete(p, name)
	return list, nil
}

// TakeAddress takes the socket that listens on IP:PORT out of p, and returns the
// name it had; none if there is no such socket.
func (p Passed) TakeAddress(address string) (name string, taken []net.Listener) {
	for name, list := range p {
		for i, l := range list {
			if l.Addr().String() == address {
				p[name] = slices.Delete(slices.Clone(list), i, i+1)
				return name, []net.Listener{l}
			}
		}
	}
	return "", nil
}
