package delivery

import (
	"context"
	"fmt"
	"time"
)

// pollLate is how long after its time the poll may end, or begin.
const pollLate = 3 * time.Minute

// Alive returns nil once the loops of the delivery have answered: each lane has
// looked for what there is to do after it was asked, and the poll of the store
// is not late. It says nothing about the requests to Graph, which have limits
// of their own. The error is for the log.
func (d *Delivery) Alive(ctx context.Context) error {
	if late := time.Since(d.born) - time.Duration(d.pollDue.Load()); d.isRunning() && late > pollLate {
		return fmt.Errorf("the poll of the queue is %s late", late.Round(time.Second))
	}
	looks := map[*lane]uint64{}
	d.mu.Lock()
	for _, l := range d.lanes {
		looks[l] = l.looks.Load()
		l.tell(news{})
	}
	d.mu.Unlock()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for l, before := range looks {
		for l.looks.Load() == before && d.serves(l) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("the lane of mailbox %s does not answer", l.mailbox)
			}
		}
	}
	return nil
}

// serves tells whether l is a lane still: one that has retired need not answer.
func (d *Delivery) serves(l *lane) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lanes[l.key] == l
}

func (d *Delivery) isRunning() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.running
}
