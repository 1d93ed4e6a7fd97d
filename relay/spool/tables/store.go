// Package tables is the engine of relay/spool in the tables of a database: every statement on
// messages, their history and words, holds, refusals and reports; the writer that makes many
// changes in one transaction; drafts; and what is counted in memory. Which database it is,
// the package does not know: its connections are of relay/spool/db, and what else it needs
// is a Host.
//
// Statements are in the SQL that SQLite and PostgreSQL both understand. Each index that one
// relies on is named (INDEXED BY), for SQLite. Beyond common SQL there is only the function glob
// of SQLite (search.go), which another engine defines.
package tables

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/room"
)

// Options are what does not depend on the database.
type Options struct {
	MaxMessages int           // of the queue; 0 = no limit
	MaxDelay    time.Duration // the longest time to a next attempt; 0 = trust the stored times
	// InterruptedDelay is how long a message waits whose attempt was interrupted.
	InterruptedDelay time.Duration
	// MayRun is for how long another node may still be making an attempt that it has recorded, from
	// when this one has its lane, by the size of the message; nil = there is no other.
	MayRun func(size int64) time.Duration
	Disk   room.Disk        // nil = the database is on none of this machine
	Now    func() time.Time // = time.Now
	Log    *slog.Logger     // = none

	Share Share // how several nodes share the database; nil = one alone has it

	Moving bool // for Move: what is stored stays as it is, even where a move has not ended

	Tick time.Duration // how often the writer looks after the database; = 1 s
	Ride time.Duration // how long a change that rides waits for another; = 10 ms

	Backoff time.Duration // the longest time until an unhealthy store is tried again; = 1 min
}

// Share divides the lanes among the nodes of a database. Its methods are called by the writer's
// goroutine.
type Share interface {
	// Own reports whether the node has a lane, which it takes in a transaction if no other has it.
	Own(t *Tx, lane string) (mine bool, err error)
	// Numbers takes a block of numbers that no other node has or gets.
	Numbers(t *Tx) (first, last int64, err error)
}

// Host is the database of a Store, as far as it is not the same for all. But for Cause and
// Close, its methods are called by the writer's goroutine, and only Shrink while a transaction
// is open. A transaction itself is the business of the db.Session: what it begins with, and
// whether a commit whose answer was lost is durable.
type Host interface {
	// Ours returns nil as long as what is written is what the next start will find.
	// It is called at each tick and before Reopen; an error makes the store unhealthy.
	Ours() error
	// Reopen brings the database back after a failed commit, when nobody knows what it
	// holds. It closes the connection, opens another one that knows what is durable, runs
	// repair with it, and proves by a commit that the database takes writes. It returns
	// the new connection, even where a later step fails.
	Reopen(c *db.Conn, repair func(*db.Conn) error) (*db.Conn, error)
	// Ease says whether a failure was for want of room. If so, it has given up what
	// was kept for that, so that outcomes can still be recorded; new mail is refused.
	Ease(failure error) (full bool)
	// Cause is a failure in the words of an administrator, and what to do; an ErrFull,
	// if it was for want of room.
	Cause(failure error) error
	// Note keeps the queue IDs of messages that were refused but may be stored all the
	// same, in case the program ends before they are removed.
	Note(lost []envelope.QueueID) error

	// Committed is told what each transaction wrote.
	Committed(w Written)
	// Upkeep runs between two transactions, at each tick and after each batch.
	Upkeep(tick bool)
	// Shrink gives back some of the room that nothing uses any more, in a transaction
	// of the sweeper.
	Shrink(c *db.Conn) (more bool, err error)
	// Close ends the use of the database. well means that the last commit succeeded.
	Close(c *db.Conn, well bool) error
}

// Written is what one transaction wrote.
type Written struct {
	Changes int
	Bytes   int64 // of bodies
	Moved   bool  // a message is in another state, or new, or gone
	Freed   bool  // bytes of bodies were removed
}

// Store is a spool.Store but for what its Host adds; New makes one.
//
// One goroutine, the writer, makes every change; see write. Readers have
// connections of their own and never wait for it.
type Store struct {
	*Reader
	spool.Alone
	Options Options
	Room    *room.Room
	Fault   func(at string) error // does nothing in production; tests make things fail here

	host       Host
	writer     *db.Conn     // of the writer's goroutine alone
	lastNumber atomic.Int64 // of a draft
	numbers    numbers      // of a node that shares the database
	watermark  int64        // of the words, the writer's
	wordsTried int64        // up to which number, in vain; the writer's

	smalls, bigs  inlet
	kick          chan struct{}
	stop, stopped chan struct{}
	closing       sync.Once
	closeErr      error
	background    sync.WaitGroup
	lastTick      time.Time // of the clock; the writer's
	key           [16]byte

	mu        sync.Mutex
	health    health
	orphans   []int64 // ended drafts whose chunks must be removed
	elsewhere elsewhere
}

