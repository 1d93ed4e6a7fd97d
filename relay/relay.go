package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"graphrelay/config"
	"graphrelay/relay/delivery"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/intake"
	"graphrelay/relay/monitor"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/spool"
	"graphrelay/relay/verify"
)

// How long a stop waits: for messages being received, then for messages being sent.
const (
	receiveGrace = 20 * time.Second
	sendGrace    = 30 * time.Second
)

// Options are what New builds a Relay from.
type Options struct {
	Config  *config.Config
	Version string
	Log     *slog.Logger
	Sandbox bool // the store is a try-out's; a real service refuses it, and the other way round

	// SubmitSocket is where sendmail hands over, an absolute path; "" opens none
	// beside the listeners of the configuration.
	SubmitSocket string
}

// Relay is one running service.
type Relay struct {
	cfg        *config.Config
	version    string
	log        *slog.Logger
	submit     string
	started    time.Time
	store      *spool.SQLite
	identities map[config.Name]*graph.Client
	delivery   *delivery.Delivery
	intake     *intake.Intake
	smtp       *smtpd.Server
	keyPair    *smtpd.KeyPair // nil without smtp.tls
	listeners  []listener
	admin      net.Listener
	monitor    *monitor.Monitor
	metrics    net.Listener // nil without metrics
	auditor    *verify.Auditor
	stopping   atomic.Bool
}

// New opens the store, reads the credentials and binds the listeners. It needs
// no network. On an error everything it opened is closed again.
func New(ctx context.Context, o Options) (_ *Relay, err error) {
	r := &Relay{cfg: o.Config, version: o.Version, log: o.Log, submit: o.SubmitSocket, started: time.Now()}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if err = r.openIdentities(); err != nil {
		return nil, err
	}
	if r.store, err = spool.OpenSQLite(ctx, r.spoolOptions(o.Sandbox)); err != nil {
		return nil, err
	}
	if err = r.openMonitor(ctx); err != nil {
		return nil, err
	}
	r.delivery = delivery.New(r.deliveryConfig())
	r.auditor = r.newAuditor(r.cfg, r.identities)
	if err = r.openSMTP(ctx); err != nil {
		return nil, err
	}
	return r, r.openAdmin(ctx)
}

func (r *Relay) openIdentities() error {
	r.identities = make(map[config.Name]*graph.Client)
	for _, id := range r.cfg.Identities {
		c, err := graph.New(r.graphConfig(id))
		if err != nil {
			return fmt.Errorf("identity %s: %w", id.Name, err)
		}
		r.identities[id.Name] = c
	}
	return nil
}

func (r *Relay) graphConfig(id config.Identity) graph.Config {
	g := graph.Config{
		Name: string(id.Name), TenantID: string(id.TenantID), ClientID: string(id.ClientID),
		SecretFile: string(id.ClientSecretFile), CertificateFile: string(id.CertificateFile), CAFile: string(id.CAFile),
		MaxConcurrent: id.MaxConcurrent, Log: r.log, UserAgent: "graphrelay/" + r.version,
	}
	if id.Endpoints != nil {
		g.Login, g.Graph = mustURL(id.Endpoints.Login), mustURL(id.Endpoints.Graph)
	}
	return g
}

func (r *Relay) spoolOptions(sandbox bool) spool.Options {
	return spool.Options{
		Path: r.cfg.Queue.Store.Path, MinFree: int64(r.cfg.Queue.MinFreeSpace), MaxMessages: r.cfg.Queue.MaxMessages,
		MaxDelay: delivery.MaxDelay, InterruptedDelay: delivery.UnknownDelay, MarkSandbox: sandbox, Log: r.log,
	}
}

func (r *Relay) deliveryConfig() delivery.Config {
	unknown := map[string]delivery.UnknownOutcome{"retry": delivery.Retry, "hold": delivery.HoldIt, "lookup": delivery.LookUp}
	return delivery.Config{
		Store: r.store, Route: r.route, Log: r.log, Unknown: unknown[r.cfg.Delivery.UnknownOutcome], Grace: sendGrace, OnEvent: r.countDelivery,
		MaxAge: time.Duration(r.cfg.Queue.MaxAge), MaxHold: time.Duration(r.cfg.Queue.MaxHold), Reports: r.reports,
	}
}

// reports tells who is told of failed mail, and as whom.
func (r *Relay) reports() delivery.Reports {
	c := r.cfg
	return delivery.Reports{
		ToSender: c.Reports.ToSender, Postmaster: c.Reports.Postmaster, DelayWarning: time.Duration(c.Reports.DelayWarning),
		From: c.DefaultSender, Mailbox: c.MailboxOf(c.DefaultSender), Hostname: string(c.Hostname),
	}
}

