package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
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
	r.intake = r.newIntake()
	r.smtp = smtpd.New(wiring.SMTP(g.cfg, r.log), r.intake)
	return r.listen(ctx, g)
}

func (r *Relay) newIntake() *intake.Intake {
	return intake.New(intake.Config{
		Rules:   wiring.Intake(r.cfg(), hostName()),
		Store:   r.store,
		Notify:  r.delivery.Notify,
		OnEvent: r.countIntake,
		Now:     time.Now,
		Log:     r.log,
	})
}

// hostName is the system's name of this host, "" where it has none.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// wantedListeners returns those of g's configuration.
func (r *Relay) wantedListeners(g *generation) []wiring.Listener {
	var certificate wiring.Certificate
	if g.keyPair != nil {
		certificate = g.keyPair.Certificate
	}
	return wiring.Listeners(g.cfg, r.submit, certificate)
}

// listen opens every listener, or takes its socket from systemd.
func (r *Relay) listen(ctx context.Context, g *generation) (err error) {
	if r.inherited, err = socket.Inherited(); err != nil {
		return fmt.Errorf("sockets of systemd: %w", err)
	}
	defer r.closeUnused()
	r.submit.Systemd = len(r.inherited[wiring.SubmitUnit]) > 0
	for _, w := range r.wantedListeners(g) {
		list, err := r.bind(ctx, w)
		if err != nil {
			return err
		}
		r.listeners = append(r.listeners, list...)
	}
	return nil
}

// bind opens a listener; for a name of systemd, all its sockets.
func (r *Relay) bind(ctx context.Context, w wiring.Listener) ([]listener, error) {
	if name, ok := strings.CutPrefix(w.Address, "systemd:"); ok {
		return r.inherit(name, w)
	}
	l, err := socket.Listen(ctx, w.Address, socket.DefaultMode)
	if err != nil {
		return nil, listenHint("smtp.listeners", w.Address, err)
	}
	return []listener{{l, w.Address, w.Options}}, nil
}

// inherit takes the sockets of a name out of those that systemd passed.
func (r *Relay) inherit(name string, w wiring.Listener) (list []listener, err error) {
	if len(r.inherited[name]) == 0 {
		names := slices.Sorted(maps.Keys(r.inherited))
		return nil, fmt.Errorf("listener systemd:%s: systemd passed no socket of this name (it passed: %s); "+
			"start graphrelay through its socket unit, with FileDescriptorName=%s",
			name, cmp.Or(strings.Join(names, ", "), "none"), name)
	}
	for _, l := range r.inherited[name] {
		list = append(list, listener{l, w.Address, w.Options})
	}
	delete(r.inherited, name)
	return list, nil
}

// closeUnused closes the sockets that no listener names.
func (r *Relay) closeUnused() {
	for name, rest := range r.inherited {
		for _, l := range rest {
			r.log.Warn("a socket of systemd is not used; name it in smtp.listeners as systemd:NAME, or disable its unit",
				"name", name, "address", l.Addr().String())
			_ = l.Close()
		}
	}
	r.inherited = nil
}

// listenHint adds to an error of listening what to do about it; key is the key of
// the address in the configuration.
func listenHint(key, address string, err error) error {
	unix := strings.HasPrefix(address, "unix:")
	switch {
	case errors.Is(err, syscall.EACCES) && unix:
		return fmt.Errorf("%w; the user who runs this cannot write to the folder of %s: "+
			"chown the folder, or choose another path in %s", err, address, key)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w; ports below 1024 need CAP_NET_BIND_SERVICE (systemd/graphrelay.service gives it): "+
			"use that unit, or choose a port such as 2525 in %s", err, key)
	case errors.Is(err, syscall.EADDRINUSE) && unix:
		return fmt.Errorf("%w; another program listens on %s: stop it (ss -lxp shows it), "+
			"or choose another path in %s", err, address, key)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w; another program listens on %s: stop it (ss -ltnp shows it; often postfix or exim4), "+
			"or choose another address in %s", err, address, key)
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("%w; the folder of %s must exist: create it, or let systemd create it (RuntimeDirectory=)",
			err, address)
	}
	return err
}
