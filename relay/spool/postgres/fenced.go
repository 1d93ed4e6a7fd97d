package postgres

import (
	"errors"
	"fmt"
	"time"

	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/postgres/link"
)

// decideWithin is how long the callers of a commit wait at most until it is known whether
// it was made, and commitLimit the part of it for the commit itself.
const (
	decideWithin = 30 * time.Second
	commitLimit  = 20 * time.Second
	decidePause  = 200 * time.Millisecond
)

// errDoubtful is a commit of which it could not be found out in time whether it was made.
var errDoubtful = errors.New("it is not known whether the transaction was committed")

// repeatable is what a transaction begins with that fails where another changes the same rows.
const repeatable = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"

// fenced is the writer's session. Each of its transactions first writes its own number into
// the row of the lease: without the row another node has taken over and nothing is written; and
// the number says later whether a commit was made whose answer was lost. Where another node
// changes the same rows at the same time, one of the two fails (db.Conflict).
type fenced struct {
	*link.Session
	lease *lease
	batch int64
	now   func() time.Time // of patience; tests shorten it
	limit time.Duration
}

func newFenced(t *link.Target, l *lease) *fenced {
	return &fenced{Session: t.Session(commitLimit), lease: l, now: time.Now, limit: decideWithin}
}

// Begin implements db.Session. spool.ErrDisplaced, if another node has the lanes.
func (f *fenced) Begin() error {
	if f.lease.isOver.Load() {
		return displaced()
	}
	f.batch++
	changed, err := f.Session.BeginWith(fmt.Sprintf(repeatable+"; "+
		"SET LOCAL graphrelay.node = %d; UPDATE node_lease SET batch = %[2]d WHERE id = %[1]d", f.lease.id, f.batch))
	if err == nil && changed == 0 {
		f.Rollback()
		f.lease.end()
		err = displaced()
	}
	return err
}

// Commit implements db.Session. Where the answer is lost it finds out what became of the
// commit. An error means that it was not made, but errDoubtful.
func (f *fenced) Commit() error {
	until := f.now().Add(f.limit)
	err := f.Session.Commit()
	if !db.Is(err, db.Lost) {
		return err
	}
	for {
		f.Abandon()
		made, failed := f.made()
		switch {
		case failed == nil && made:
			return nil
		case failed == nil:
			return err
		case f.lease.isOver.Load():
			return displaced()
		case f.now().After(until):
			return &db.Error{Kind: db.Lost, Err: fmt.Errorf("%w: %w; %w", errDoubtful, err, failed)}
		}
		time.Sleep(decidePause)
	}
}

// made returns whether the last transaction was committed. It asks in a transaction that
// itself is committed like mail, and waits for the end of the other by the lock on the row:
// what it says is then as durable as it is itself.
func (f *fenced) made() (made bool, err error) {
	err = f.plain(func(conn *db.Conn) error {
		const ask = "UPDATE node_lease SET until = until WHERE id = ? RETURNING batch + 1"
		found, err := conn.Number(ask, f.lease.id)
		if err == nil && found == 0 {
			f.lease.end()
			err = displaced()
		}
		made = found == f.batch+1
		return err
	})
	return made, err
}

// steady is a session without a lease, whose transactions fail where another one changes the
// same rows at the same time.
type steady struct{ *link.Session }

// Begin implements db.Session.
func (s steady) Begin() error {
	_, err := s.BeginWith(repeatable)
	return err
}

// plain runs a transaction of the session that has no number of its own.
func (f *fenced) plain(do func(*db.Conn) error) error {
	return (&db.Conn{Session: f.Session}).Transaction(func() error { return do(&db.Conn{Session: f.Session}) })
}
