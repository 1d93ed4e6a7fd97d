package relay

import (
	"context"
	"io"
	"slices"
	"time"

	"graphrelay/config"
	"graphrelay/relay/admin"
	"graphrelay/relay/console"
	"graphrelay/relay/delivery"
	"graphrelay/relay/envelope"
	"graphrelay/relay/observe"
	"graphrelay/relay/operator"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/socket"
	"graphrelay/relay/state"
	"graphrelay/relay/wiring"
)

// adminMode is the mode of the admin socket: for its owner and its group.
const adminMode = 0o660

// openManagement opens the admin socket, and the addresses of metrics and console
// if the configuration has them.
func (r *Relay) openManagement(ctx context.Context) (err error) {
	adminAt, metricsAt, consoleAt := wiring.Services(r.cfg())
	if metricsAt != "" {
		if r.metrics, err = socket.Open(ctx, "metrics.address", metricsAt, 0); err != nil {
			return err
		}
	}
	if consoleAt != "" {
		if r.console, err = socket.Open(ctx, "console.address", consoleAt, 0); err != nil {
			return err
		}
		if !r.cfg().Console.Address.Loopback() {
			r.log.Warn("other hosts can reach the console without TLS; "+
				"put a proxy with TLS in front of it, and let only the proxy reach it", "address", consoleAt)
		}
	}
	if r.admin, err = socket.Open(ctx, "admin.address", adminAt, adminMode); err != nil {
		return err
	}
	return admin.GiveToGroup(r.admin, r.log)
}

// runManagement serves what openManagement opened.
func (r *Relay) runManagement(ctx context.Context) {
	s := &admin.Server{Store: r.store, Operator: r.operator(), Status: r.status, Reload: r.Reload, Log: r.log}
	r.part(func() error { return s.Serve(ctx, r.admin) })
	if r.console != nil {
		r.part(func() error { return r.consoleServer().Serve(ctx, r.console) })
	}
	if r.metrics != nil {
		r.part(func() error { return r.observer.Monitor.Serve(ctx, r.metrics, r.log) })
	}
}

func (r *Relay) consoleServer() *console.Console {
	return console.New(console.Config{
		Hostname: r.hostname, PasswordHash: func() string { return wiring.ConsolePassword(r.cfg()) },
		Store: r.store, Operator: r.operator(), Seen: r.observer.Monitor, Snapshot: r.observer.Snapshot, Now: time.Now,
		Setup: func() console.Setup {
			return console.Setup{Version: r.version, Started: r.started, Listeners: r.Listeners(),
				Warnings: r.Warnings(), Senders: wiring.ExactSenders(r.cfg())}
		},
		Audit: func(identity string) { r.now.Load().auditor.TryNow(identity) }, Reload: r.Reload, Log: r.log,
	})
}

// operator acts for the admin socket and the console.
func (r *Relay) operator() *operator.Operator {
	return &operator.Operator{
		Store: r.store, Record: r.refusals, Wake: r.delivery.Wake, ProbeNow: r.probe, Hostname: r.hostname,
		LooksUp: func() bool { return wiring.LooksUp(r.cfg()) }, TryNow: r.tryNow, Now: time.Now,
		Holds: r.delivery.HoldsNow,
		Identity: func(mailbox envelope.Address) string {
			route, _ := r.route(mailbox)
			return route.Identity
		},
		Submit: func(ctx context.Context, from, to envelope.Address, message io.Reader) (envelope.QueueID, error) {
			return r.intake.Submit(ctx, "console", from, to, message)
		},
	}
}

// probe tries holds now: with a message and a new login of its identity, and
// those of an audit with an audit.
func (r *Relay) probe(keys ...string) {
	g, again := r.now.Load(), map[string]bool{}
	for _, h := range r.delivery.Status().Holds {
		if !slices.Contains(keys, h.Key) {
			continue
		}
		if identity, ok := state.AuditedIdentity(h.Key); ok {
			g.auditor.TryNow(identity)
			continue
		}
		again[h.Identity] = true
	}
	for identity := range again {
		if client := g.identities[config.Name(identity)]; client != nil {
			client.Login().Force()
		}
	}
	r.delivery.ProbeNow(keys...)
}

// tryNow makes mailboxes try now, with a new login where Microsoft does not answer.
func (r *Relay) tryNow(chosen func(envelope.Address) bool) []state.Wait {
	g := r.now.Load()
	for _, o := range r.delivery.Status().Outages {
		if client := g.identities[config.Name(o.Identity)]; client != nil {
			client.Login().Force()
		}
	}
	return r.delivery.TryNow(chosen)
}

// status sums up the service for `graphrelay status`.
func (r *Relay) status(ctx context.Context) (admin.Status, error) {
	snapshot, err := r.observer.Snapshot(ctx)
	s := admin.StatusOf(snapshot, r.Warnings(), time.Now())
	s.Version, s.Started, s.Listeners = r.version, r.started, r.Listeners()
	return s, err
}

// openObserver makes what the flows report to, before the flows.
func (r *Relay) openObserver() (err error) {
	path, _ := wiring.Disk(r.cfg())
	r.observer, err = observe.New(observe.Config{
		Version: r.version, Hostname: r.hostname, HasIdentity: r.hasIdentity, Log: r.log,
		URLFile: wiring.WebhookURLFile(r.cfg()), Store: r.store, StorePath: path, Service: r.service,
		Delivery:    func() delivery.Status { return r.delivery.Status() },
		Connections: func() smtpd.Stats { return r.smtp.Stats() }, Record: r.refusals, Secrets: r.secrets,
	})
	return err
}

// service is what a snapshot shows of the configuration in force.
func (r *Relay) service() state.Snapshot {
	g := r.now.Load()
	s := state.Snapshot{
		Stopping: r.stopping.Load(), LogLost: r.logLost(),
		Reload: state.Reload{At: g.since}, Audits: wiring.Audits(g.auditor.Last()), Canary: r.canary.State(),
	}
	wiring.Show(g.cfg, &s)
	s.Store, _ = r.store.About()
	if err := r.refused.Load(); err != nil {
		s.Reload.Failed, s.Reload.Error = true, (*err).Error()
	}
	for _, id := range g.cfg.Identities {
		s.Credentials = append(s.Credentials, wiring.Credential(id, g.identities[id.Name].Credential(), time.Now()))
	}
	g.renewals.Report(s.Credentials)
	if g.keyPair != nil {
		s.Certificate, s.CertUnread = g.keyPair.State()
	}
	return s
}
