package tables

import (
	"sync"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
)

// elsewhere is the attempts that the node which had the queue before may still be making.
// Their messages stay Sending, so that nobody claims, moves or deletes them, until that is
// over: by a clock of this process, which nobody sets.
type elsewhere struct {
	mu    sync.Mutex
	until map[*brief]time.Time
	lanes map[string]int // how many in each
}

func (e *elsewhere) add(b *brief, until time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.until == nil {
		e.until, e.lanes = map[*brief]time.Time{}, map[string]int{}
	}
	e.until[b] = until
	e.lanes[b.lane]++
}

// over returns some of those that cannot run any more.
func (e *elsewhere) over(now time.Time) (list []*brief) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for b, until := range e.until {
		if len(list) < maxSmalls && !now.Before(until) {
			list = append(list, b)
		}
	}
	return list
}

func (e *elsewhere) forget(list []*brief) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range list {
		delete(e.until, b)
		if e.lanes[b.lane]--; e.lanes[b.lane] <= 0 {
			delete(e.lanes, b.lane)
		}
	}
}

// MayBegin implements spool.Lanes, for a store that no other node can have.
func (s *Store) MayBegin() error { return nil }

// Elsewhere implements spool.Lanes.
func (s *Store) Elsewhere(mailbox envelope.Address) int {
	s.elsewhere.mu.Lock()
	defer s.elsewhere.mu.Unlock()
	return s.elsewhere.lanes[mailbox.Key()]
}

// bringBack queues the messages whose attempt was interrupted and finds the interrupted drafts, where
// no other node can have either; see Inherit.
func (s *Store) bringBack(c *db.Conn) error {
	const sending = "SELECT " + briefColumns + " FROM message INDEXED BY by_state WHERE state = 1"
	interrupted, err := db.All(c, sending, nil, readBrief)
	if err != nil {
		return err
	}
	t := &Tx{Conn: c}
	for _, b := range interrupted {
		if err := s.queueAgain(t, b); err != nil {
			return err
		}
	}
	s.tally.apply(t.shifts)
	s.orphans, err = db.All(c, "SELECT n FROM draft", nil, func(r *db.Row) (int64, error) { return r.Int(), nil })
	return err
}

// bringBackLater queues those that no other node can be sending any more. It runs in the
// writer at each tick.
func (s *Store) bringBackLater() {
	over := s.elsewhere.over(time.Now())
	if len(over) == 0 {
		return
	}
	err := s.Apply(func(t *Tx) error {
		for _, was := range over {
			b, err := findBy(t.Conn, "n = ?", was.n, was.id)
			if err != nil {
				return err
			}
			if b.state != codeSending || b.attempts != was.attempts {
				continue // an earlier try was committed
			}
			if err := s.queueAgain(t, b); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.elsewhere.forget(over)
	}
}

// queueAgain ends an interrupted attempt: nobody knows whether it succeeded.
func (s *Store) queueAgain(t *Tx, b brief) error {
	now := s.Options.Now()
	e := spool.Event{
		At: now, Kind: spool.EventDeferred, Attempt: int(b.attempts), Text: "the program ended during the attempt",
		Unknown: true,
	}
	return enter(t, b, codeQueued, now.Add(s.Options.InterruptedDelay), &e,
		set{columns: ", unknown = 1, crashes = crashes + 1, settled = attempts"})
}
