// Package postgres is the engine of relay/spool in a PostgreSQL database, which several nodes
// share: each takes mail in, and each mailbox has its mail sent by one of them, which has its
// lane. A node whose lease expires loses its lanes to the first that sees it. The tables and
// statements are those of relay/spool/tables.
//
// Each transaction that writes changes the row of its node's lease and commits with
// synchronous_commit at least on: a node from which another has taken over writes nothing, whatever
// it believes, and learns it (spool.ErrDisplaced). Two that change the same message at the same time
// do so one after the other. Where the answer to a commit is lost, the number
// that the transaction wrote there says after reconnecting whether it was made; while that
// cannot be found out the store is unhealthy, and what was refused meanwhile is removed
// when the database is back. A lease that was not confirmed for ten seconds makes the store
// unhealthy, too, and no attempt may begin (MayBegin). What a node that is gone was sending stays
// Sending until its requests cannot run any more. A full database is ErrFull.
//
// The package knows neither SMTP nor Graph nor when to retry, and its errors and logs name
// no password.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/postgres/link"
	"graphrelay/relay/spool/tables"
	"graphrelay/relay/text"
)

// Options say where a store is and how large it may get.
type Options struct {
	URL         string        // postgres://USER:PASSWORD@HOST/DATABASE; see link.Parse
	MaxMessages int           // of the queue; 0 = no limit
	MaxDelay    time.Duration // the longest time to a next attempt; 0 = trust the stored times
	// RequestLimit is how long the requests of an attempt may take at most once they may
	// begin, by the size of the message. A message whose attempt was interrupted stays Sending
	// for as long: the node that made it may still be alive. nil: no time.
	RequestLimit func(size int64) time.Duration
	Sends        func(envelope.Address) bool // whether the configuration has a mailbox; nil: it has all
	Moving       bool                        // for tables.Move
	MarkSandbox  bool                        // the store of a sandbox, which a real relay refuses, and the reverse
	Now          func() time.Time            // = time.Now
	Log          *slog.Logger                // = none
}

// readerCount, the writer and the lease are the connections of a node that works.
const (
	readerCount = 4
	readLimit   = 15 * time.Second
	countLimit  = 10 * time.Minute // of the statements of a start
	fullFor     = 5 * time.Second

	// longestBackoff: a database that another has replaced is back within seconds.
	longestBackoff = 8 * time.Second
)

// Store is a spool.Store in a PostgreSQL database; Open makes one.
type Store struct {
	*tables.Store
	host *host
}

var _ spool.Store = (*Store)(nil)

// Open opens the queue of a database, or creates its tables if there are none, as one of the
// nodes that share it. Errors are a text.Cause, some with spool.ErrSchema or ErrSandbox; or, with
// Moving, an InUse while there is another node.
func Open(_ context.Context, o Options) (*Store, error) {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	target, err := link.Parse(o.URL)
	if err != nil {
		return nil, err
	}
	h := &host{target: target, log: o.Log, lease: newLease(target, o.Log)}
	h.session = newFenced(target, h.lease)
	h.share = newShare(h)
	s, err := h.open(o)
	if err != nil {
		_ = h.session.Close()
		return nil, h.explain(err)
	}
	return s, nil
}

