package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
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
	leaseLasts  = "interval '15 seconds'"
	renewEvery  = 5 * time.Second
	trustLease  = 10 * time.Second
	retryRenew  = time.Second
	standbyAsks = time.Second
)

// lease is a node's right to work on the queue: the row of node_lease that has its token.
// A transaction that writes mail changes that row, so a node whose token has been replaced
// writes nothing any more, whatever it believes.
type lease struct {
	holder    string // of this process alone
	token     int64
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
	return &lease{holder: host + " " + rand.Text(), target: t, session: session, over: make(chan struct{}), log: log}
}

// await returns once the node has the lease. standby is called with the node that has it,
// each time that this is another one. Only the first question may fail.
func (l *lease) await(ctx context.Context, c *fenced, standby func(node string)) error {
	last, failing := "", false
	for first := true; ; first = false {
		holder, err := l.try(c)
		switch {
		case err != nil && first:
			return err
		case err != nil && !failing:
			l.log.Warn("cannot ask for the lease of the queue; retrying", slog.Any("error", l.target.Explain(err)))
		case err == nil && holder == "":
			return nil
		case err == nil && holder != last:
			last = holder
			l.log.Info("standing by: another node has the queue", slog.String("node", holder))
			standby(holder)
		}
		failing = err != nil
		if err := pacing.Sleep(ctx, standbyAsks); err != nil {
			return err
		}
	}
}

// try takes the lease if nobody has it, or returns the node that does.
func (l *lease) try(c *fenced) (holder string, err error) {
	asked := bootTime()
	err = c.plain(func(conn *db.Conn) (err error) {
		// A time that is too far ahead is of a clock that has been set back since.
		l.token, err = conn.Number(`UPDATE node_lease SET token = token + 1, holder = ?, until = now() + `+leaseLasts+`,
			batch = 0 WHERE until < now() OR until > now() + 2 * `+leaseLasts+` OR holder = ? RETURNING token`,
			l.holder, l.holder)
		if err == nil && l.token == 0 {
			holder, err = conn.Text("SELECT split_part(holder, ' ', 1) FROM node_lease")
		}
		return err
	})
	if link.State(err) == lockNotAvailable {
		return "another node", nil // it writes at this moment
	}
	l.confirmed.Store(asked)
	return holder, err
}

const lockNotAvailable = "55P03"

// start renews the lease until release, or until the lease is another node's.
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
				l.log.Warn("cannot renew this node's lease of the queue; retrying",
					slog.Any("error", l.target.Explain(err)))
			}
		case !mine:
			l.end()
			return
		default:
			wait = renewEvery
			l.confirmed.Store(asked)
			if failing {
				l.log.Info("this node's lease of the queue is renewed again")
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
	err = l.session.Query("UPDATE node_lease SET until = now() + "+leaseLasts+" WHERE token = ? "+
		"RETURNING current_setting('synchronous_standby_names')", []any{l.token}, func(r *db.Row) error {
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

// end records that another node has the queue: nothing that this process does can be
// recorded any more.
func (l *lease) end() {
	if l.isOver.CompareAndSwap(false, true) {
		l.log.Error("another node has the queue now", slog.Any("error", causeOfEnd))
		close(l.over)
	}
}

// release lets another node take the lease at once.
func (l *lease) release() (err error) {
	l.stop()
	<-l.stopped
	if !l.isOver.Load() {
		_, err = l.session.Exec("UPDATE node_lease SET until = now() WHERE token = ?", []any{l.token})
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
	return text.Cause{Headline: "PostgreSQL does not confirm that this node has the queue",
		Remedy: "see whether the database, its standby and the network to them work; " +
			"mail is accepted again once it does",
		Detail: fmt.Sprintf("last confirmed %d s ago", int(age.Seconds()))}
}

func displaced() error { return refused{spool.ErrDisplaced, causeOfEnd} }

var causeOfEnd = text.Cause{Headline: "Another node has the queue now, as this one did not answer in time",
	Remedy: "nothing to do: the service restarts and stands by"}

// bootTime is a clock that nobody sets, and that goes on while the machine sleeps.
func bootTime() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic("the clock of the boot cannot be read") // every Linux that Go supports has it
	}
	return t.Nano()
}
