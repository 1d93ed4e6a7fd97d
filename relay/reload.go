package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"graphrelay/config"
	"graphrelay/relay/smtpd"
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

// rebind pairs the listeners of g with the sockets that are open, and opens
// those that are missing. On an error it closes again what it opened.
func (r *Relay) rebind(ctx context.Context, g *generation) (list, fresh []listener, err error) {
	open := r.openListeners()
	for _, w := range r.wantedListeners(g) {
		kept := takeListeners(&open, w.Address)
		if len(kept) == 0 {
			l, err := r.bind(ctx, w)
			if err != nil {
				closeAll(fresh)
				return nil, nil, portHint(err, w.Address, open)
			}
			fresh = append(fresh, l...)
			list = append(list, l...)
			continue
		}
		for _, l := range kept {
			list = append(list, listener{l.Listener, w.Address, w.Options})
		}
	}
	return list, fresh, nil
}

// takeListeners takes the sockets of an address out of open: of a port that was
// chosen freely one, of a name of systemd all.
func takeListeners(open *[]listener, address string) (taken []listener) {
	var rest []listener
	for _, l := range *open {
		if l.address == address && (len(taken) == 0 || strings.HasPrefix(address, "systemd:")) {
			taken = append(taken, l)
		} else {
			rest = append(rest, l)
		}
	}
	*open = rest
	return taken
}

// portHint explains a port that the service itself still holds: by an address
// that the new configuration widens or narrows.
func portHint(err error, address string, leaving []listener) error {
	_, port, _ := net.SplitHostPort(address)
	for _, l := range leaving {
		if _, other, _ := net.SplitHostPort(l.address); port != "" && port == other {
			return fmt.Errorf("listener %s: the service itself listens on this port at %s until it stops: "+
				"restart it (systemctl restart graphrelay)", address, l.address)
		}
	}
	return err
}

func closeAll(list []listener) {
	for _, l := range list {
		_ = l.Close()
	}
}

// swap puts g in force. Nothing in it can fail.
func (r *Relay) swap(g *generation, list, fresh []listener) {
	old := r.now.Swap(g)
	r.runIdentities(g)
	old.retire()
	r.intake.SetRules(wiring.Intake(g.cfg, hostName()))
	r.delivery.SetLimits(wiring.Limits(g.cfg))
	r.smtp.Reconfigure(wiring.SMTP(g.cfg, r.log))
	r.setListeners(list, fresh)
	r.onChange(g.cfg)
	// Holds may be over now, and senders that are gone must be held.
	r.delivery.ProbeNow()
}

// setListeners serves fresh, gives those that stay their new options and
// retires the others.
func (r *Relay) setListeners(list, fresh []listener) {
	r.mu.Lock()
	old := r.listeners
	r.listeners = list
	r.mu.Unlock()
	for _, l := range old {
		if !hasSocket(list, l.Listener) {
			r.leave(l)
		}
	}
	for _, l := range list {
		if hasSocket(fresh, l.Listener) {
			r.serveSMTP(l)
		} else {
			r.smtp.SetOptions(l.Listener, l.options)
		}
	}
}

func hasSocket(list []listener, socket net.Listener) bool {
	return slices.ContainsFunc(list, func(l listener) bool { return l.Listener == socket })
}

// leave stops serving a listener. systemd keeps its own sockets open.
func (r *Relay) leave(l listener) {
	if strings.HasPrefix(l.address, "systemd:") {
		r.log.Warn("a socket of systemd is no longer served, and its clients will hang; "+
			"stop its unit, or name it in smtp.listeners and restart", "address", l.address)
	}
	r.smtp.Retire(l.Listener)
}

// serveSMTP runs the accept loop of l.
func (r *Relay) serveSMTP(l listener) {
	r.part(func() error {
		if err := r.smtp.Serve(l.Listener, l.options); !errors.Is(err, smtpd.ErrServerClosed) {
			return err
		}
		return nil
	})
}
