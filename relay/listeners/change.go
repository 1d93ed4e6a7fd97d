package listeners

import (
	"context"
	"net"
	"slices"
	"strings"

	"graphrelay/relay/smtpd"
	"graphrelay/relay/wiring"
)

// Change is the sockets of the next configuration, all open. Either Apply or Undo
// ends it.
type Change struct {
	set         *Set
	list, fresh []Listener
}

// Plan pairs the wanted listeners with the open sockets, and opens those that are
// missing. On an error it closes what it opened.
func (s *Set) Plan(ctx context.Context, wanted []wiring.Listener) (*Change, error) {
	c, open := &Change{set: s}, s.All()
	for _, w := range wanted {
		kept := take(&open, w.Address)
		if len(kept) == 0 {
			l, err := s.bind(ctx, w)
			if err != nil {
				c.Undo()
				return nil, portHint(err, w.Address, open)
			}
			c.fresh = append(c.fresh, l...)
			c.list = append(c.list, l...)
			continue
		}
		for _, l := range kept {
			c.list = append(c.list, Listener{l.Listener, w.Options, w.Address, l.unit})
		}
	}
	c.list = append(c.list, s.leftOver(open, c.list)...)
	return c, nil
}

// Undo closes what Plan opened.
func (c *Change) Undo() { closeAll(c.fresh) }

// Apply serves the new sockets, gives those that stay their new options and
// retires the others.
func (c *Change) Apply(server *smtpd.Server, serve func(Listener)) {
	c.set.mu.Lock()
	old := c.set.open
	c.set.open = c.list
	c.set.mu.Unlock()
	for _, l := range old {
		if !has(c.list, l.Listener) {
			server.Retire(l.Listener)
		}
	}
	for _, l := range c.list {
		if has(c.fresh, l.Listener) {
			serve(l)
		} else {
			server.SetOptions(l.Listener, l.Options)
		}
	}
}

// take takes the sockets of an address out of open: one of those with port 0, all
// of a name of systemd.
func take(open *[]Listener, address string) (taken []Listener) {
	name, named := strings.CutPrefix(address, "systemd:")
	var rest []Listener
	for _, l := range *open {
		if named && l.unit == name || !named && len(taken) == 0 && l.mayServe(address) {
			taken = append(taken, l)
		} else {
			rest = append(rest, l)
		}
	}
	*open = rest
	return taken
}

// mayServe reports whether a listener with this address may have the socket.
func (l Listener) mayServe(address string) bool {
	if l.unit != "" {
		return l.Addr().String() == address
	}
	return l.address == address
}

func has(list []Listener, socket net.Listener) bool {
	return slices.ContainsFunc(list, func(l Listener) bool { return l.Listener == socket })
}
