package relay

import (
	"context"
	"time"

	"graphrelay/relay/admin"
	"graphrelay/relay/delivery"
	"graphrelay/relay/delivery/hold"
	"graphrelay/relay/observe"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/socket"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
	"graphrelay/relay/wiring"
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
	snap, err := r.observer.Snapshot(ctx)
	s := admin.StatusOf(snap, r.Warnings())
	s.Version, s.Started, s.Listeners = r.version, r.started, r.Listeners()
	return s, err
}

// openObserver makes what the flows report to, before the flows.
func (r *Relay) openObserver() (err error) {
	r.observer, err = observe.New(observe.Config{
		Version:     r.version,
		Hostname:    r.hostname,
		URLFile:     wiring.WebhookURLFile(r.cfg()),
		HasIdentity: r.hasIdentity,
		Log:         r.log,
		Store:       r.store,
		Delivery:    func() delivery.Status { return r.delivery.Status() },
		Connections: func() smtpd.Stats { return r.smtp.Stats() },
		Service:     r.service,
	})
	return err
}

// service is what a snapshot shows of the configuration in force.
func (r *Relay) service() observe.Service {
	g := r.now.Load()
	s := observe.Service{
		Stopping: r.stopping.Load(),
		Reload:   state.Reload{At: g.since},
		Audits:   g.auditor.Last(),
	}
	s.StorePath, s.DiskReserve = wiring.Disk(g.cfg)
	if last, ok := r.LastReload(); ok {
		s.Reload.Failed, s.Reload.Error = last.Error != "", last.Error
	}
	for _, id := range g.cfg.Identities {
		s.Credentials = append(s.Credentials, wiring.Credential(id, g.identities[id.Name].Credential(), time.Now()))
	}
	if g.keyPair != nil {
		s.Certificate = g.keyPair.Expires()
	}
	return s
}

// openMetrics opens the address of metrics and health, if there is one.
func (r *Relay) openMetrics(ctx context.Context) (err error) {
	if m := r.cfg().Metrics; m != nil {
		r.metrics, err = socket.Open(ctx, "metrics.address", m.Address.String(), 0)
	}
	return err
}
