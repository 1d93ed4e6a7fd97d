package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"graphrelay/config"
	"graphrelay/relay/canary"
	"graphrelay/relay/delivery"
	"graphrelay/relay/delivery/hold"
	"graphrelay/relay/envelope"
	"graphrelay/relay/intake"
	"graphrelay/relay/listeners"
	"graphrelay/relay/observe"
	"graphrelay/relay/pacing"
	"graphrelay/relay/refusals"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/socket"
	"graphrelay/relay/spool"
	"graphrelay/relay/text"
	"graphrelay/relay/tracking"
	"graphrelay/relay/wiring"
)

// How long a stop waits: for messages being received, then for messages being sent.
const (
	receiveGrace = 20 * time.Second
	sendGrace    = 30 * time.Second
)

// Options are what New needs to build a Relay.
type Options struct {
	Config  *config.Config
	Version string
	Log     *slog.Logger
	Secrets *text.Redactor // what Log keeps out of its lines; may be nil
	LogLost func() uint64  // how many lines Log has lost; may be nil
	Sandbox bool           // the store is a try-out's; a real service refuses it, and vice versa

	// SubmitSocket is the absolute path of the socket that sendmail submits to; with
	// "" only the listeners of the configuration are opened.
	SubmitSocket string

	// Inherited are the sockets that systemd passed; those that no listener names
	// are answered 421.
	Inherited socket.Passed

	// Load reads the configuration again, for a reload; nil where there is none
	// to read. OnChange is called with the one that came into force, OnReload when
	// a reload begins, and what it returns when it is over. Both may be nil and
	// must not block.
	Load     func() (*config.Config, error)
	OnChange func(*config.Config)
	OnReload func() (done func())
}

// Relay is one running service.
type Relay struct {
	version  string
	log      *slog.Logger
	secrets  *text.Redactor
	logLost  func() uint64
	submit   wiring.Submit
	load     func() (*config.Config, error)
	onChange func(*config.Config)
	onReload func() (done func())
	started  time.Time
	sandbox  bool

	store                   store
	closeStore              sync.Once
	refusals                *refusals.Record
	observer                *observe.Observer
	delivery                *delivery.Delivery
	tracker                 *tracking.Tracker
	canary                  *canary.Canary
	intake                  *intake.Intake
	smtp                    *smtpd.Server
	admin, metrics, console net.Listener // the latter two are nil if not configured

	now       atomic.Pointer[generation]
	reloading sync.Mutex            // one reload at a time, and none when Run stops
	refused   atomic.Pointer[error] // why the last reload changed nothing; nil after one that worked

	up       chan struct{}   // closed when Run has begun
	running  context.Context // of Run; set before up is closed
	shutDown context.CancelCauseFunc
	stopping atomic.Bool
	parts    sync.WaitGroup // the goroutines of Run

	listeners *listeners.Set
}

// New opens the store, reads the credentials and binds the listeners. It needs
// no network. On an error everything it opened is closed again.
func New(ctx context.Context, o Options) (_ *Relay, err error) {
	r := newRelay(o)
	defer func() {
		if err != nil {
			TurnAway(o.Inherited)
			r.close()
		}
	}()
	g, err := r.newGeneration(o.Config)
	if err != nil {
		return nil, err
	}
	r.now.Store(g)
	if err = r.openStore(ctx, o); err != nil {
		return nil, err
	}
	r.refusals = refusals.New(r.store, time.Now, r.log)
	inStore := func(ctx context.Context, identity, text string) error { // delivery does not run yet
		return r.store.SetHold(ctx, hold.ForAudit(identity, text, time.Now()))
	}
	if err = r.carryAuditHolds(ctx, o.Config, inStore); err != nil {
		return nil, err
	}
	if err = r.openObserver(); err != nil {
		return nil, err
	}
	r.delivery = delivery.New(r.deliveryConfig())
	r.tracker = tracking.New(r.trackingConfig())
	r.canary = canary.New(r.canaryConfig())
	g.auditor = r.newAuditor(g)
	if err = r.openSMTP(ctx, g); err != nil {
		return nil, err
	}
	return r, r.openManagement(ctx)
}

