package delivery

import (
	"context"
	"slices"
	"strings"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/pacing"
	"graphrelay/relay/spool"
)

// Several nodes may work on a queue. Each mailbox has its mail sent by one of them, and what
// the others need to know goes through the store: holds, and how fast a mailbox may send.

// isShared reports whether other nodes may work on the queue.
func (d *Delivery) isShared() bool { return d.cfg.Store.News() != nil }

// adoptHolds does here what other nodes did to the holds in the store.
func (d *Delivery) adoptHolds(ctx context.Context) error {
	if !d.isShared() {
		return nil
	}
	begun, ended, err := d.holds.Adopt(ctx)
	for _, h := range begun {
		d.logHoldBegins(h)
	}
	for _, h := range ended {
		d.logHoldEnds(h, d.cfg.Now())
		d.goOn(h)
	}
	if len(begun) > 0 {
		d.wakeAll() // what was claimed ahead is returned
	}
	return err
}

// holdsLimit is how long HoldsNow waits for the store.
const holdsLimit = 2 * time.Second

// HoldsNow lists the holds, also what other nodes did to them a moment ago.
func (d *Delivery) HoldsNow() []spool.Hold {
	ctx, cancel := context.WithTimeout(d.shutdown.store, holdsLimit)
	defer cancel()
	_ = d.adoptHolds(ctx) // the poll logs what is wrong with the store
	return d.holds.List()
}

// shareProbes saves when holds are due for a probe, for the node whose lanes may probe them.
func (d *Delivery) shareProbes(keys []string) {
	if !d.isShared() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running {
		for _, key := range keys {
			d.shutdown.lanes.Go(func() { d.saveHold(key) })
		}
	}
}

// triedNote is the key of the note that says in which mailboxes another node has them try now.
const triedNote = "try-now"

// shareTry has the nodes try now that send the mail of chosen mailboxes.
func (d *Delivery) shareTry(chosen func(mailbox envelope.Address) bool) {
	if !d.isShared() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.running {
		return
	}
	d.shutdown.lanes.Go(func() {
		d.persist("wish to try now", spool.Record{}, func(ctx context.Context) error {
			lanes, err := d.cfg.Store.Lanes(ctx)
			if err != nil {
				return err
			}
			note := []string{d.cfg.Now().UTC().Format(time.RFC3339Nano)}
			for _, l := range lanes {
				if l.Waiting() > 0 && chosen(l.Mailbox) && !d.cfg.Store.Mine(l.Mailbox) {
					note = append(note, l.Mailbox.Key())
				}
			}
			if len(note) == 1 {
				return nil
			}
			return d.cfg.Store.Note(ctx, triedNote, strings.Join(note, "\n"))
		})
	})
}

// adoptTry has lanes try now for which another node asked since the last poll.
func (d *Delivery) adoptTry(ctx context.Context) error {
	if !d.isShared() {
		return nil
	}
	note, err := d.cfg.Store.Noted(ctx, triedNote)
	if err != nil || note == d.polls.tried {
		return err
	}
	d.polls.tried = note
	keys := strings.Split(note, "\n")[1:]
	d.resumeLanes(asked, func(mailbox envelope.Address) bool { return slices.Contains(keys, mailbox.Key()) })
	return nil
}

// carryEvery is how often a lane writes its pace at most.
const carryEvery = 5 * time.Second

// carried is a pace as the store has it, and when it may get the next one: at once where
// a pause changed.
type carried struct {
	pace  string
	pause time.Time
	next  time.Time
}

// isMine looks whether this node sends the mail of the mailbox. From when it does, what the
// node before it sent there counts.
func (l *lane) isMine(now time.Time) {
	before := l.mine
	if l.mine = l.d.cfg.Store.Mine(l.mailbox); before || !l.mine {
		return
	}
	l.left.pace = l.d.cfg.Store.Carried(l.mailbox)
	if err := l.pace.Read(now, l.left.pace); err != nil {
		l.d.cfg.Log.Warn("cannot read what another node sent lately; it does not count against the limits",
			"mailbox", l.mailbox.String(), "error", err)
	}
}

// carry keeps how fast the mailbox may send for the node that sends its mail next: where that
// changed, after a while, and before the lane ends. It returns when to look again.
func (l *lane) carry(next time.Time) time.Time {
	if !l.d.isShared() {
		return next
	}
	now := l.d.cfg.Now()
	pause := l.pace.Stays(now).Until
	if l.mine && !l.idle() && pause.Equal(l.left.pause) && now.Before(l.left.next) {
		return pacing.Earlier(next, l.left.next) // a lane looks several times for each message
	}
	if pace := l.pace.Text(now); pace != l.left.pace {
		l.d.cfg.Store.Carry(l.mailbox, pace)
		l.left = carried{pace, pause, now.Add(carryEvery)}
	}
	return next
}
