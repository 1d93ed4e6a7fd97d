package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"graphrelay/relay/pacing"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/postgres/link"
	"graphrelay/relay/text"
)

// How long a lease lasts, by the clock of the database; how often it is renewed; and after
// how long without a confirmed renewal its node begins nothing.
const (
	leaseLasts = "interval '15 seconds'"
	renewEvery = 5 * time.Second
	trustLease = 10 * time.Second
	retryRenew = time.Second
)

// lease is a node's right to work: its row of node_lease. A transaction that writes mail changes
// that row, so a node whose row another has taken away writes nothing any more, whatever it
// believes.
type lease struct {
	id        int64  // of this process alone, and never again
	holder    string // for people: the machine and the process
	target    *link.Target
	session   *link.Session
	standbys  atomic.Pointer[string]
	confirmed atomic.Int64 // when the last renewal that worked was asked for, by the clock of the boot
	over      chan struct{}
	isOver    atomic.Bool
	stop      context.CancelFunc
	stopped   chan struct{} // keep has ended
	log       *slog.Logger
}

func newLease(t *link.Target, log *slog.Logger) *lease {
	host, _ := os.Hostname()
	// A renewal waits for the standby like mail does: else a former primary that lives on would
	// confirm a lease that is void.
	session := t.With("synchronous_commit", "on").Session(retryRenew * 4)
	return &lease{id: 1 + rand.Int64N(math.MaxInt64), holder: fmt.Sprint(host, " ", os.Getpid()), target: t,
		session: session, over: make(chan struct{}), log: log}
}

// live is in SQL that the lease of a node has not expired. A time that is too far ahead is of a
// clock that has been set back since.
const live = "until BETWEEN now() AND now() + 2 * " + leaseLasts

// join makes the node one of those that work. A queue that is being moved has no other.
func (l *lease) join(c *fenced, moving bool) error {
	asked := bootTime()
	err := c.plain(func(conn *db.Conn) error {
		if err := conn.Run("SELECT pg_advisory_xact_lock(1735551098)"); err != nil { // "grlz"
			return err
		}
		other, err := conn.Text("SELECT split_part(holder, ' ', 1) FROM node_lease WHERE "+live+
			" AND (moving = 1 OR ? = 1) LIMIT 1", moving)
		switch {
		case err != nil:
			return err
		case other != "" && moving:
			return &InUse{other}
		case other != "":
			return text.Cause{Headline: "Queue in the database is being moved to another store",
				Remedy: "wait until graphrelay queue move has ended", Detail: "on " + other}
		}
		return conn.Run("INSERT INTO node_lease (id, holder, moving, until, batch) VALUES (?, ?, ?, now() + "+
			leaseLasts+", 0)", l.id, l.holder, moving)
	})
	l.confirmed.Store(asked)
	return err
}

// InUse is why a queue cannot be moved: a node works on it, or its lease has not expired.
type InUse struct{ Node string }

func (e *InUse) Error() string { return "node " + e.Node + " works on the queue" }

// start renews the lease until release, or until another node has taken over.
func (l *lease) start() {
	var ctx context.Context
	ctx, l.stop = context.WithCancel(context.Background())
	l.stopped = make(chan struct{})
	go l.keep(ctx)
}

func (l *lease) keep(ctx context.Context) {
	defer close(l.stopped)
	failing := false
	for wait := renewEvery; pacing.Sleep(ctx, wait) == nil; {
		asked := bootTime()
		mine, err := l.renew()
		switch {
		case err != nil:
			wait = retryRenew
			if !failing {
				l.log.Warn("cannot renew this node's lease; retrying",
					slog.Any("error", l.target.Explain(err)))
			}
		case !mine:
			l.end()
			return
		default:
			wait = renewEvery
			l.confirmed.Store(asked)
			if failing {
				l.log.Info("this node's lease is renewed again")
			}
		}
		failing = err != nil
	}
}

// errUnconfirmed is a commit whose wait for the standby somebody has cancelled.
var errUnconfirmed error = text.Cause{
	Headline: "Synchronous standby of PostgreSQL does not confirm what is committed",
	Remedy:   "start the standby, or remove it from synchronous_standby_names"}

// renew also learns which standbys have each commit: that changes while the server runs.
func (l *lease) renew() (mine bool, err error) {
	err = l.session.Query("UPDATE node_lease SET until = now() + "+leaseLasts+" WHERE id = ? "+
		"RETURNING current_setting('synchronous_standby_names')", []any{l.id}, func(r *db.Row) error {
		names, _ := r.Values[0].(string)
		mine = true
		l.standbys.Store(&names)
		return nil
	})
	if err == nil && l.session.Warned() {
		err = errUnconfirmed
	}
	return mine, err
}

// end records that another node has taken over: nothing that this process does can be
// recorded any more.
func (l *lease) end() {
	if l.isOver.CompareAndSwap(false, true) {
		l.log.Error("another node has the lanes of this one", slog.Any("error", causeOfEnd))
		close(l.over)
	}
}

// release lets another node take over at once.
func (l *lease) release() (err error) {
	l.stop()
	<-l.stopped
	if !l.isOver.Load() {
		_, err = l.session.Exec("UPDATE node_lease SET until = now() WHERE id = ?", []any{l.id})
	}
	if err != nil {
		err = l.target.Explain(err)
	}
	return errors.Join(err, l.session.Close())
}

// check returns nil if the node may begin something.
func (l *lease) check() error {
	if l.isOver.Load() {
		return displaced()
	}
	age := time.Duration(bootTime() - l.confirmed.Load())
	if age < trustLease {
		return nil
	}
	return text.Cause{Headline: "PostgreSQL does not confirm this node's lease",
		Remedy: "see whether the database, its standby and the network to them work; " +
			"mail is accepted again once it does",
		Detail: fmt.Sprintf("last confirmed %d s ago", int(age.Seconds()))}
}

func displaced() error { return refused{spool.ErrDisplaced, causeOfEnd} }

var causeOfEnd = text.Cause{Headline: "Another node has the lanes of this one, which did not confirm its lease in time",
	Remedy: "nothing to do: the service restarts and joins again"}

// bootTime is a clock that nobody sets, and that goes on while the machine sleeps.
func bootTime() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic("the clock of the boot cannot be read") // every Linux that Go supports has it
	}
	return t.Nano()
}
