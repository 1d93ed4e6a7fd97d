package tables

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
)

// How much goes into one transaction. Small changes first, so that neither bodies
// nor the sweeper delay them; and at least one big one, so that these proceed.
const (
	maxSmalls = 256
	maxBigs   = 4 // each at most one chunk: 1 MiB
	queueSize = 1024
)

// write is the one goroutine that changes the database. All changes that wait
// when it begins a transaction go into it: one fsync serves many callers.
func (s *Store) write() {
	defer close(s.stopped)
	tick := time.NewTicker(s.Options.Tick)
	defer tick.Stop()
	for {
		var batch []*change
		ticked := false
		select {
		case ch := <-s.smalls:
			batch = append(batch, ch)
		case ch := <-s.bigs:
			batch = append(batch, ch)
		case <-s.kick:
		case <-tick.C:
			s.housekeep()
			ticked = true
		case <-s.stop:
			s.drain()
			return
		}
		if batch = s.collect(batch); len(batch) > 0 {
			s.commit(s.withWords(s.awaitCompany(batch)))
		}
		s.host.Upkeep(ticked)
		if s.Sick() == nil {
			s.reap()
		}
	}
}

// collect adds the waiting changes.
func (s *Store) collect(batch []*change) []*change {
	batch = take(batch, s.smalls, maxSmalls)
	return take(batch, s.bigs, maxBigs)
}

// rideLimit is how long a change that rides waits for another.
const rideLimit = 10 * time.Millisecond

// awaitCompany waits for a change that must be made at once, if none in the batch must:
// one flush then serves both.
func (s *Store) awaitCompany(batch []*change) []*change {
	urgent := func(ch *change) bool { return !ch.rides }
	if slices.ContainsFunc(batch, urgent) {
		return batch
	}
	limit := time.NewTimer(s.Options.Ride)
	defer limit.Stop()
	for len(batch) < maxSmalls && !slices.ContainsFunc(batch, urgent) {
		select {
		case ch := <-s.smalls:
			batch = append(batch, ch)
		case ch := <-s.bigs:
			batch = append(batch, ch)
		case <-limit.C:
			return batch
		case <-s.stop:
			return batch
		}
	}
	return s.collect(batch)
}

func take(batch []*change, in inlet, limit int) []*change {
	for range limit {
		select {
		case ch := <-in:
			batch = append(batch, ch)
		default:
			return batch
		}
	}
	return batch
}

// drain makes the changes that were handed over before Close.
func (s *Store) drain() {
	for batch := s.collect(nil); len(batch) > 0; batch = s.collect(nil) {
		s.commit(batch)
	}
}

// commit makes a batch durable and answers each of its callers.
func (s *Store) commit(batch []*change) {
	defer answer(batch)
	if err := s.Sick(); err != nil {
		failAll(batch, err)
		return
	}
	if lost, err := s.tryCommit(batch); err != nil {
		s.Options.Log.Error("queue commit failed", slog.Any("error", err), slog.Int("changes", len(batch)))
		s.afterFailure(batch, lost, err)
	}
}

// afterFailure runs the recovery and decides what each caller of the failed batch gets.
func (s *Store) afterFailure(batch []*change, lost marks, cause error) {
	full := s.host.Ease(cause)
	if err := s.recover(lost); err != nil {
		failAll(batch, err)
		return
	}
	if !full {
		failAll(batch, fmt.Errorf("spool: commit failed, nothing was kept: %w", cause))
		return
	}
	s.redo(batch, cause)
}

// redo applies changes of state again, for which the ballast was freed. New mail is refused.
func (s *Store) redo(batch []*change, cause error) {
	var again []*change
	for _, ch := range batch {
		if ch.redo && ch.err == nil {
			again = append(again, ch)
		}
	}
	if len(again) > 0 {
		if lost, err := s.tryCommit(again); err != nil {
			failAll(again, fmt.Errorf("spool: commit failed for want of room: %w", err))
			_ = s.recover(lost) // Health returns its error
		}
	}
	for _, ch := range batch {
		if !ch.redo && ch.err == nil {
			ch.err = s.host.Cause(cause)
		}
	}
}

