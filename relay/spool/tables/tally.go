package tables

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
)

// shift is a message that went from one state to another. none means that the
// message did not exist before, or no longer does.
type shift struct {
	lane     string // Key of its mailbox
	turn     int64
	client   string // of the turn
	from, to int64
	size     int64
}

const none = int64(-1)

// codeDeferred is never stored: it counts those of codeQueued that were attempted.
const codeDeferred = int64(8)

// counted is the code under which a message is counted.
func counted(state, attempts int64) int64 {
	if state == codeQueued && attempts > 0 {
		return codeDeferred
	}
	return state
}

// counts is how many messages there are by code.
type counts [codeDeferred + 1]int

func (c *counts) waiting() int { return c[codeQueued] + c[codeDeferred] }

// tally counts the messages of each state and lane, so that Lanes, Stats and
// max_messages cost no query of messages, but for what a narrow hold stops. It is
// counted once at start and then follows each commit. It has only lanes with messages.
type tally struct {
	mu     sync.Mutex
	states counts
	bytes  int64
	lanes  map[string]*laneTally
	uses   map[string]spool.Use // by client
}

type laneTally struct {
	lane string
	counts
	turns map[int64]int // how many wait in each
}

func newTally() *tally { return &tally{lanes: map[string]*laneTally{}, uses: map[string]spool.Use{}} }

func (t *tally) apply(shifts []shift) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range shifts {
		t.add(s.lane, s.turn, s.from, -1, -s.size)
		t.add(s.lane, s.turn, s.to, +1, +s.size)
		t.use(s.client, s.from, -1, -s.size)
		t.use(s.client, s.to, +1, +s.size)
	}
}

// use counts what a client has in the queue.
func (t *tally) use(client string, state int64, messages int, bytes int64) {
	if state == none || !inQueue(state) {
		return
	}
	if t.uses[client] = t.uses[client].Plus(messages, bytes); t.uses[client] == (spool.Use{}) {
		delete(t.uses, client)
	}
}

// each hands over what each client has in the queue.
func (t *tally) each(yield func(client string, u spool.Use) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for client, u := range t.uses {
		if !yield(client, u) {
			return
		}
	}
}

// add counts messages of one state and the bytes of their bodies.
func (t *tally) add(lane string, turn, state int64, messages int, bytes int64) {
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
		l = &laneTally{lane: lane, turns: map[int64]int{}}
		t.lanes[lane] = l
	}
	l.counts[state] += messages
	if state == codeQueued || state == codeDeferred {
		if l.turns[turn] += messages; l.turns[turn] == 0 {
			delete(l.turns, turn)
		}
	}
	if l.counts == (counts{}) {
		delete(t.lanes, lane)
	}
}

// replace sets the counts to a fresh count.
func (t *tally) replace(o *tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.states, t.bytes, t.lanes, t.uses = o.states, o.bytes, o.lanes, o.uses
}

// queue is the number of messages in the queue.
func (t *tally) queue() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.states.waiting() + t.states[codeSending] + t.states[codeHeld]
}

// waits returns whether any message is Queued in a lane.
func (t *tally) waits(lane string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lanes[lane]
	return l != nil && l.waiting() > 0
}

// Stats implements spool.Reader.
func (v *Reader) Stats(ctx context.Context) (s spool.Stats, err error) {
	err = v.Readers.With(ctx, func(c *db.Conn) error {
		if err := v.countRestored(c, &s); err != nil {
			return err
		}
		return v.eachLane(c, func(_ laneTally, l spool.Lane) error {
			s.Add(l)
			return nil
		})
	})
	v.tally.mu.Lock()
	defer v.tally.mu.Unlock()
	s.Failed, s.Damaged, s.Bytes = v.tally.states[codeFailed], v.tally.states[codeDamaged], v.tally.bytes
	return s, err
}

// snapshot returns the lanes in order of their names.
func (t *tally) snapshot() []laneTally {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]laneTally, 0, len(t.lanes))
	for _, l := range t.lanes {
		one := *l
		one.turns = maps.Clone(l.turns)
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b laneTally) int { return cmp.Compare(a.lane, b.lane) })
	return list
}

// countAll counts everything in one pass over an index, without reading the
// messages themselves.
func countAll(c *db.Conn) (*tally, error) {
	t := newTally()
	err := c.Query(`SELECT lane, CAST(sum(size * (1 - body_gone)) AS BIGINT),
			count(*) FILTER (WHERE state = 1), count(*) FILTER (WHERE state = 2),
			count(*) FILTER (WHERE state = 3), count(*) FILTER (WHERE state = 4)
		FROM message INDEXED BY live WHERE state < 5 GROUP BY lane`, nil, func(r *db.Row) error {
		lane := r.Str()
		t.bytes += r.Int()
		for state := codeSending; state <= codeDamaged; state++ {
			t.add(lane, 0, state, int(r.Int()), 0)
		}
		return nil
	})
	if err != nil {
		return t, err
	}
	_, err = allOf(c, `SELECT lane, turn, count(*) FILTER (WHERE last = 0), count(*) FILTER (WHERE last > 0)
		FROM message INDEXED BY due
		WHERE state = 0 GROUP BY lane, turn`, nil, func(r *db.Row) (struct{}, error) {
		lane, turn := r.Str(), r.Int()
		t.add(lane, turn, codeQueued, int(r.Int()), 0)
		t.add(lane, turn, codeDeferred, int(r.Int()), 0)
		return struct{}{}, r.Err
	})
	return t, err
}

