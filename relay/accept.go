package relay

import (
	"context"
	"os"
	"time"

	"graphrelay/relay/intake"
	"graphrelay/relay/listeners"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/socket"
	"graphrelay/relay/wiring"
)

// openSMTP makes what accepts mail, and opens its sockets.
func (r *Relay) openSMTP(ctx context.Context, g *generation) error {
	r.intake = intake.New(intake.Config{
		Rules: wiring.Intake(g.cfg, hostName()), Store: r.store, Notify: r.delivery.Notify, Reserve: r.delivery.Reserve,
		OnEvent: r.observer.CountIntake, OnRefusal: r.observer.CountRefusal, Now: time.Now, Log: r.log,
	})
	r.smtp = smtpd.New(wiring.SMTP(g.cfg, r.log), r.intake)
	r.submit.Systemd = r.listeners.Passed(wiring.SubmitUnit)
	return r.listeners.Open(ctx, wiring.Listeners(g.cfg, r.submit, g.certificate))
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

// serveSMTP runs the accept loop of l.
func (r *Relay) serveSMTP(l listeners.Listener) {
	r.part(func() error { return r.smtp.Serve(l.Listener, l.Options) })
}
