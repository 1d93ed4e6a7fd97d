package relay

import (
	"context"
	"errors"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/postgres"
	"graphrelay/relay/spool/sqlite"
	"graphrelay/relay/text"
	"graphrelay/relay/wiring"
)

// store is the queue, whatever keeps it.
type store interface {
	spool.Store
	// Displaced is closed when other nodes have taken over what this one did; nil where there is no other.
	Displaced() <-chan struct{}
	// About says for people what keeps the queue, if it is no file, and what every start
	// and every status must say of that; "" for nothing.
	About() (what, warning string)
}

// file is the queue of a node that is alone.
type file struct{ *sqlite.Store }

func (file) Displaced() <-chan struct{} { return nil }
func (file) About() (string, string)    { return "", "" }

// openStore opens the queue.
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
	database := wiring.Database(o.Config, o.Sandbox, o.Log)
	database.URL = url
	database.Sends = func(mailbox envelope.Address) bool {
		_, ok := wiring.Route(r.cfg(), mailbox)
		return ok
	}
	s, err := postgres.Open(ctx, database)
	if err == nil {
		r.store = s
	}
	return err
}

// watchStore ends Run when this node can record nothing any more.
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
