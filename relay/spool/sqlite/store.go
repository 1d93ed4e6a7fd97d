// Package sqlite is the engine of relay/spool in one SQLite file. It flushes the
// log (WAL, synchronous FULL) before a commit returns.
//
// After a failed commit it closes every connection, opens the file again, empties
// the log, removes refused messages, and proves by a commit that the disk accepts
// writes; see recover. While that fails it is unhealthy, can still be read, and
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
	"sync"
	"sync/atomic"
	"time"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/sqlite/disk"
	"graphrelay/relay/spool/sqlite/file"
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
	MarkSandbox      bool             // the store of a sandbox, which a real relay refuses, and the reverse
	Now              func() time.Time // = time.Now
	Log              *slog.Logger     // = none
}

const (
	defaultBallast = 32 << 20
	readerCount    = 4
)

// Store is a spool.Store in one SQLite file; Open makes one.
//
// One goroutine, the writer, makes every change; see write. Readers have
// connections of their own and never wait for it.
type Store struct {
	view
	opts    Options
	log     *slog.Logger
	held    *disk.Held
	saved   string // where the content of a database that is not at its path is kept; the writer's
	ballast string // path
	tick    time.Duration
	fault   func(at string) error // does nothing in production; tests make things fail here

	writer       *db.Conn // of the writer's goroutine alone
	checkpointer *db.Pool
	space        *disk.Space
	lastNumber   atomic.Int64 // of a draft

	smalls, bigs  inlet
	kick          chan struct{}
	stop, stopped chan struct{}
	closing       sync.Once
	closeErr      error

	rideLimit        time.Duration
	lastTick         time.Time // of the clock; the writer's
	walGrowth        int64     // bytes since the last checkpoint, estimated; the writer's
	checkpointing    atomic.Bool
	firstStepOver    chan struct{} // of the checkpoint under way, closed at its end; the writer's
	stalled          atomic.Bool   // the writer waits for it
	finishWAL        atomic.Bool
	key              [16]byte
	own              seen        // what is remembered of the store outside it
	changed          atomic.Bool // a message changed since that was counted
	checkpointFailed atomic.Pointer[error]
	background       sync.WaitGroup

	mu      sync.Mutex
	health  health
	orphans []int64 // ended drafts whose chunks must be removed
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
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.writer.Close(), held.Close())
	}
	return s, nil
}

