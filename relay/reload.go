package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"

	"graphrelay/config"
	"graphrelay/relay/wiring"
)

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
	list, fresh, err := r.rebind(ctx, g)
	if err != nil {
		return err
	}
	if err := r.carryAuditHolds(ctx, c, r.delivery.HoldIdentity); err != nil {
		closeAll(fresh)
		return fmt.Errorf("cannot find out whose mail an audit holds; see graphrelay status: %w", err)
	}
	r.swap(g, list, fresh)
	return nil
}

// setting is a key with its value.
type setting struct{ key, value string }

// fixed returns the settings that only a start reads, in the order in which a
// reload refuses them.
func fixed(c *config.Config) []setting {
	admin, metrics, console := wiring.Services(c)
	return []setting{
		{"queue.store", c.Queue.Store.String()},
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
				was.key, was.value, now[i].value))
		}
	}
	return errors.Join(all...)
}

// swap puts g in force. Nothing in it can fail.
func (r *Relay) swap(g *generation, list, fresh []listener) {
	g.continueLogins(r.now.Load())
	old := r.now.Swap(g)
	r.runIdentities(g)
	old.retire()
	r.intake.SetRules(wiring.Intake(g.cfg, hostName()))
	r.delivery.SetLimits(wiring.Limits(g.cfg))
	r.smtp.Reconfigure(wiring.SMTP(g.cfg, r.log))
	r.setListeners(list, fresh)
	r.onChange(g.cfg)
	// Holds may have ended, and mail of senders that are gone must be held.
	r.delivery.ProbeNow()
}
