// Package listeners keeps the sockets at which SMTP clients connect: it opens them
// or takes them from systemd, and at a reload keeps those whose address stays, so
// that no connection is lost. A reload that fails leaves them as they were.
package listeners

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"

	"graphrelay/relay/smtpd"
	"graphrelay/relay/socket"
	"graphrelay/relay/wiring"
)

// Listener is an open socket and what the configuration says about it.
type Listener struct {
	net.Listener
	Options smtpd.ListenerOptions

	address string // as the configuration says it
	unit    string // FileDescriptorName= of the socket unit that opened it; "" for one of our own
}

// Set is the sockets in use. Its methods may be called at any time, but one Plan
// at a time.
type Set struct {
	log *slog.Logger

	mu        sync.Mutex
	open      []Listener
	inherited socket.Passed // of systemd, not taken yet
}

// New returns the sockets that systemd passed, for Open to take.
func New(inherited socket.Passed, log *slog.Logger) *Set {
	return &Set{log: log, inherited: maps.Clone(inherited)}
}

// Passed reports whether systemd passed sockets of this name, before Open.
func (s *Set) Passed(unit string) bool { return len(s.inherited[unit]) > 0 }

// Open opens every listener, or takes its socket from systemd. Sockets that are
// left over are opened too, to turn their clients away. After an error, Close
// closes those that it opened.
func (s *Set) Open(ctx context.Context, wanted []wiring.Listener) error {
	for _, w := range wanted {
		list, err := s.bind(ctx, w)
		if err != nil {
			return err
		}
		s.open = append(s.open, list...)
	}
	var rest []Listener
	for name, list := range s.inherited {
		for _, l := range list {
			rest = append(rest, Listener{Listener: l, unit: name})
		}
	}
	clear(s.inherited)
	s.open = append(s.open, s.leftOver(rest, s.open)...)
	return nil
}

// All returns those in use now.
func (s *Set) All() []Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.open)
}

// Addresses returns where clients connect, with the ports that were chosen where
// the configuration says 0.
func (s *Set) Addresses() (list []string) {
	for _, l := range s.All() {
		switch {
		case l.Options.Unused:
		case l.Addr().Network() == "unix":
			list = append(list, "unix:"+l.Addr().String())
		default:
			list = append(list, l.Addr().String())
		}
	}
	return list
}

// Close closes every socket.
func (s *Set) Close() { closeAll(s.All()) }

// leftOver returns how to serve sockets of systemd that no listener of list names.
// A listener serves every socket of the unit that has its address. The clients of
// the others are turned away: systemd keeps the sockets open, so they would wait
// for a greeting for ever; and a reload may name them again.
func (s *Set) leftOver(rest, list []Listener) (served []Listener) {
	for _, l := range rest {
		if l.unit == "" {
			continue
		}
		i := slices.IndexFunc(list, func(other Listener) bool { return other.unit == l.unit })
		if i >= 0 {
			l.address, l.Options = list[i].address, list[i].Options
		} else {
			l.address = "systemd:" + l.unit
			l.Options = smtpd.ListenerOptions{Name: l.address, Unused: true}
			s.log.Warn("clients of a socket of systemd are turned away, because no listener names it; "+
				"name it in smtp.listeners, or disable its unit", "address", l.address, "socket", l.Addr().String())
		}
		served = append(served, l)
	}
	return served
}

// bind opens a listener, or takes its sockets from systemd: all of a name, or the
// one that has its address.
func (s *Set) bind(ctx context.Context, w wiring.Listener) (list []Listener, err error) {
	var sockets []net.Listener
	name, named := strings.CutPrefix(w.Address, "systemd:")
	if !named {
		name, sockets = s.inherited.TakeAddress(w.Address)
	}
	switch {
	case named:
		sockets, err = s.inherited.Take(name)
	case len(sockets) == 0:
		sockets = make([]net.Listener, 1)
		sockets[0], err = socket.Open(ctx, "smtp.listeners", w.Address, socket.DefaultMode)
	}
	if err != nil {
		return nil, err
	}
	for _, l := range sockets {
		list = append(list, Listener{l, w.Options, w.Address, name})
	}
	return list, nil
}

// portHint explains a port that the service itself still holds, at an address that
// the new configuration widens or narrows.
func portHint(err error, address string, leaving []Listener) error {
	_, port, _ := net.SplitHostPort(address)
	for _, l := range leaving {
		if _, other, _ := net.SplitHostPort(l.address); port != "" && port == other {
			return fmt.Errorf("listener %s: the service itself listens on this port at %s until it stops: "+
				"restart it (systemctl restart graphrelay)", address, l.address)
		}
	}
	return err
}

func closeAll(list []Listener) {
	for _, l := range list {
		_ = l.Close()
	}
}