// tryCommit runs one transaction. Changes that refuse, or whose own rows are
// damaged, get their error and are skipped; an error of the database fails all.
func (s *Store) tryCommit(batch []*change) (marks, error) {
	for {
		var t *Tx
		err := db.Retry(func() error {
			t = &Tx{Conn: s.writer, watermark: s.watermark}
			return s.transact(t, batch)
		})
		switch {
		case err == nil:
			s.tally.apply(t.shifts)
			s.noteWatermark(t.watermark)
			for _, do := range t.then {
				do()
			}
			s.host.Committed(Written{
				Changes: len(batch), Bytes: t.bodyBytes, Moved: len(t.shifts) > 0, Freed: t.freed,
			})
			return marks{}, nil
		case !errors.Is(err, errBlamed):
			return t.marks, err
		}
	}
}

// transact applies all changes without an error so far and commits.
func (s *Store) transact(t *Tx, batch []*change) error {
	if err := t.Begin(); err != nil {
		return err
	}
	for _, ch := range batch {
		if ch.err != nil {
			continue
		}
		if err := ch.apply(t); err != nil {
			if _, sql := db.KindOf(err); !sql {
				ch.err = err
				continue
			}
			if !isolated(err) {
				t.Rollback()
				return err
			}
			ch.err = db.AsCaller(err)
			t.Rollback()
			return errBlamed
		}
	}
	if err := s.Fault("before commit"); err != nil {
		t.Rollback()
		return err
	}
	if err := t.Commit(); err != nil {
		t.Rollback()
		return err
	}
	return s.Fault("after commit")
}

// change is one change that a caller wants. The writer applies it inside a transaction
// that it shares with all others waiting, and answers when that is durable.
//
// apply either succeeds, or refuses with an error of the spool before it has
// written anything, or fails with a db.Error. It may run more than once, each
// time in a new transaction, so it must set its results again each time.
type change struct {
	apply func(*Tx) error
	redo  bool // may be applied again after a full disk got space
	rides bool // waits rideLimit for another change, to share its flush
	err   error
	done  chan struct{}
}

// Tx is a transaction under way and what becomes true if it commits.
type Tx struct {
	*db.Conn
	shifts    []shift
	bodyBytes int64
	freed     bool  // bytes of bodies were removed
	watermark int64 // see search_index.go
	then      []func()
	marks
}

// marks are the traces of a transaction that must be wiped if its commit failed
// and its frames come back all the same.
type marks struct {
	accepted []envelope.QueueID // messages that exist only if it committed
	attempts []recordedAttempt
}

// recordedAttempt is an attempt that was never returned to the caller of Claim.
type recordedAttempt struct {
	n       int64
	attempt int64
}

// inlet is one of the writer's two inputs.
type inlet chan *change

// submit hands a change to the writer and waits for its answer. After that it is
// not cancelled: the caller gets the result.
func (s *Store) submit(ctx context.Context, in inlet, ch *change) error {
	ch.done = make(chan struct{})
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case in <- ch:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stop:
		return spool.ErrClosed
	}
	select {
	case <-ch.done:
		return ch.err
	case <-s.stopped:
	}
	select { // the writer may have answered just before it stopped
	case <-ch.done:
		return ch.err
	default:
		return spool.ErrClosed
	}
}

// Change is submit for changes of state and small messages.
func (s *Store) Change(ctx context.Context, redo bool, apply func(*Tx) error) error {
	return s.submit(ctx, s.smalls, &change{apply: apply, redo: redo})
}

// big is submit for chunks and the sweeper's steps, of which few go into one
// transaction so that small changes need not wait for them.
func (s *Store) big(ctx context.Context, apply func(*Tx) error) error {
	return s.submit(ctx, s.bigs, &change{apply: apply})
}

// Apply makes a change at once and says whether it is durable. It is for the writer's goroutine,
// between two transactions.
func (s *Store) Apply(do func(*Tx) error) error {
	ch := &change{redo: true, done: make(chan struct{}), apply: do}
	s.commit([]*change{ch})
	return ch.err
}

// isolated returns whether a failure concerns one statement on one message, and
// not the database below all of them, which still works after it.
func isolated(err error) bool { return db.Is(err, db.Corrupt, db.Constraint, db.TooBig) }

func answer(batch []*change) {
	for _, ch := range batch {
		close(ch.done)
	}
}

func failAll(batch []*change, err error) {
	for _, ch := range batch {
		if ch.err == nil {
			ch.err = err
		}
	}
}

// errBlamed ends a pass over a batch in which one change failed by itself.
var errBlamed = errors.New("spool: one change failed")

// Wake makes the writer run its loop once.
func (s *Store) Wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}
