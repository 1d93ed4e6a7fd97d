package relay

import (
	"context"
	"errors"
	"time"

	"graphrelay/relay/monitor"
	"graphrelay/relay/pacing"
	"graphrelay/relay/socket"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/postgres"
	"graphrelay/relay/spool/sqlite"
	"graphrelay/relay/text"
	"graphrelay/relay/wiring"
)

// store is the queue, whatever keeps it.
type store interface {
	spool.Store
	// Displaced is closed when another node has the queue; nil where there is no other.
	Displaced() <-chan struct{}
	// About says for people what keeps the queue, if it is no file, and what every start
	// and every status must say of that; "" for nothing.
	About() (what, warning string)
}

// file is the queue of the only node.
type file struct{ *sqlite.Store }

func (file) Displaced() <-chan struct{} { return nil }
func (file) About() (string, string)    { return "", "" }

// openStore opens the queue. Where that is in a database, it returns once this node has it,
// and stands by until then.
func (r *Relay) openStore(ctx context.Context, o Options) error {
	if o.Config.Queue.StoreURLFile == "" {
		s, err := sqlite.Open(ctx, wiring.Store(o.Config, o.Sandbox, o.Log))
		if err == nil {
			r.store = file{s}
		}
		return err
	}
	url, password, err := postgres.ReadURL(string(o.Config.Queue.StoreURLFile))
	if err != nil {
		return err
	}
	if r.secrets != nil && password != "" {
		r.secrets.Add(password)
	}
	standing, over := context.WithCancel(ctx)
	defer r.parts.Wait()
	defer over()
	first := true
	database := wiring.Database(o.Config, o.Sandbox, o.Log)
	database.URL, database.Standby = url, func(node string) {
		if o.OnStandby != nil {
			o.OnStandby(node)
		}
		if first {
			r.standBy(standing, o)
		}
		first = false
	}
	s, err := postgres.Open(ctx, database)
	if err == nil {
		r.store = s
	}
	return err
}

// standBy answers for a service that takes no mail: its address of the probes, and clients
// at the sockets of systemd.
func (r *Relay) standBy(ctx context.Context, o Options) {
	r.parts.Go(func() {
		for pacing.Sleep(ctx, time.Second) == nil {
			TurnAway(o.Inherited)
		}
	})
	_, metricsAt, _ := wiring.Services(o.Config)
	if metricsAt == "" {
		return
	}
	l, err := socket.Open(ctx, "metrics.address", metricsAt, 0)
	if err != nil {
		r.log.Warn("cannot answer probes while another node has the queue", "error", err)
		return
	}
	r.parts.Go(func() { _ = monitor.Standby(ctx, l, r.hostname, r.log) })
}

// watchStore ends Run when another node has the queue.
func (r *Relay) watchStore(ctx context.Context) error {
	select {
	case <-r.store.Displaced():
		err := r.store.Health()
		if cause, ok := errors.AsType[text.Cause](err); ok {
			err = cause
		}
		return err
	case <-ctx.Done():
		return nil
	}
}
