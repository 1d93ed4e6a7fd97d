// Package sqlite is the queue of relay/spool in one SQLite file. It flushes the
// log (WAL, synchronous FULL) before a commit returns. What is stored, and how, is the
// business of relay/spool/tables; here is what concerns the file.
//
// After a failed commit it closes every connection, opens the file again, empties
// the log, removes refused messages, and proves by a commit that the disk accepts
// writes; see Reopen. While that fails it is unhealthy, can still be read, and
// retries. On a full disk it frees a ballast file, so that outcomes can still be
// recorded. The package knows neither SMTP nor Graph nor when to retry.
package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/sqlite/disk"
	"graphrelay/relay/spool/sqlite/file"
	"graphrelay/relay/spool/tables"
)

// Options say where a store is and how large it may get.
type Options struct {
	Path        string        // of the database file; its folder must exist
	MinFree     int64         // bytes that stay free on its file system
	MaxMessages int           // of the queue; 0 = no limit
	BallastSize int64         // bytes; 0 = 32 MiB, less than 0 = no ballast
	MaxDelay    time.Duration // the longest time to a next attempt; 0 = trust the stored times
	// InterruptedDelay keeps a message whose attempt a crash interrupted from
	// the next claim: without it, restarts in quick succession would each count
	// as a crash of that message.
	InterruptedDelay time.Duration
	Moving           bool             // for tables.Move
	MarkSandbox      bool             // the store of a sandbox, which a real relay refuses, and the reverse
	Now              func() time.Time // = time.Now
	Log              *slog.Logger     // = none
}

const (
	defaultBallast = 32 << 20
	readerCount    = 4
)

// Store is a spool.Store in one SQLite file; Open makes one.
type Store struct {
	*tables.Store
	host *host
}

var _ spool.Store = (*Store)(nil)

// Open opens a store, or creates one if there is none, and locks it until Close:
// a second call for the same path gets ErrLocked.
//
// Messages whose attempt a crash interrupted come back Queued and due, Unknown,
// with one more in Crashes. Messages that were not accepted are gone. Errors:
// ErrLocked, ErrSchema, ErrSandbox, or another; each ends with what to do.
func Open(ctx context.Context, opts Options) (*Store, error) {
	return openStore(ctx, opts, func(*Store) {})
}

// openStore lets a test adjust the store before it is used.
func openStore(ctx context.Context, opts Options, adjust func(*Store)) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(opts.Path)
	if err != nil {
		return nil, err
	}
	opts.Path = path
	if err := disk.CheckFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	held, err := disk.Hold(path)
	if err != nil {
		return nil, err
	}
	s := newStore(opts, held)
	adjust(s)
	c, err := s.host.begin()
	if err != nil {
		return nil, errors.Join(err, held.Close())
	}
	s.host.checkpointer = file.NewPool(path, checkpointParams, 1)
	s.Go(s.host.countMinutes)
	if err := s.Start(c, file.NewPool(path, readerParams, readerCount)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func newStore(opts Options, held *disk.Held) *Store {
	opts.BallastSize = max(cmp.Or(opts.BallastSize, defaultBallast), 0)
	opts.Log = cmp.Or(opts.Log, slog.New(slog.DiscardHandler))
	h := &host{
		opts: opts, log: opts.Log, held: held, space: disk.NewSpace(opts.Path, opts.MinFree),
		ballast: opts.Path + disk.BallastSuffix,
	}
	h.engine = tables.New(tables.Options{
		MaxMessages: opts.MaxMessages, MaxDelay: opts.MaxDelay, InterruptedDelay: opts.InterruptedDelay,
		Disk: h.space, Now: opts.Now, Log: opts.Log, Moving: opts.Moving,
	}, h)
	return &Store{Store: h.engine, host: h}
}

// begin prepares the files and opens the connection that writes.
func (h *host) begin() (*db.Conn, error) {
	lost, err := h.keepDamagedLog()
	if err != nil {
		return nil, err
	}
	c, err := dialWriter(h.opts.Path)
	if err != nil {
		return nil, h.explain(err)
	}
	if err = prepareSchema(c, h.opts.MarkSandbox); err == nil {
		err = h.cleanUp(c)
	}
	if err = h.explain(err); err == nil {
		err = h.held.NoteLog()
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	h.writeSalvaged(c, lost)
	h.remember()
	if err := disk.MakeBallast(h.ballast, h.opts.BallastSize); err != nil {
		h.log.Warn("cannot make the queue ballast", slog.Any("error", err))
		h.space.SetFull(true)
	}
	return c, nil
}

func (h *host) explain(err error) error {
	if _, ok := db.KindOf(err); ok {
		hint := "check that the disk works and has free space"
		if db.Is(err, db.Corrupt, db.NotADatabase) {
			hint = "keep a copy of it, restore a backup or salvage it with: sqlite3 " + h.opts.Path + " .recover"
		}
		return fmt.Errorf("spool: opening %s: %w; %s", h.opts.Path, err, hint)
	}
	return err
}

// cleanUp repairs the contents, however the last run ended.
func (h *host) cleanUp(c *db.Conn) error {
	lost, err := disk.ReadLost(h.opts.Path)
	if err != nil {
		return err
	}
	if len(lost) > 0 {
		err := tables.Wipe(c, lost)
		if err == nil {
			err = emptyWAL(c)
		}
		if err == nil {
			err = disk.ForgetLost(h.opts.Path)
		}
		if err != nil {
			return err
		}
	}
	return h.engine.Prepare(c, func() error { return h.recognize(c) })
}

// Stats implements spool.Reader.
func (s *Store) Stats(ctx context.Context) (spool.Stats, error) {
	stats, err := s.Store.Stats(ctx)
	stats.Salvaged = salvaged(s.host.opts.Path)
	return stats, err
}
