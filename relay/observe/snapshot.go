package observe

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"graphrelay/relay/delivery"
	"graphrelay/relay/delivery/hold"
	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
	"graphrelay/relay/text"
)

// Snapshot takes a picture of everything that an operator may look at.
func (o *Observer) Snapshot(ctx context.Context) (state.Snapshot, error) {
	s := o.Service()
	read, err := o.read(ctx, &s)
	if err != nil {
		return s, err
	}
	running, now := o.Delivery(), time.Now()
	s.Lanes = laneStates(read.lanes, running.Lanes, s.Priorities, now)
	s.Nodes = nodeStates(read.nodes)
	if len(s.Nodes) > 1 {
		o.atOthers(s.Lanes, read.lanes)
	}
	s.Holds = holdStates(read.holds, running.Holds)
	s.Outages = outages(running.Outages, s, now)
	s.Mailboxes, s.RefusalsDropped, s.Clients = usage(running.Usage), o.Record.Dropped(), o.Monitor.LastHour()
	s.Minute, s.Hour = o.Monitor.LastMinute().Traffic, state.Sum(o.Monitor.Minutes(60)).Traffic
	s.Seen, s.Alarms = o.Monitor.Clients(), o.Alerts.Firing()
	var fs unix.Statfs_t
	if o.StorePath != "" && unix.Statfs(filepath.Dir(o.StorePath), &fs) == nil {
		s.DiskFree, s.DiskSize = int64(fs.Bavail)*fs.Bsize, int64(fs.Blocks)*fs.Bsize
	}
	return s, nil
}

// Summary is the state of the service in one line.
func (o *Observer) Summary(ctx context.Context) string {
	var s state.Snapshot
	if _, err := o.read(ctx, &s); err != nil {
		return "the queue cannot be read"
	}
	return s.Summary()
}

// reading is what was read of the store.
type reading struct {
	stats spool.Stats
	lanes []spool.Lane
	holds []spool.Hold
	nodes []spool.Node
}

// readLimit is how long reading may take before the store counts as one that cannot be read.
const readLimit = 4 * time.Second

// read fills in what the store and the SMTP server say. Of a store that cannot be read
// it is what was read last, and why nothing is read now.
func (o *Observer) read(ctx context.Context, s *state.Snapshot) (reading, error) {
	smtp := o.Connections()
	s.Connections, s.ConnectionsTotal, s.RefusedOver = smtp.Connections, smtp.Accepted, smtp.Refused
	s.Unhealthy, s.Full = condition(o.Store)
	short, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	r, err := o.ask(short)
	switch {
	case ctx.Err() != nil:
		return r, ctx.Err()
	case err == nil:
		o.last.Store(&r)
	default:
		if last := o.last.Load(); last != nil {
			r = *last
		}
		s.Unread = text.Cause{Headline: "Queue cannot be read: the disk fails", Remedy: "repair the disk of " +
			"queue.store; what status shows of the queue is what was read last", Detail: text.Foreign(err.Error(), 500)}
		if o.StorePath == "" {
			s.Unread = text.Cause{Headline: "Queue cannot be read: PostgreSQL does not answer",
				Remedy: "see whether the database and the network to it work; what status shows of the queue is what " +
					"was read last", Detail: text.Foreign(err.Error(), 500)}
		}
	}
	st := r.stats
	s.Queued, s.Deferred, s.Paused, s.Sending = st.Queued, st.Deferred, st.Paused, st.Sending
	s.Held, s.Failed, s.Damaged, s.Bytes = st.Held, st.Failed, st.Damaged, st.Bytes
	s.Restored, s.RestoredAt, s.Salvaged = st.Restored, st.RestoredAt, st.Salvaged
	return r, nil
}

// ask reads the store, and waits no longer than ctx, whatever the store does: probes must not
// take a service for dead because a database hangs.
func (o *Observer) ask(ctx context.Context) (reading, error) {
	var r reading
	answered := make(chan error, 1)
	go func() {
		var statsErr, lanesErr, holdsErr, nodesErr error
		r.stats, statsErr = o.Store.Stats(ctx)
		r.lanes, lanesErr = o.Store.Lanes(ctx)
		r.holds, holdsErr = o.Store.Holds(ctx)
		r.nodes, nodesErr = o.Store.Nodes(ctx)
		answered <- cmp.Or(statsErr, lanesErr, holdsErr, nodesErr)
	}()
	select {
	case err := <-answered:
		return r, err
	case <-ctx.Done():
		return reading{}, ctx.Err()
	}
}

// condition distinguishes a store that takes no writes from one that takes no mail:
// what a full one holds is still sent.
func condition(store Store) (unhealthy, full error) {
	if err := store.Health(); err != nil && !errors.Is(err, spool.ErrFull) {
		return err, nil
	}
	return nil, store.Admit("", 0)
}

