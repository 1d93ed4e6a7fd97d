package relay

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"graphrelay/relay/intake"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/socket"
	"graphrelay/relay/wiring"
)

// listener is an open socket and what the configuration says about it.
type listener struct {
	net.Listener
	address string // as the configuration says it
	unit    string // FileDescriptorName= of the socket unit that opened it; "" for one of our own
	options smtpd.ListenerOptions
}

// name returns where clients connect.
func (l listener) name() string {
	if l.Addr().Network() == "unix" {
		return "unix:" + l.Addr().String()
	}
	return l.Addr().String()
}

// openListeners returns those in use now.
func (r *Relay) openListeners() []listener {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.listeners)
}

func (r *Relay) openSMTP(ctx context.Context, g *generation) error {
	r.intake = intake.New(intake.Config{
		Rules: wiring.Intake(g.cfg, hostName()), Store: r.store, Notify: r.delivery.Notify,
		OnEvent: r.observer.CountIntake, OnRefusal: r.observer.CountRefusal, Now: time.Now, Log: r.log,
	})
	r.smtp = smtpd.New(wiring.SMTP(g.cfg, r.log), r.intake)
	return r.listen(ctx, g)
}

// hostName is the system's name of this host, "" where it has none.
func hostName() string {
	name, _ := os.Hostname()
	return name
}

// TurnAway answers 421 to the clients that wait at the sockets of systemd for a
// service that cannot start: systemd keeps the sockets open.
func TurnAway(inherited socket.Passed) {
	for _, list := range inherited {
		for _, l := range list {
			smtpd.TurnAway(l)
		}
	}
}

// listen opens every listener, or takes its socket from systemd. Sockets that are
// left over are served too, to turn their clients away.
func (r *Relay) listen(ctx context.Context, g *generation) (err error) {
	r.submit.Systemd = len(r.inherited[wiring.SubmitUnit]) > 0
	for _, w := range wiring.Listeners(g.cfg, r.submit, g.certificate) {
		list, err := r.bind(ctx, w)
		if err != nil {
			return err
		}
		r.listeners = append(r.listeners, list...)
	}
	var rest []listener
	for name, list := range r.inherited {
		for _, l := range list {
			rest = append(rest, listener{Listener: l, address: "systemd:" + name, unit: name})
		}
	}
	clear(r.inherited)
	r.listeners = append(r.listeners, r.leftOver(rest, r.listeners)...)
	return nil
}

// leftOver returns how to serve sockets of systemd that no listener of list names.
// A listener serves every socket of the unit that has its address. The clients of
// the others are turned away: systemd keeps the sockets open, so they would wait
// for a greeting for ever; and a reload may name them again.
func (r *Relay) leftOver(rest, list []listener) (served []listener) {
	for _, l := range rest {
		if l.unit == "" {
			continue
		}
		i := slices.IndexFunc(list, func(other listener) bool { return other.unit == l.unit })
		if i >= 0 {
			l.address, l.options = list[i].address, list[i].options
		} else {
			l.address = "systemd:" + l.unit
			l.options = smtpd.ListenerOptions{Name: l.address, Unused: true}
			r.log.Warn("clients of a socket of systemd are turned away, because no listener names it; "+
				"name it in smtp.listeners, or disable its unit", "address", l.address, "socket", l.Addr().String())
		}
		served = append(served, l)
	}
	return served
}

// bind opens a listener, or takes its sockets from systemd: all of a name, or the
// one that has its address.
func (r *Relay) bind(ctx context.Context, w wiring.Listener) (list []listener, err error) {
	var sockets []net.Listener
	name, named := strings.CutPrefix(w.Address, "systemd:")
	if !named {
		name, sockets = r.inherited.TakeAddress(w.Address)
	}
	switch {
	case named:
		sockets, err = r.inherited.Take(name)
	case len(sockets) == 0:
		sockets = make([]net.Listener, 1)
		sockets[0], err = socket.Open(ctx, "smtp.listeners", w.Address, socket.DefaultMode)
	}
	if err != nil {
		return nil, err
	}
	for _, l := range sockets {
		list = append(list, listener{l, w.Address, name, w.Options})
	}
	return list, nil
}

// rebind pairs the listeners of g with the open sockets, and opens those that are
// missing. On an error it closes what it opened.
func (r *Relay) rebind(ctx context.Context, g *generation) (list, fresh []listener, err error) {
	open := r.openListeners()
	for _, w := range wiring.Listeners(g.cfg, r.submit, g.certificate) {
		kept := takeListeners(&open, w.Address)
		if len(kept) == 0 {
			l, err := r.bind(ctx, w)
			if err != nil {
				closeAll(fresh)
				return nil, nil, portHint(err, w.Address, open)
			}
			fresh = append(fresh, l...)
			list = append(list, l...)
			continue
		}
		for _, l := range kept {
			list = append(list, listener{l.Listener, w.Address, l.unit, w.Options})
		}
	}
	return append(list, r.leftOver(open, list)...), fresh, nil
}

// takeListeners takes the sockets of an address out of open: one of those with
// port 0, all of a name of systemd.
func takeListeners(open *[]listener, address string) (taken []listener) {
	name, named := strings.CutPrefix(address, "systemd:")
	var rest []listener
	for _, l := range *open {
		if named && l.unit == name || !named && len(taken) == 0 && l.hasAddress(address) {
			taken = append(taken, l)
		} else {
			rest = append(rest, l)
		}
	}
	*open = rest
	return taken
}

// hasAddress reports whether a listener with this address may have the socket.
func (l listener) hasAddress(address string) bool {
	if l.unit != "" {
		return l.Addr().String() == address
	}
	return l.address == address
}

// portHint explains a port that the service itself still holds, at an address that
// the new configuration widens or narrows.
func portHint(err error, address string, leaving []listener) error {
	_, port, _ := net.SplitHostPort(address)
	for _, l := range leaving {
		if _, other, _ := net.SplitHostPort(l.address); port != "" && port == other {
			return fmt.Errorf("listener %s: the service itself listens on this port at %s until it stops: "+
				"restart it (systemctl restart graphrelay)", address, l.address)
		}
	}
	return err
}

func closeAll(list []listener) {
	for _, l := range list {
		_ = l.Close()
	}
}

// setListeners serves fresh, gives the listeners that stay their new options and
// retires the others.
func (r *Relay) setListeners(list, fresh []listener) {
	r.mu.Lock()
	old := r.listeners
	r.listeners = list
	r.mu.Unlock()
	for _, l := range old {
		if !hasSocket(list, l.Listener) {
			r.smtp.Retire(l.Listener)
		}
	}
	for _, l := range list {
		if hasSocket(fresh, l.Listener) {
			r.serveSMTP(l)
		} else {
			r.smtp.SetOptions(l.Listener, l.options)
		}
	}
}

func hasSocket(list []listener, socket net.Listener) bool {
	return slices.ContainsFunc(list, func(l listener) bool { return l.Listener == socket })
}

// serveSMTP runs the accept loop of l.
func (r *Relay) serveSMTP(l listener) {
	r.part(func() error { return r.smtp.Serve(l.Listener, l.options) })
}