func (h *host) open(o Options) (*Store, error) {
	c := &db.Conn{Session: h.session}
	plain := &db.Conn{Session: h.session.Session} // before there is a lease
	h.session.Limit = countLimit
	is, err := askServer(plain)
	if err == nil {
		err = is.refuse()
	}
	if err != nil {
		return nil, err
	}
	h.session.Level = is.level()
	if err := prepareSchema(plain, h.session.Session, markOf(o.MarkSandbox)); err != nil {
		return nil, err
	}
	if err := h.lease.join(h.session, o.Moving); err != nil {
		return nil, err
	}
	o.Log.Info("this node shares the queue", slog.String("database", h.target.String()),
		slog.String("server", is.describe()))
	h.lease.standbys.Store(&is.standbys)
	h.server = is
	h.lease.start()
	s := &Store{host: h, Store: tables.New(tables.Options{
		MaxMessages: o.MaxMessages, MaxDelay: o.MaxDelay, MayRun: o.mayRun,
		Disk: h, Now: o.Now, Log: o.Log, Moving: o.Moving, Backoff: longestBackoff, Share: h.share,
	}, h)}
	h.share.store, h.share.sends, h.moving = s.Store, o.Sends, o.Moving
	if err := s.Prepare(c, func() error { return s.prepare(c, o.Moving) }); err != nil {
		return nil, errors.Join(err, h.lease.release())
	}
	h.eased.Store(true)
	h.fillBallast()
	h.session.Limit = commitLimit
	if err := s.Start(c, h.readers()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.Wake()
	return s, nil
}

// prepare heeds that the database was put back, or that a move has brought messages.
func (s *Store) prepare(c *db.Conn, moving bool) error {
	if moving {
		return nil
	}
	last := s.LastNumber()
	return errors.Join(s.heedMark(c), c.Run("UPDATE number SET next = ? WHERE next <= ?", last+1, last))
}

func (h *host) readers() *db.Pool {
	return db.NewPool(func() (*db.Conn, error) {
		return &db.Conn{Session: h.target.Session(readLimit)}, nil
	}, readerCount)
}

// Health implements spool.Store. A commit that waits for the standby says nothing for long: the
// lease says it before, and that another node has the lanes.
func (s *Store) Health() error { return cmp.Or(s.MayBegin(), s.Store.Health()) }

// Admit implements spool.Intake.
func (s *Store) Admit(client string, size int64) error {
	return cmp.Or(s.MayBegin(), s.Store.Admit(client, size))
}

// Begin implements spool.Intake.
func (s *Store) Begin(ctx context.Context, client string, size int64) (spool.Draft, error) {
	if err := s.MayBegin(); err != nil {
		return nil, err
	}
	return s.Store.Begin(ctx, client, size)
}

// Settle implements spool.Lanes. That a message was sent is recorded even when another node has come
// to have the lane: it would send it again.
func (s *Store) Settle(ctx context.Context, o spool.Settlement) error {
	err := s.Store.Settle(ctx, o)
	if err == nil || o.State != spool.Sent || !s.host.lease.isOver.Load() {
		return err
	}
	session := steady{s.host.target.With("synchronous_commit", "on").Session(commitLimit)}
	defer session.Close()
	settled, err := tables.SettleLate(&db.Conn{Session: session}, o)
	if err == nil {
		s.host.log.Warn("the answer to a request came when another node had the lane",
			slog.String("queue_id", string(o.ID)), slog.Bool("twice", !settled))
	}
	return err
}

// mayRun is how long the node that had the queue before may still be sending a message: it
// begins nothing later than trustLease after a question that it asked before this node had it.
func (o Options) mayRun(size int64) time.Duration {
	if o.RequestLimit == nil {
		return trustLease
	}
	return trustLease + o.RequestLimit(size)
}

// MayBegin implements spool.Lanes.
func (s *Store) MayBegin() error {
	if err := s.host.lease.check(); err != nil {
		return fmt.Errorf("%w: %w", spool.ErrUnhealthy, err)
	}
	return nil
}

// Displaced is closed when another node has taken over from this one.
func (s *Store) Displaced() <-chan struct{} { return s.host.lease.over }

// About says for people what keeps the queue and where, and what every start and every status
// must say of that; "" for nothing.
func (s *Store) About() (what, warning string) {
	is := s.host.server
	is.standbys = *s.host.lease.standbys.Load()
	if is.standbys == "" {
		warning = Unprotected
	}
	return is.describe() + ", " + s.host.target.String() + "; this node is " + nameOf(s.host.lease.holder), warning
}

// ReadURL reads the file with the URL of a database, and returns the password too, for
// whoever keeps secrets out of a log. Errors are a text.Cause.
func ReadURL(file string) (url, password string, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", "", text.Cause{Headline: "File of queue.store_url_file cannot be read",
			Remedy: "write the URL into it, and let the service read it", Detail: err.Error()}
	}
	url = strings.TrimSpace(string(b))
	target, err := link.Parse(url)
	if err != nil {
		return "", "", err
	}
	return url, target.Password(), nil
}

// host is the tables.Host of a PostgreSQL database, and its room.Disk.
type host struct {
	target  *link.Target
	session *fenced
	lease   *lease
	log     *slog.Logger
	eased   atomic.Bool  // the ballast is empty
	full    atomic.Int64 // when a write last found the database full, by the clock of the boot; 0: never
	share   *share
	moving  bool
	noted   int   // refused messages of which the log knows
	server  found // when the store was opened
}
