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
		Rules: wiring.Intake(r.cfg(), hostName()), Store: r.store, Notify: r.delivery.Notify,
		OnEvent: r.observer.CountIntake, Now: time.Now, Log: r.log,
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
	defer func() { r.inherited.Close(r.log) }()
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
func (r *Relay) bind(ctx context.Context, w wiring.Listener) (list []listener, err error) {
	var sockets []net.Listener
	if name, ok := strings.CutPrefix(w.Address, "systemd:"); ok {
		sockets, err = r.inherited.Take(name)
	} else {
		sockets = make([]net.Listener, 1)
		sockets[0], err = socket.Open(ctx, "smtp.listeners", w.Address, socket.DefaultMode)
	}
	if err != nil {
		return nil, err
	}
	for _, l := range sockets {
		list = append(list, listener{l, w.Address, w.Options})
	}
	return list, nil
}