func newRelay(o Options) *Relay {
	r := &Relay{
		version: o.Version, log: o.Log, secrets: o.Secrets, logLost: o.LogLost,
		submit: wiring.Submit{Path: o.SubmitSocket},
		load:   o.Load, onChange: o.OnChange, onReload: o.OnReload,
		sandbox: o.Sandbox, started: time.Now(), up: make(chan struct{}), listeners: listeners.New(o.Inherited, o.Log),
	}
	if r.onChange == nil {
		r.onChange = func(*config.Config) {}
	}
	if r.logLost == nil {
		r.logLost = func() uint64 { return 0 }
	}
	if r.onReload == nil {
		r.onReload = func() func() { return func() {} }
	}
	return r
}

func (r *Relay) deliveryConfig() delivery.Config {
	return delivery.Config{
		Store: r.store, Route: r.route, Identity: r.hasIdentity, Limits: wiring.Limits(r.cfg()), Grace: sendGrace,
		Log: r.log, Reports: func() delivery.Reports { return wiring.Reports(r.cfg()) },
		Alarm: r.observer.Alerts.Alarm, OnEvent: r.observer.CountDelivery, Weight: wiring.Weights(r.cfg),
	}
}

func (r *Relay) trackingConfig() tracking.Config {
	return tracking.Config{
		Store: r.store, Settings: func() tracking.Settings { return wiring.Tracking(r.cfg()) },
		Reader: func(mailbox envelope.Address) (tracking.Reader, string, bool) {
			route, ok := wiring.Route(r.cfg(), mailbox)
			return r.now.Load().identities[config.Name(route.Identity)], route.Identity, ok
		},
		Aside: r.delivery.Aside, Recorded: r.delivery.ReportBounces, OnEvent: r.observer.CountBounce,
		Alarm: r.observer.Alerts.Alarm, Now: time.Now, Log: r.log,
	}
}

func (r *Relay) canaryConfig() canary.Config {
	return canary.Config{
		Store: r.store, Settings: func() canary.Settings { return wiring.Canary(r.cfg()) },
		Reader: func() canary.Reader {
			g := r.now.Load()
			return g.identities[wiring.CanaryIdentity(g.cfg)]
		},
		Aside: r.delivery.Aside, Notify: r.delivery.Notify, Now: time.Now, Log: r.log,
	}
}

// route returns how mail of a mailbox gets to Graph, by the configuration in force.
func (r *Relay) route(mailbox envelope.Address) (delivery.Route, bool) {
	g := r.now.Load()
	route, ok := wiring.Route(g.cfg, mailbox)
	if !ok {
		return route, false
	}
	client := g.identities[config.Name(route.Identity)]
	route.Sender, route.Finder, route.Large = client, client, client.Large(g.cfg)
	return route, true
}

func (r *Relay) hostname() string { return string(r.cfg().Hostname) }

// hasIdentity reports whether the configuration in force has an identity.
func (r *Relay) hasIdentity(name string) bool {
	_, ok := r.now.Load().identities[config.Name(name)]
	return ok
}

// Listeners returns where SMTP clients connect, with the ports that were chosen
// where the configuration says 0.
func (r *Relay) Listeners() []string { return r.listeners.Addresses() }

// Warnings returns what every start and every status must say: endpoints that are
// not Microsoft's, and audits that proved nothing. An audit that failed is a fault.
func (r *Relay) Warnings() []string {
	g := r.now.Load()
	var list []string
	for _, id := range g.cfg.Identities {
		if !g.identities[id.Name].Microsoft() {
			list = append(list, fmt.Sprintf("identity %s: its endpoints are not Microsoft's; "+
				"mail does not leave through Microsoft 365", id.Name))
		}
	}
	if _, warning := r.store.About(); warning != "" {
		list = append(list, warning)
	}
	return append(list, unproven(g.auditor.Last())...)
}