// checkLookup finds out at start whether the app may read the mailboxes of the
// configuration, where it must.
func (r *Relay) checkLookup(ctx context.Context) {
	if r.cfg.Delivery.UnknownOutcome != "lookup" {
		return
	}
	var boxes []envelope.Address
	for _, m := range r.cfg.Mailboxes {
		if !m.Address.Wildcard() {
			boxes = append(boxes, m.Address)
		}
	}
	r.delivery.CheckLookup(ctx, boxes)
}

// route tells through which identity a mailbox sends.
func (r *Relay) route(mailbox envelope.Address) (delivery.Route, bool) {
	m, ok := r.cfg.Mailbox(mailbox)
	if !ok {
		return delivery.Route{}, false
	}
	id, ok := r.cfg.Identity(m.Identity)
	return delivery.Route{
		Identity: string(m.Identity), Sender: r.identities[m.Identity], Finder: r.identities[m.Identity],
		MaxConcurrent: m.MaxConcurrent, IdentityConcurrent: id.MaxConcurrent,
		Rate: delivery.Rate{Count: m.Rate.Count, Per: m.Rate.Per},
	}, ok
}

// Listeners tells where SMTP clients connect, with the ports that were chosen
// where the configuration says 0.
func (r *Relay) Listeners() []string {
	var list []string
	for _, l := range r.listeners {
		list = append(list, l.name())
	}
	return list
}

// Warnings are what every start and every status says loudly.
func (r *Relay) Warnings() []string {
	var list []string
	for name, c := range r.identities {
		if !c.Microsoft() {
			list = append(list, fmt.Sprintf("identity %s: its endpoints are not Microsoft's; mail does not leave through Microsoft 365", name))
		}
	}
	return append(list, auditWarnings(r.auditor.Last())...)
}

// Run serves until ctx ends and returns when everything has stopped: nil after
// a stop in order. It closes the Relay in any case and may be called once.
func (r *Relay) Run(ctx context.Context) error {
	defer r.close()
	for _, w := range r.Warnings() {
		r.log.Warn("not Microsoft", "warning", w)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ends := r.start(ctx, stop)
	<-ctx.Done()
	r.stopping.Store(true)
	r.log.Info("stopping")
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), receiveGrace)
	defer cancel()
	_ = r.smtp.Shutdown(grace)
	r.intake.Flush()
	for range ends.count {
		<-ends.done
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// parts counts the goroutines of a Run.
type parts struct {
	count int
	done  chan struct{}
}

// start runs every part; the first that fails stops the others.
func (r *Relay) start(ctx context.Context, stop context.CancelCauseFunc) parts {
	p := parts{done: make(chan struct{})}
	run := func(f func() error) {
		p.count++
		go func() {
			if err := f(); err != nil && ctx.Err() == nil {
				stop(err)
			}
			p.done <- struct{}{}
		}()
	}
	for _, c := range r.identities {
		run(func() error { c.Run(ctx); return nil })
	}
	run(func() error { return r.delivery.Run(ctx) })
	run(func() error { r.auditor.Run(ctx); return nil })
	run(func() error { r.sweep(ctx); return nil })
	run(func() error { r.checkLookup(ctx); return nil })
	run(func() error { return r.adminServer().Serve(ctx, r.admin) })
	if r.metrics != nil {
		run(func() error { return r.monitor.Serve(ctx, r.metrics, r.log) })
	}
	for _, l := range r.listeners {
		run(func() error { return r.smtp.Serve(l.Listener, l.options) })
	}
	return p
}

// sweep deletes what the configuration keeps no longer, every few minutes.
func (r *Relay) sweep(ctx context.Context) {
	tick := time.NewTicker(5 * time.Minute)
	defer tick.Stop()
	for {
		q := r.cfg.Queue
		if err := r.store.Sweep(ctx, time.Now(), time.Duration(q.History), time.Duration(q.KeepFailed)); err != nil && ctx.Err() == nil {
			r.log.Warn("sweep failed", "cause", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// close releases what New opened, in reverse order; again does nothing.
func (r *Relay) close() {
	for _, l := range r.listeners {
		_ = l.Close()
	}
	for _, l := range []net.Listener{r.admin, r.metrics} {
		if l != nil {
			_ = l.Close()
		}
	}
	if r.store != nil {
		if err := r.store.Close(); err != nil {
			r.log.Error("closing the store", "cause", err)
		}
		r.store = nil
	}
}