// countUses counts what each client has. It reads one message of each turn that
// waits, and each one that is Held.
func (t *tally) countUses(c *db.Conn) error {
	read := func(r *db.Row) error {
		messages, bytes := int(r.Int()), r.Int()
		t.use(readTurn(r).Client, codeQueued, messages, bytes)
		return r.Err
	}
	err := c.Query("SELECT messages, bytes, "+turnColumns+` FROM (SELECT count(*) AS messages,
			CAST(sum(size) AS BIGINT) AS bytes, min(n) AS first
			FROM message INDEXED BY due WHERE state = 0 GROUP BY lane, turn) AS waiting
		CROSS JOIN message WHERE n = first`, nil, read)
	if err != nil {
		return err
	}
	return c.Query("SELECT 1, size, "+turnColumns+" FROM message INDEXED BY by_state WHERE state IN (1, 2)", nil, read)
}

// Lanes implements spool.Reader. It costs a look-up in an index for each lane with
// messages and each of its turns, so it must not be called once per message.
func (v *Reader) Lanes(ctx context.Context) ([]spool.Lane, error) {
	return db.Read(ctx, v.Readers, func(c *db.Conn) (lanes []spool.Lane, err error) {
		err = v.eachLane(c, func(l laneTally, lane spool.Lane) (err error) {
			if err = readTurns(c, l, &lane); err != nil {
				return err
			}
			oldest, err := c.Number(`SELECT accepted FROM message INDEXED BY live
				WHERE state < 5 AND state < 3 AND lane = ? ORDER BY accepted LIMIT 1`, l.lane)
			lane.Oldest = timeOf(oldest)
			lanes = append(lanes, lane)
			return err
		})
		return lanes, err
	})
}

// readTurns finds out who waits in a lane, and since when.
func readTurns(c *db.Conn, l laneTally, lane *spool.Lane) error {
	for turn, messages := range l.turns {
		if len(lane.Turns) == spool.MaxTurns {
			break
		}
		found, err := allOf(c, "SELECT next, "+turnColumns+` FROM message INDEXED BY due
			WHERE state = 0 AND lane = ? AND turn = ? ORDER BY next LIMIT 1`, []any{l.lane, turn},
			func(r *db.Row) (spool.Waits, error) {
				return spool.Waits{Messages: messages, Next: timeOf(r.Int()), Turn: readTurn(r)}, r.Err
			})
		if err != nil {
			return err
		}
		lane.Turns = append(lane.Turns, found...)
	}
	slices.SortFunc(lane.Turns, func(a, b spool.Waits) int { return a.Compare(b.Turn) })
	for _, w := range lane.Turns {
		if lane.Next.IsZero() || w.Next.Before(lane.Next) {
			lane.Next = w.Next
		}
	}
	return nil
}

// eachLane hands over the counts of each lane by what people see.
func (v *Reader) eachLane(c *db.Conn, do func(l laneTally, lane spool.Lane) error) error {
	holds, err := readHolds(c)
	if err != nil {
		return err
	}
	for _, l := range v.tally.snapshot() {
		lane := spool.Lane{
			Queued: l.counts[codeQueued], Deferred: l.counts[codeDeferred],
			Sending: l.counts[codeSending], Held: l.counts[codeHeld],
		}
		if lane.Mailbox, err = addressOf(l.lane); err != nil {
			return err
		}
		queued, deferred, err := pausedIn(c, l, lane.Mailbox, holds)
		if err != nil {
			return err
		}
		// A message may have changed since the tally was read.
		queued, deferred = min(queued, lane.Queued), min(deferred, lane.Deferred)
		lane.Queued, lane.Deferred, lane.Paused = lane.Queued-queued, lane.Deferred-deferred, queued+deferred
		if err := do(l, lane); err != nil {
			return err
		}
	}
	return nil
}

// pausedIn counts what holds stop in a lane: never attempted, and attempted. Only what
// a narrow hold stops is not known from the tally.
func pausedIn(
	c *db.Conn, l laneTally, mailbox envelope.Address, holds []spool.Hold,
) (queued, deferred int, err error) {
	var narrow []string
	args := []any{l.lane}
	for _, h := range holds {
		switch {
		case !h.Reaches(mailbox):
		case !h.Narrow():
			return l.counts[codeQueued], l.counts[codeDeferred], nil
		case h.Client != "":
			narrow, args = append(narrow, "client = ?"), append(args, h.Client)
		case h.Above > 0:
			narrow, args = append(narrow, "size > ?"), append(args, h.Above)
		default:
			narrow, args = append(narrow, "sender_hash = ?"), append(args, senderHash(h.From))
		}
	}
	if len(narrow) == 0 || l.waiting() == 0 {
		return 0, 0, nil
	}
	err = c.Query(`SELECT count(*) FILTER (WHERE last = 0), count(*) FILTER (WHERE last > 0)
		FROM message INDEXED BY due WHERE state = 0 AND lane = ? AND (`+strings.Join(narrow, " OR ")+")", args,
		func(r *db.Row) error {
			queued, deferred = int(r.Int()), int(r.Int())
			return r.Err
		})
	return queued, deferred, err
}