// Run serves until ctx ends and returns when everything has stopped: nil after
// an orderly stop. It closes the Relay in any case and may be called once.
func (r *Relay) Run(ctx context.Context) error {
	defer r.close()
	if !r.sandbox { // there the warnings are what is wanted
		for _, w := range r.Warnings() {
			r.log.Warn("starting with a warning", "warning", w)
		}
	}
	ctx, shutDown := context.WithCancelCause(ctx)
	defer shutDown(nil)
	r.start(ctx, shutDown)
	<-ctx.Done()
	r.stopping.Store(true)
	r.awaitReload()
	r.log.Info("stopping")
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), receiveGrace)
	defer cancel()
	_ = r.smtp.Shutdown(grace)
	r.intake.Flush()
	_ = r.refusals.Write(grace) // logged there
	r.parts.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// start runs every part; the first that fails stops the others.
func (r *Relay) start(ctx context.Context, shutDown context.CancelCauseFunc) {
	r.running, r.shutDown = ctx, shutDown
	r.runIdentities(r.now.Load())
	r.part(func() error { return r.delivery.Run(ctx) })
	r.part(func() error { return r.watchStore(ctx) })
	o := r.observer
	for _, run := range []func(context.Context){
		r.sweep, r.tracker.Run, r.canary.Run, r.refusals.Run, o.Alerts.Run, o.Watcher.Run,
	} {
		r.part(func() error { run(ctx); return nil })
	}
	r.runManagement(ctx)
	for _, l := range r.listeners.All() {
		r.serveSMTP(l)
	}
	close(r.up)
}

// part runs f until Run ends; an error of f ends Run.
func (r *Relay) part(f func() error) {
	r.parts.Go(func() {
		if err := f(); err != nil && r.running.Err() == nil {
			r.shutDown(err)
		}
	})
}

// sweep deletes history and failed messages that are older than the configuration
// keeps them, every few minutes, where no other node does.
func (r *Relay) sweep(ctx context.Context) {
	for {
		history, failed := wiring.Retention(r.cfg())
		if r.store.Leads() {
			if err := r.store.Sweep(ctx, time.Now(), history, failed); err != nil && ctx.Err() == nil {
				r.log.Warn("cannot delete history and failed messages that are too old", "error", err)
			}
		}
		if pacing.Sleep(ctx, 5*time.Minute) != nil {
			return
		}
	}
}

// Alive returns nil once the loops that carry the mail have answered: the
// writer of the store, the lanes of delivery, the accept loop of each listener.
// A store that is unhealthy but answers is alive: it recovers by itself, or the
// status says what to do, and a restart would not help. The error is for the log
// of a watchdog.
func (r *Relay) Alive(ctx context.Context) error {
	// Taking back a message that is not there changes nothing, but needs the writer.
	err := r.store.Unclaim(ctx, "", 0, r.started)
	if !errors.Is(err, spool.ErrNotFound) && !errors.Is(err, spool.ErrUnhealthy) {
		return fmt.Errorf("the writer of the queue does not answer: %w", err)
	}
	if err := r.delivery.Alive(ctx); err != nil {
		return err
	}
	return r.smtp.Alive(ctx)
}

// Summary is the state of the service in one line.
func (r *Relay) Summary(ctx context.Context) string { return r.observer.Summary(ctx) }

// close releases what New opened, in reverse order. A second call does nothing.
func (r *Relay) close() {
	r.listeners.Close()
	for _, l := range []net.Listener{r.admin, r.metrics, r.console} {
		if l != nil {
			_ = l.Close()
		}
	}
	if r.store != nil {
		r.closeStore.Do(func() {
			if err := r.store.Close(); err != nil {
				r.log.Error("cannot close the store", "error", err)
			}
		})
	}
}
