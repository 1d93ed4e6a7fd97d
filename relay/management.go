package relay

import (
	"context"
	"fmt"

	"graphrelay/relay/admin"
	"graphrelay/relay/alert"
	"graphrelay/relay/delivery/hold"
	"graphrelay/relay/monitor"
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
	return &admin.Server{
		Store: r.store, Status: r.status, Wake: r.delivery.Notify, ProbeNow: r.probe, Reload: r.Reload, Log: r.log,
		Holds: func(context.Context) ([]spool.Hold, error) { return r.delivery.Status().Holds, nil },
	}
}

// probe has holds tried now: by a message, and those that an audit made by an audit.
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
