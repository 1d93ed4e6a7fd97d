package delivery

import (
	"slices"
	"strings"
	"time"

	"graphrelay/relay/delivery/pace"
	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// Status is a snapshot for operators.
type Status struct {
	Lanes   []LaneStatus // lanes with mail, in order of mailbox
	Busy    int          // requests under way
	Holds   []spool.Hold // in order of key
	Outages []Outage     // in order of identity
	Usage   []Usage      // of mailboxes that sent something today, in order of mailbox
}

// Status returns what goes on. It reads memory only.
func (d *Delivery) Status() Status {
	s := Status{Holds: d.holds.List(), Usage: d.usage.list(d.cfg.Now())}
	d.mu.Lock()
	s.Lanes = make([]LaneStatus, 0, len(d.lanes))
	for _, l := range d.lanes {
		seen := l.view.get()
		s.Lanes, s.Busy = append(s.Lanes, seen), s.Busy+seen.Busy
	}
	d.mu.Unlock()
	s.Outages = d.outages.list(s.Lanes)
	slices.SortFunc(s.Lanes, func(a, b LaneStatus) int { return strings.Compare(a.Mailbox.Key(), b.Mailbox.Key()) })
	return s
}

// LaneStatus is how one mailbox is doing.
type LaneStatus struct {
	Mailbox  envelope.Address
	Identity string
	Slots    int // limit of concurrent requests
	Busy     int // requests under way
	Ahead    int // attempts recorded ahead
	Failures int // in a row
	Pause    pace.Pause

	stays  pace.Pause // that TryNow does not end
	slowed bool       // Graph has throttled the mailbox, and not all slots are back
}

func (l *lane) publish(r Route, now time.Time) {
	l.slots = l.slotsOf(r, now)
	stays, pause := l.pace.Stays(now), l.pace.Pause(now)
	if r.Identity != "" {
		until := l.d.identity(r).PausedUntil(now)
		stays, pause = stays.Or(now, until, pace.Asked), pause.Or(now, until, pace.Asked)
	}
	l.view.status.Store(&LaneStatus{
		Mailbox: l.mailbox, Identity: r.Identity, Slots: l.slots + l.work.apart, Busy: l.work.busy + l.work.apart,
		Ahead:    len(l.work.ready),
		Failures: l.pace.Failures(), Pause: pause, stays: stays, slowed: l.pace.Slowed(),
	})
}

func (v *view) get() LaneStatus { return *v.status.Load() }
