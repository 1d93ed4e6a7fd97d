package sqlite

import (
	"context"
	"errors"
	"fmt"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite/db"
)

// change is one wish of one caller. The writer applies it inside a transaction
// that it shares with all others waiting, and answers when that is durable.
//
// apply either succeeds, or refuses with an error of the spool before it has
// written anything, or fails with a db.Error. It may run more than once, each
// time in a new transaction, so what it hands to its caller it assigns anew.
type change struct {
	apply func(*tx) error
	redo  bool // may be applied again by itself after a full disk was eased
	err   error
	done  chan struct{}
}

// tx is a transaction under way and what becomes true if it commits.
type tx struct {
	*db.Conn
	shifts []shift
	octets int64 // of bodies
	marks
}

// marks are the traces of a transaction that must be wiped where its commit
// failed and its frames come back all the same.
type marks struct {
	born     []envelope.QueueID // messages that exist only if it committed
	attempts []recordedAttempt
}

// recordedAttempt is an attempt that its caller was never told of.
type recordedAttempt struct {
	n       int64
	attempt int64
}

func (m *marks) add(o marks) {
	m.born = append(m.born, o.born...)
	m.attempts = append(m.attempts, o.attempts...)
}

// lane of the writer's input.
type inlet chan *change

// submit hands a change to the writer and waits for its answer. Once handed
// over it is not cancelled: the caller learns what became of it.
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
	select { // the writer may have answered with its last breath
	case <-ch.done:
		return ch.err
	default:
		return spool.ErrClosed
	}
}

// small is submit for changes of state and messages of few octets.
func (s *Store) small(ctx context.Context, redo bool, apply func(*tx) error) error {
	return s.submit(ctx, s.smalls, &change{apply: apply, redo: redo})
}

// big is submit for chunks and the sweeper's steps, of which few go into one
// transaction so that small changes need not wait for them.
func (s *Store) big(ctx context.Context, apply func(*tx) error) error {
	return s.submit(ctx, s.bigs, &change{apply: apply})
}

// isolated tells failures of one statement on one message from failures of the
// disk below all of them. After these SQLite can go on.
func isolated(err error) bool {
	code, _ := db.Code(err)
	return code == db.Corrupt || code == db.Constraint || code == db.TooBig
}

// isFull tells a full disk from a broken one.
func isFull(err error) bool {
	code, ok := db.Code(err)
	return ok && code == db.Full
}

// insertProblem names a queue ID that is there already.
func insertProblem(err error, id envelope.QueueID) error {
	if code, _ := db.Code(err); code == db.Constraint {
		return fmt.Errorf("spool: message %s exists already: %w", id, err)
	}
	return err
}

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

// errBlamed ends a pass over a batch in which one change failed alone.
var errBlamed = errors.New("spool: one change failed")