// New makes a store that is not open yet: Prepare and Start follow.
func New(o Options, host Host) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.Tick, o.Ride = cmp.Or(o.Tick, time.Second), cmp.Or(o.Ride, rideLimit)
	o.Backoff = cmp.Or(o.Backoff, time.Minute)
	s := &Store{
		Reader: NewReader(nil), Options: o, host: host,
		Fault:  func(string) error { return nil },
		smalls: make(inlet, queueSize), bigs: make(inlet, queueSize),
		kick: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	s.open = newOpenAttempts()
	s.Room = room.New(room.Limits{
		MaxMessages: o.MaxMessages, Queued: s.tally.queue, Uses: s.tally.each, Disk: o.Disk,
	})
	return s
}

// Prepare repairs what is stored, however the last run ended, and in the same transaction
// does whatever else the start of a database needs.
func (s *Store) Prepare(c *db.Conn, also func() error) error {
	if err := s.recount(c); err != nil {
		return err
	}
	return db.Retry(func() error { return c.Transaction(func() error { return s.prepare(c, also) }) })
}

func (s *Store) prepare(c *db.Conn, also func() error) error {
	if s.Options.Moving {
		return errors.Join(s.readKey(c), also())
	}
	if err := refuseMoved(c); err != nil {
		return err
	}
	if s.Options.Share == nil {
		if err := s.bringBack(c); err != nil {
			return err
		}
	}
	if err := s.readKey(c); err != nil {
		return err
	}
	if err := also(); err != nil {
		return err
	}
	return clampNext(c, s.tally.snapshot(), s.Options.Now(), s.Options.MaxDelay)
}

// Start takes changes from now on, which the connection c makes. Whatever it returns, Close
// must follow.
func (s *Store) Start(c *db.Conn, readers *db.Pool) error {
	s.writer, s.Readers = c, readers
	go s.write()
	if s.Options.Share != nil && !s.Options.Moving {
		if err := s.addWords(context.Background()); err != nil {
			return err
		}
	}
	return s.addHeldTimes(context.Background())
}

// Writer is the connection that makes the changes, for the Host in the writer's
// goroutine.
func (s *Store) Writer() *db.Conn { return s.writer }

// Go runs something beside the store that ends before Close returns: Stopping tells it when.
func (s *Store) Go(run func()) { s.background.Go(run) }

// Stopping is closed when Close begins.
func (s *Store) Stopping() <-chan struct{} { return s.stop }

// LastNumber is the latest of a message that was stored when the store was opened.
func (s *Store) LastNumber() int64 { return s.lastNumber.Load() }

// Queued is the number of messages in the queue.
func (s *Store) Queued() int { return s.tally.queue() }

// recount reads again what is kept in memory.
func (s *Store) recount(c *db.Conn) error {
	t, err := countAll(c)
	if err == nil {
		err = t.countUses(c)
	}
	if err != nil {
		return err
	}
	if s.watermark, err = readWatermark(c); err != nil {
		return err
	}
	if s.Options.Share != nil {
		s.watermark = allWords
	}
	s.tally.replace(t)
	if s.watermark < allWords {
		s.lastNumber.Store(max(s.watermark, s.lastNumber.Load()))
	}
	for _, last := range []string{
		"SELECT max(n) FROM message", "SELECT max(id) >> 16 FROM chunk", "SELECT max(n) FROM draft",
	} {
		n, err := c.Number(last)
		if err != nil {
			return err
		}
		s.lastNumber.Store(max(n, s.lastNumber.Load()))
	}
	return nil
}

// readKey reads the key of the store, or makes it.
func (s *Store) readKey(c *db.Conn) error {
	_, _ = rand.Read(s.key[:]) // never fails since Go 1.24
	const make = "INSERT INTO meta VALUES ('key', ?) ON CONFLICT DO NOTHING"
	if err := c.Run(make, hex.EncodeToString(s.key[:])); err != nil {
		return err
	}
	text, err := c.Text("SELECT v FROM meta WHERE k = 'key'")
	if err != nil {
		return err
	}
	key, err := hex.DecodeString(text)
	copy(s.key[:], key)
	return err
}

// Key implements spool.Intake.
func (s *Store) Key() [16]byte { return s.key }

// Close makes the changes that were handed over and releases the database. Later changes
// get ErrUnhealthy.
func (s *Store) Close() error {
	s.closing.Do(func() {
		close(s.stop)
		<-s.stopped
		s.background.Wait()
		s.Readers.Close()
		s.closeErr = s.host.Close(s.writer, s.Sick() == nil)
	})
	return s.closeErr
}
