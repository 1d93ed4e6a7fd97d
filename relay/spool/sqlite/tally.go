package sqlite

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite/db"
)

// shift is a message that went from one state to another. none means that the
// message did not exist before, or no longer does.
type shift struct {
	lane     string // Key of its mailbox
	from, to int64
	size     int64
}

const none = int64(-1)

// tally counts the messages of each state and lane, so that Lanes, Stats and
// max_messages cost no query. It is counted once at start and then follows
// each commit. It has only lanes with messages.
type tally struct {
	mu     sync.Mutex
	states [stateCount]int
	bytes  int64
	lanes  map[string]*laneTally
}

type laneTally struct {
	lane   string
	counts [3]int // Queued, Active, Held
}

func newTally() *tally { return &tally{lanes: map[string]*laneTally{}} }

func (t *tally) apply(shifts []shift) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range shifts {
		t.add(s.lane, s.from, -1, -s.size)
		t.add(s.lane, s.to, +1, +s.size)
	}
}

// add counts messages of one state and the bytes of their bodies.
func (t *tally) add(lane string, state int64, messages int, bytes int64) {
	if state == none || messages == 0 {
		return
	}
	t.states[state] += messages
	if hasBody(state) {
		t.bytes += bytes
	}
	if !inQueue(state) {
		return
	}
	l := t.lanes[lane]
	if l == nil {
		l = &laneTally{lane: lane}
		t.lanes[lane] = l
	}
	l.counts[state] += messages
	if l.counts == [3]int{} {
		delete(t.lanes, lane)
	}
}

// replace sets the counts to a fresh count.
func (t *tally) replace(o *tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.states, t.bytes, t.lanes = o.states, o.bytes, o.lanes
}

// queue is the number of messages in the queue.
func (t *tally) queue() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.states[codeQueued] + t.states[codeActive] + t.states[codeHeld]
}

// waits returns whether any message is Queued in a lane.
func (t *tally) waits(lane string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lanes[lane]
	return l != nil && l.counts[codeQueued] > 0
}

// Stats implements spool.Reader.
func (v *view) Stats(context.Context) (spool.Stats, error) {
	t := v.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	return spool.Stats{
		Queued: t.states[codeQueued], Active: t.states[codeActive], Held: t.states[codeHeld],
		Failed: t.states[codeFailed], Damaged: t.states[codeDamaged], Bytes: t.bytes,
	}, nil
}

// snapshot returns the lanes in order of their names.
func (t *tally) snapshot() []laneTally {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]laneTally, 0, len(t.lanes))
	for _, l := range t.lanes {
		list = append(list, *l)
	}
	slices.SortFunc(list, func(a, b laneTally) int { return cmp.Compare(a.lane, b.lane) })
	return list
}

// countAll counts everything in one pass over an index, without reading the
// messages themselves.
func countAll(c *db.Conn) (*tally, error) {
	t := newTally()
	err := c.Query(`SELECT lane, sum(size * (1 - body_gone)),
			sum(state = 0), sum(state = 1), sum(state = 2), sum(state = 3), sum(state = 4)
		FROM message INDEXED BY live WHERE state < 5 GROUP BY lane`, nil, func(r *db.Row) error {
		lane := r.Str()
		t.bytes += r.Int()
		for state := codeQueued; state <= codeDamaged; state++ {
			t.add(lane, state, int(r.Int()), 0)
		}
		return nil
	})
	return t, err
}

// Lanes implements spool.Reader. It costs two look-ups in an index for each lane
// with messages, so it must not be called once per message.
func (v *view) Lanes(ctx context.Context) ([]spool.Lane, error) {
	return db.Read(ctx, v.readers, func(c *db.Conn) (lanes []spool.Lane, err error) {
		for _, l := range v.tally.snapshot() {
			lane, err := readLane(c, l)
			if err != nil {
				return nil, err
			}
			lanes = append(lanes, lane)
		}
		return lanes, nil
	})
}

func readLane(c *db.Conn, l laneTally) (spool.Lane, error) {
	mailbox, err := addressOf(l.lane)
	if err != nil {
		return spool.Lane{}, err
	}
	next, err := c.Number(`SELECT next FROM message INDEXED BY due
		WHERE state = 0 AND lane = ? ORDER BY next LIMIT 1`, l.lane)
	if err != nil {
		return spool.Lane{}, err
	}
	oldest, err := c.Number(`SELECT accepted FROM message INDEXED BY live
		WHERE state < 5 AND state < 3 AND lane = ? ORDER BY accepted LIMIT 1`, l.lane)
	return spool.Lane{
		Mailbox: mailbox, Queued: l.counts[codeQueued], Active: l.counts[codeActive], Held: l.counts[codeHeld],
		Next: timeOf(next), Oldest: timeOf(oldest),
	}, err
}
