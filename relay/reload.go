package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"graphrelay/config"
	"graphrelay/relay/keypair"
	"graphrelay/relay/listeners"
	"graphrelay/relay/renewal"
	"graphrelay/relay/verify"
	"graphrelay/relay/wiring"
)

// generation is everything that is built from one configuration: a reload builds
// the next one as a whole and swaps it in, or leaves the present one alone.
type generation struct {
	cfg         *config.Config
	since       time.Time
	identities  wiring.Clients
	renewals    renewal.Group
	keyPair     *keypair.Pair // nil without smtp.tls, as certificate is
	certificate wiring.Certificate
	auditor     *verify.Auditor
	retire      context.CancelFunc
}

// newGeneration reads the credentials and certificates that c names. It needs
// no network and opens nothing that must be closed.
func (r *Relay) newGeneration(c *config.Config) (*generation, error) {
	g := &generation{cfg: c, since: time.Now(), identities: wiring.Clients{}, retire: func() {}}
	for _, id := range c.Identities {
		options := wiring.Graph(id, r.version, r.log, func() { r.delivery.ProbeNow() })
		options.Secrets = r.secrets
		options.OnToken = func(again, roles bool) { r.delivery.LoggedIn(string(id.Name), again, roles) }
		client, err := wiring.NewClient(c, id, options)
		if err != nil {
			return nil, fmt.Errorf("identity %s: %w", id.Name, err)
		}
		g.identities[id.Name] = client
	}
	g.renewals = wiring.Renewals(c, g.identities, r.version, r.log)
	if certificate, key := wiring.KeyPair(c); certificate != "" {
		pair, err := keypair.Load(certificate, key, r.log)
		if err != nil {
			return nil, fmt.Errorf("smtp.tls: %w", err)
		}
		g.keyPair, g.certificate = pair, pair.Certificate
	}
	return g, nil
}

// continueLogins makes the identities of g go on where those of old are.
func (g *generation) continueLogins(old *generation) {
	for name, client := range g.identities {
		if was := old.identities[name]; was != nil {
			client.Continue(was)
		}
	}
}

// cfg returns the configuration in force. Call it again after every wait.
func (r *Relay) cfg() *config.Config { return r.now.Load().cfg }

// runIdentities keeps tokens ready and audits until the next generation
// replaces g.
func (r *Relay) runIdentities(g *generation) {
	ctx, retire := context.WithCancel(r.running)
	g.retire = retire
	for _, c := range g.identities {
		r.parts.Go(func() { c.Run(ctx) })
	}
	r.parts.Go(func() { g.auditor.Run(ctx) })
	r.parts.Go(func() { g.renewals.Run(ctx) })
	r.parts.Go(func() { r.delivery.CheckLookup(ctx, wiring.Lookups(g.cfg)) })
}

var errNoReload = errors.New("the service was started without a configuration file, so there is nothing to reload; " +
	"restart it instead")

// Reload reads the configuration again and puts it in force as a whole, or not at
// all: the error says why not, and ends with what to do. Listeners whose address
// stays are kept, and no connection and no message in progress is disturbed; a
// listener's new options are those of its next connection. Reload waits until Run
// has begun; reloads run one after another.
func (r *Relay) Reload(ctx context.Context) error {
	select {
	case <-r.up:
	case <-ctx.Done():
		return ctx.Err()
	}
	r.reloading.Lock()
	defer r.reloading.Unlock()
	if r.running.Err() != nil {
		return errors.New("the service is stopping; start it again to use the new configuration")
	}
	defer r.onReload()()
	if err := r.reload(context.WithoutCancel(ctx)); err != nil {
		r.log.Error("cannot reload the configuration; the previous one stays in force", "error", err)
		r.refused.Store(&err)
		return err
	}
	r.log.Info("configuration reloaded", "listeners", r.Listeners())
	r.refused.Store(nil)
	return nil
}

// awaitReload waits for a reload in progress; once Run stops, no other begins.
func (r *Relay) awaitReload() {
	r.reloading.Lock()
	defer r.reloading.Unlock()
}

func (r *Relay) reload(ctx context.Context) error {
	if r.load == nil {
		return errNoReload
	}
	c, err := r.load()
	if err != nil {
		return err
	}
	if err := sameFixed(r.cfg(), c); err != nil {
		return err
	}
	g, err := r.newGeneration(c)
	if err != nil {
		return err
	}
	g.auditor = r.newAuditor(g)
	sockets, err := r.listeners.Plan(ctx, wiring.Listeners(g.cfg, r.submit, g.certificate))
	if err != nil {
		return err
	}
	if err := r.carryAuditHolds(ctx, c, r.delivery.HoldIdentity); err != nil {
		sockets.Undo()
		return fmt.Errorf("cannot find out whose mail an audit holds; see graphrelay status: %w", err)
	}
	r.swap(g, sockets)
	return nil
}

// fixed returns the settings that only a start reads, each a key with its value,
// in the order in which a reload refuses them.
func fixed(c *config.Config) [][2]string {
	admin, metrics, console := wiring.Services(c)
	return [][2]string{
		{"queue.store", c.Queue.Store.String()},
		{"queue.store_url_file", cmp.Or(string(c.Queue.StoreURLFile), "none")},
		{"queue.min_free_space", c.Queue.MinFreeSpace.String()},
		{"queue.max_messages", strconv.Itoa(c.Queue.MaxMessages)},
		{"admin.address", admin},
		{"metrics.address", cmp.Or(metrics, "none")},
		{"console.address", cmp.Or(console, "none")},
		{"alerts.webhook_url_file", cmp.Or(wiring.WebhookURLFile(c), "none")},
		{"log.format", c.Log.Format},
	}
}

// sameFixed refuses what cannot change while the service runs, all at once.
func sameFixed(old, next *config.Config) error {
	var all []error
	now := fixed(next)
	for i, was := range fixed(old) {
		if now[i] != was {
			all = append(all, fmt.Errorf("%s cannot change from %s to %s while the service runs: "+
				"restart it (systemctl restart graphrelay), or restore the old value",
				was[0], was[1], now[i][1]))
		}
	}
	return errors.Join(all...)
}

// swap puts g in force. Nothing in it can fail.
func (r *Relay) swap(g *generation, sockets *listeners.Change) {
	g.continueLogins(r.now.Load())
	old := r.now.Swap(g)
	r.runIdentities(g)
	old.retire()
	r.intake.SetRules(wiring.Intake(g.cfg, hostName()))
	r.delivery.SetLimits(wiring.Limits(g.cfg))
	r.smtp.Reconfigure(wiring.SMTP(g.cfg, r.log))
	sockets.Apply(r.smtp, r.serveSMTP)
	r.onChange(g.cfg)
	// Holds may have ended, and mail of senders that are gone must be held.
	r.delivery.ProbeNow()
}