// usage is what the mailboxes have sent in 24 hours, the busiest first. Delivery
// keeps count, because a scrape must not read a day of history.
func usage(used []delivery.Usage) (list []state.MailboxDay) {
	for _, u := range used {
		list = append(list, state.MailboxDay{Mailbox: u.Mailbox.String(), Recipients: u.Recipients})
	}
	slices.SortFunc(list, func(a, b state.MailboxDay) int {
		return cmp.Or(b.Recipients-a.Recipients, cmp.Compare(a.Mailbox, b.Mailbox))
	})
	return list
}

// laneStates joins what the store and what delivery know of each mailbox.
func laneStates(
	stored []spool.Lane, lanes []delivery.LaneStatus, priorities map[string]string, now time.Time,
) []state.Lane {
	running := map[envelope.Address]delivery.LaneStatus{}
	for _, l := range lanes {
		running[l.Mailbox] = l
	}
	list := make([]state.Lane, len(stored))
	for i, l := range stored {
		run := running[l.Mailbox]
		list[i] = state.Lane{
			Mailbox: l.Mailbox.String(), Identity: run.Identity,
			Queued: l.Queued, Deferred: l.Deferred, Paused: l.Paused, Sending: l.Sending, Held: l.Held,
			Next: l.Next, Oldest: l.Oldest, Slots: run.Slots, Busy: run.Busy, Failures: run.Failures,
		}
		if p := run.Pause; p.Until.After(now) {
			list[i].Backoff, list[i].BackoffBy = p.Until, string(p.Cause)
		}
		list[i].Clients, list[i].OthersWaiting = waitsOf(l, priorities)
	}
	return list
}

func nodeStates(nodes []spool.Node) (list []state.Node) {
	for _, n := range nodes {
		list = append(list, state.Node{Name: n.Name, This: n.This, Leads: n.Leads, Lanes: n.Lanes,
			Seen: n.Seen.Seconds()})
	}
	return list
}

// atOthers marks the lanes whose mail other nodes send.
func (o *Observer) atOthers(lanes []state.Lane, stored []spool.Lane) {
	for i, l := range lanes {
		lanes[i].Elsewhere = l.Slots == 0 && l.Waiting()+l.Sending > 0 && !o.Store.Mine(stored[i].Mailbox)
	}
}

// maxWaits is how many clients of a mailbox are shown.
const maxWaits = 20

// waitsOf adds up whose mail waits in a lane by client, most first; others is how many
// messages are of clients that are not in the list.
func waitsOf(l spool.Lane, priorities map[string]string) (list []state.Waits, others int) {
	for _, t := range l.Turns {
		if len(list) == 0 || list[len(list)-1].Client != t.Client {
			priority := cmp.Or(priorities[t.Client], "normal")
			if t.Client == "" {
				priority = "high"
			}
			list = append(list, state.Waits{Client: t.Client, Priority: priority, Next: t.Next})
		}
		w := &list[len(list)-1]
		w.Waiting, w.Sources = w.Waiting+t.Messages, w.Sources+1
		if t.Messages > w.FromBusiest {
			w.Busiest, w.FromBusiest = t.Member, t.Messages
		}
		if t.Next.Before(w.Next) {
			w.Next = t.Next
		}
	}
	slices.SortStableFunc(list, func(a, b state.Waits) int { return b.Waiting - a.Waiting })
	if len(l.Turns) == spool.MaxTurns {
		others = l.Waiting() // the store knows of more
		for _, w := range list {
			others -= w.Waiting
		}
	}
	n := min(len(list), maxWaits)
	for _, w := range list[n:] {
		others += w.Waiting
	}
	return list[:n], max(others, 0)
}

// outages are those that last, each with its next attempt.
func outages(running []delivery.Outage, s state.Snapshot, now time.Time) (list []state.Outage) {
	for _, o := range running {
		x := state.Outage{Identity: o.Identity, Since: o.Since, Attempts: o.Attempts, Text: o.Why()}
		if x.Next = s.NextTry(o.Identity, now); x.Lasts(now) {
			list = append(list, x)
		}
	}
	return list
}

// holdStates are the holds of delivery, which knows their probes best, and at the
// start those of the store that delivery has not read yet.
func holdStates(stored, running []spool.Hold) (list []state.Hold) {
	byKey := map[string]spool.Hold{}
	for _, h := range slices.Concat(stored, running) {
		byKey[h.Key] = h
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		h := byKey[key]
		x := state.Hold{
			Key: key, Since: h.Since, Status: h.Status.Text(), Text: h.Text, Probes: h.Probes, NextProbe: h.NextProbe,
		}
		for _, c := range hold.Triggers(h) {
			x.Triggers = append(x.Triggers, string(c))
		}
		list = append(list, x)
	}
	return list
}
