package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"graphrelay/relay/pacing"
)

const (
	cancelGrace = 5 * time.Second // for a Sender to return after its context ended
	recordGrace = 5 * time.Second // for the last outcomes to be recorded

	longestStoreWait = 30 * time.Second // between tries of the store
	pollLate         = 3 * time.Minute  // how long after its time the poll may end, or begin
)

// ErrNotStopped means that attempts or outcomes were still open when Run gave
// up waiting; the next start finds them as attempts of unknown outcome.
var ErrNotStopped = errors.New("delivery: stopped with attempts whose outcome is not recorded")

// shutdown is how everything under way ends, in this order: no attempt begins,
// requests are cancelled, and writes to the store are cancelled.
type shutdown struct {
	begun       chan struct{}
	sends       context.Context
	cancelSends context.CancelFunc
	store       context.Context
	cancelStore context.CancelFunc
	lanes       sync.WaitGroup
	lost        atomic.Bool // an outcome could not be recorded before the end
}

func newShutdown() *shutdown {
	s := &shutdown{begun: make(chan struct{})}
	s.sends, s.cancelSends = context.WithCancel(context.Background())
	s.store, s.cancelStore = context.WithCancel(context.Background())
	return s
}

// Run sends mail until ctx ends, and then returns as the package comment says:
// nil, or ErrNotStopped. It is called once. A store that cannot be read at the
// start is tried again.
func (d *Delivery) Run(ctx context.Context) error {
	d.started = d.cfg.Now()
	if d.restore(ctx) {
		d.polls.dueIn(0)
		d.setRunning(true)
		var loops sync.WaitGroup
		for _, loop := range []func(context.Context){d.poll, d.expireHeld, d.report, d.loadUsage} {
			loops.Go(func() { loop(ctx) })
		}
		<-ctx.Done()
		d.setRunning(false)
		loops.Wait()
	}
	return d.shutdown.wait(d.cfg.Grace)
}

// restore reads the holds of earlier runs; false when ctx ended first.
func (d *Delivery) restore(ctx context.Context) bool {
	for tries := 1; ; tries++ {
		stored, err := d.cfg.Store.Holds(ctx)
		if err == nil {
			d.holds.Restore(stored, d.cfg.Now())
			close(d.restored)
			for _, h := range stored {
				d.logHoldBegins(h)
			}
			return true
		}
		wait := pacing.Backoff(time.Second, longestStoreWait, tries)
		if ctx.Err() == nil {
			d.cfg.Log.Error("cannot read the queue; retrying", "after", wait, "error", err)
		}
		if pacing.Sleep(ctx, wait) != nil {
			return false
		}
	}
}

func (d *Delivery) setRunning(running bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running = running
	if !running {
		close(d.shutdown.begun)
	}
}

func (d *Delivery) isRunning() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.running
}

// wait ends everything that is under way, and returns when it has ended.
func (s *shutdown) wait(grace time.Duration) error {
	done := make(chan struct{})
	go func() {
		s.lanes.Wait()
		close(done)
	}()
	defer s.cancelStore()
	defer s.cancelSends()
	for _, step := range []struct {
		wait time.Duration
		then func()
	}{{grace, s.cancelSends}, {cancelGrace, s.cancelStore}, {recordGrace, func() {}}} {
		timer := time.NewTimer(step.wait)
		select {
		case <-done:
			timer.Stop()
			if s.lost.Load() {
				return ErrNotStopped
			}
			return nil
		case <-timer.C:
			step.then()
		}
	}
	return ErrNotStopped
}

// Alive returns nil once the loops of the delivery have answered: each lane has
// looked for what there is to do after it was asked, and the poll of the store
// is not late. It says nothing about the requests to Graph, which have limits
// of their own. The error is for the log.
func (d *Delivery) Alive(ctx context.Context) error {
	if late := d.polls.late(); d.isRunning() && late > pollLate {
		return fmt.Errorf("the poll of the queue is %s late", late.Round(time.Second))
	}
	looks := map[*lane]uint64{}
	d.mu.Lock()
	for _, l := range d.lanes {
		looks[l] = l.view.looks.Load()
		l.inbox.send(hint{})
	}
	d.mu.Unlock()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for l, before := range looks {
		for l.view.looks.Load() == before && d.serves(l) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("the lane of mailbox %s does not answer", l.mailbox)
			}
		}
	}
	return nil
}

// serves reports whether l is still a lane: one that has retired need not answer.
func (d *Delivery) serves(l *lane) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lanes[l.key] == l
}