func newStore(opts Options, held *disk.Held) *Store {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	opts.Log = cmp.Or(opts.Log, slog.New(slog.DiscardHandler))
	opts.BallastSize = max(cmp.Or(opts.BallastSize, defaultBallast), 0)
	s := &Store{
		view:    view{path: opts.Path, tally: newTally(), open: newOpenAttempts(), sparse: defaultSparse},
		opts:    opts,
		log:     opts.Log,
		held:    held,
		ballast: opts.Path + disk.BallastSuffix,
		tick:    time.Second, rideLimit: rideLimit,
		fault:   func(string) error { return nil },
		smalls:  make(inlet, queueSize),
		bigs:    make(inlet, queueSize),
		kick:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
	s.space = disk.NewSpace(disk.Limits{
		Path: opts.Path, MinFree: opts.MinFree, MaxMessages: opts.MaxMessages, Queued: s.tally.queue,
		Uses: s.tally.each,
	})
	return s
}

// start prepares the files and starts the writer.
func (s *Store) start() error {
	path := s.opts.Path
	lost, err := s.keepDamagedLog()
	if err != nil {
		return err
	}
	c, err := dialWriter(path)
	if err != nil {
		return s.explain(err)
	}
	s.writer = c
	if err := prepareSchema(c, s.opts.MarkSandbox); err != nil {
		return s.explain(err)
	}
	if err := s.cleanUp(c); err != nil {
		return s.explain(err)
	}
	if err := s.held.NoteLog(); err != nil {
		return err
	}
	s.writeSalvaged(lost)
	s.remember()
	if err := disk.MakeBallast(s.ballast, s.opts.BallastSize); err != nil {
		s.log.Warn("cannot make the queue ballast", slog.Any("error", err))
		s.space.SetFull(true)
	}
	s.readers = file.NewPool(path, readerParams, readerCount)
	s.checkpointer = file.NewPool(path, checkpointParams, 1)
	go s.write()
	s.background.Go(s.countMinutes)
	if err := s.addHeldTimes(context.Background()); err != nil {
		return errors.Join(err, s.Close())
	}
	return nil
}

func (s *Store) explain(err error) error {
	if _, ok := db.KindOf(err); ok {
		hint := "check that the disk works and has free space"
		if db.Is(err, db.Corrupt, db.NotADatabase) {
			hint = "keep a copy of it, restore a backup or salvage it with: sqlite3 " + s.opts.Path + " .recover"
		}
		return fmt.Errorf("spool: opening %s: %w; %s", s.opts.Path, err, hint)
	}
	return err
}

// cleanUp repairs the contents, however the last run ended.
func (s *Store) cleanUp(c *db.Conn) error {
	lost, err := disk.ReadLost(s.opts.Path)
	if err != nil {
		return err
	}
	if len(lost) > 0 {
		err := wipe(c, marks{accepted: lost})
		if err == nil {
			err = emptyWAL(c)
		}
		if err == nil {
			err = disk.ForgetLost(s.opts.Path)
		}
		if err != nil {
			return err
		}
	}
	if err := s.recount(c); err != nil {
		return err
	}
	return c.Transaction(func() error {
		if err := s.bringBack(c); err != nil {
			return err
		}
		if err := s.recognize(c); err != nil {
			return err
		}
		return clampNext(c, s.tally.snapshot(), s.opts.Now(), s.opts.MaxDelay)
	})
}

// recount reads again what is kept in memory.
func (s *Store) recount(c *db.Conn) error {
	t, err := countAll(c)
	if err == nil {
		err = t.countUses(c)
	}
	if err != nil {
		return err
	}
	last, err := c.Number(`SELECT max(coalesce((SELECT max(n) FROM message), 0),
		coalesce((SELECT max(id) >> 16 FROM chunk), 0), coalesce((SELECT max(n) FROM draft), 0))`)
	if err != nil {
		return err
	}
	s.tally.replace(t)
	if last > s.lastNumber.Load() {
		s.lastNumber.Store(last)
	}
	return nil
}

// bringBack queues the messages whose attempt was interrupted, and finds the
// interrupted drafts.
func (s *Store) bringBack(c *db.Conn) error {
	const sending = "SELECT " + briefColumns + " FROM message INDEXED BY by_state WHERE state = 1"
	interrupted, err := db.All(c, sending, nil, readBrief)
	if err != nil {
		return err
	}
	now := s.opts.Now()
	t := &tx{Conn: c}
	counted := set{columns: ", unknown = 1, crashes = crashes + 1, settled = attempts"}
	for _, b := range interrupted {
		e := spool.Event{
			At: now, Kind: spool.EventDeferred, Attempt: int(b.attempts), Text: "the program ended during the attempt",
			Unknown: true,
		}
		if err := enter(t, b, codeQueued, now.Add(s.opts.InterruptedDelay), &e, counted); err != nil {
			return err
		}
	}
	s.tally.apply(t.shifts)
	s.orphans, err = db.All(c, "SELECT n FROM draft", nil, func(r *db.Row) (int64, error) { return r.Int(), nil })
	return err
}

// Close makes the changes that were handed over, moves the log into the database
// and releases the store. Later changes get ErrUnhealthy.
func (s *Store) Close() error {
	s.closing.Do(func() {
		close(s.stop)
		<-s.stopped
		s.background.Wait()
		s.readers.Close()
		s.checkpointer.Close()
		if s.writer != nil && s.sick() == nil {
			s.own.count++
			if s.closeErr = errors.Join(s.writer.Run(countUp, s.own.count), emptyWAL(s.writer)); s.closeErr == nil {
				s.remember()
			}
		}
		s.closeErr = errors.Join(s.closeErr, s.writer.Close(), s.held.Close())
	})
	return s.closeErr
}
