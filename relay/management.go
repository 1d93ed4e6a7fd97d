package relay

import (
	"context"
	"fmt"
	"io"
	"time"

	"graphrelay/relay/admin"
	"graphrelay/relay/alert"
	"graphrelay/relay/console"
	"graphrelay/relay/delivery/hold"
	"graphrelay/relay/envelope"
	"graphrelay/relay/monitor"
	"graphrelay/relay/operator"
	"graphrelay/relay/socket"
	"graphrelay/relay/spool"
)

// adminMode is the mode of the admin socket: for its owner and its group.
const adminMode = 0o660

func (r *Relay) openAdmin(ctx context.Context) error {
	address := r.cfg().Admin.Address.String()
	l, err := socket.Open(ctx, "admin.address", address, adminMode)
	if err != nil {
		return err
	}
	r.admin = l
	return admin.GiveToGroup(l, r.log)
}

func (r *Relay) adminServer() *admin.Server {
	return &admin.Server{Store: r.store, Operator: r.operator(), Status: r.status, Reload: r.Reload, Log: r.log}
}

// operator acts for the admin socket and the console.
func (r *Relay) operator() *operator.Operator {
	return &operator.Operator{
		Store: r.store, Wake: r.delivery.Notify, ProbeNow: r.probe, Hostname: r.hostname, Now: time.Now,
		Holds: func() []spool.Hold { return r.delivery.Status().Holds },
		Identity: func(mailbox envelope.Address) string {
			route, _ := r.route(mailbox)
			return route.Identity
		},
		Submit: func(ctx context.Context, from, to envelope.Address, message io.Reader) (envelope.QueueID, error) {
			return r.intake.Submit(ctx, "console", from, to, message)
		},
	}
}

// probe probes holds now: by a message, and those of an audit by an audit.
func (r *Relay) probe(keys ...string) {
	r.delivery.ProbeNow(keys...)
	for _, key := range keys {
		if identity, ok := hold.AuditedIdentity(key); ok {
			r.now.Load().auditor.TryNow(identity)
		}
	}
}

// status sums up the service for `graphrelay status`.
func (r *Relay) status(ctx context.Context) (admin.Status, error) {
	snap, err := r.snapshot(ctx)
	s := admin.StatusOf(snap, r.Warnings())
	s.Version, s.Started, s.Listeners = r.version, r.started, r.Listeners()
	return s, err
}

// openMonitor makes the monitor, which the flows report to, and opens the address
// of metrics and health if the configuration has one.
func (r *Relay) openMonitor(ctx context.Context) error {
	r.monitor = monitor.New(monitor.Config{Version: r.version, Hostname: r.hostname, Snapshot: r.snapshot})
	m := r.cfg().Metrics
	if m == nil {
		return nil
	}
	l, err := socket.Open(ctx, "metrics.address", m.Address.String(), 0)
	if err != nil {
		return err
	}
	r.metrics = l
	return nil
}

// openAlerts makes the board of alarms, before whatever raises one.
func (r *Relay) openAlerts() error {
	c := alert.Config{Host: r.hostname, Log: r.log, OnPost: r.monitor.AlertPosted}
	if a := r.cfg().Alerts; a != nil {
		if err := alert.CheckURLFile(string(a.WebhookURLFile)); err != nil {
			return fmt.Errorf("alerts.webhook_url_file: %w", err)
		}
		c.URLFile = string(a.WebhookURLFile)
	}
	r.alerts = alert.New(c)
	r.watcher = alert.NewWatcher(alert.WatchConfig{
		Board: r.alerts, Snapshot: r.snapshot, Sampled: r.monitor.Sampled, HasIdentity: r.hasIdentity, Log: r.log,
	})
	return nil
}

// openConsole opens the address of the web console, where there is one.
func (r *Relay) openConsole(ctx context.Context) error {
	c := r.cfg().Console
	if c == nil {
		return nil
	}
	l, err := socket.Open(ctx, "console.address", c.Address.String(), 0)
	if err != nil {
		return err
	}
	if !c.Address.Loopback() {
		r.log.Warn("the console can be reached from other hosts without TLS; put a proxy with TLS before it, and let only that reach it", "address", c.Address.String())
	}
	r.consoleAt = l
	return nil
}

func (r *Relay) newConsole() *console.Console {
	return console.New(console.Config{
		Hostname: r.hostname, PasswordHash: func() string { return string(r.cfg().Console.PasswordHash) },
		Store: r.store, Operator: r.operator(), Seen: r.monitor, Snapshot: r.snapshot, Setup: r.consoleSetup,
		Now: time.Now, Log: r.log,
	})
}

func (r *Relay) consoleSetup() console.Setup {
	s := console.Setup{Version: r.version, Started: r.started, Listeners: r.Listeners(), Warnings: r.Warnings()}
	for _, sender := range r.cfg().Senders {
		if !sender.Address.Wildcard() {
			s.Senders = append(s.Senders, sender.Address)
		}
	}
	return s
}
