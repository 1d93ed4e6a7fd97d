// Package move carries the queue of one configuration into the store of another one: from a
// file into a PostgreSQL database, back, or into another file. Both services must be stopped; the
// stores are held exclusively meanwhile. What is carried, and why at most one of the two may be
// worked on wherever a move ends, is the business of relay/spool/tables.
package move

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"graphrelay/config"
	"graphrelay/relay/pacing"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/postgres"
	"graphrelay/relay/spool/sqlite"
	"graphrelay/relay/spool/tables"
	"graphrelay/relay/text"
	"graphrelay/relay/wiring"
)

// leaseWait is how long the lease of a node that was killed may last.
const leaseWait = 20 * time.Second

// Stores are the two of a move, held until Close.
type Stores struct {
	From, To tables.Side
	closers  []func() error
}

// Open opens the stores of two configurations. As root it goes on as the user to whom the
// files belong, so that the service can open them afterwards. waiting is called with a
// node that works on a database, while Open waits for its lease to expire.
func Open(ctx context.Context, from, to *config.Config, waiting func(node string)) (*Stores, error) {
	if name(from) == name(to) {
		return nil, text.Cause{Headline: "Both configurations name the same store",
			Remedy: "name another one in the configuration of --to-config", Detail: name(from)}
	}
	var urls [2]string
	for i, c := range []*config.Config{from, to} {
		if file := c.Queue.StoreURLFile; file != "" {
			url, _, err := postgres.ReadURL(string(file))
			if err != nil {
				return nil, err
			}
			urls[i] = url
		}
	}
	if err := mustExist(from, urls[0]); err != nil {
		return nil, err
	}
	if err := becomeOwner(from, to); err != nil {
		return nil, err
	}
	s := &Stores{}
	for i, c := range []*config.Config{from, to} {
		store, err := s.open(ctx, c, urls[i], waiting)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		side := tables.Side{Store: store, Name: name(c)}
		if i == 0 {
			s.From = side
		} else {
			s.To = side
		}
	}
	return s, nil
}

// name is a store as its configuration names it; a URL stays secret.
func name(c *config.Config) string {
	if file := c.Queue.StoreURLFile; file != "" {
		return "the database of " + string(file)
	}
	return c.Queue.Store.Path
}

// mustExist wants a queue to move: to open a store would make one.
func mustExist(c *config.Config, url string) error {
	none := text.Cause{Headline: "There is no queue to move", Remedy: "name its configuration with --config",
		Detail: name(c)}
	if url == "" {
		if _, err := os.Stat(c.Queue.Store.Path); errors.Is(err, fs.ErrNotExist) {
			return none
		}
		return nil
	}
	if is, err := postgres.Examine(url); err == nil && is.Empty {
		return none
	}
	return nil // what else is wrong, opening it says
}

func (s *Stores) open(
	ctx context.Context, c *config.Config, url string, waiting func(node string),
) (*tables.Store, error) {
	log := slog.New(slog.DiscardHandler)
	if url == "" {
		o := wiring.Store(c, false, log)
		o.Moving = true
		store, err := sqlite.Open(ctx, o)
		if errors.Is(err, spool.ErrLocked) {
			return nil, inUse(name(c), err.Error())
		}
		if err != nil {
			return nil, err
		}
		s.closers = append(s.closers, store.Close)
		return store.Store, nil
	}
	o := wiring.Database(c, false, log)
	o.URL, o.Moving = url, true
	store, err := alone(ctx, o, waiting)
	if used, ok := errors.AsType[*postgres.InUse](err); ok {
		return nil, inUse(name(c), used.Error())
	}
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, store.Close)
	return store.Store, nil
}

// alone opens a database once no node works on its queue.
func alone(ctx context.Context, o postgres.Options, waiting func(node string)) (*postgres.Store, error) {
	for last, began := "", time.Now(); ; {
		store, err := postgres.Open(ctx, o)
		used, ok := errors.AsType[*postgres.InUse](err)
		if !ok || time.Since(began) > leaseWait {
			return store, err
		}
		if used.Node != last {
			last = used.Node
			waiting(last)
		}
		if err := pacing.Sleep(ctx, time.Second); err != nil {
			return nil, err
		}
	}
}

func inUse(name, detail string) error {
	return text.Cause{Headline: "Queue is in use, so it cannot be moved",
		Remedy: "stop the service, on each node and with its socket units: systemctl stop graphrelay",
		Detail: name + ": " + detail}
}

// Close lets services have the stores again.
func (s *Stores) Close() (err error) {
	for _, closeStore := range s.closers {
		err = errors.Join(err, closeStore())
	}
	s.closers = nil
	return err
}

// becomeOwner makes root the user to whom the files of a queue belong, or its folder.
func becomeOwner(configs ...*config.Config) error {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, c := range configs {
		if c.Queue.StoreURLFile != "" {
			continue
		}
		path := c.Queue.Store.Path
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			info, err = os.Stat(filepath.Dir(path))
		}
		if err != nil {
			return nil // opening it says why
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		if !ok || owner.Uid == 0 {
			continue
		}
		gid := int(owner.Gid)
		if err := errors.Join(syscall.Setgroups([]int{gid}), syscall.Setgid(gid),
			syscall.Setuid(int(owner.Uid))); err != nil {
			return fmt.Errorf("cannot become user %d, to whom %s belongs: %w", owner.Uid, path, err)
		}
		return nil
	}
	return nil
}
