package tables

import (
	"context"
	"sync"
	"time"

	"graphrelay/relay/spool/db"
)

// numbers are those that a node may give to its drafts, where several share the database.
type numbers struct {
	mu         sync.Mutex
	next, last int64
}

// nextNumber is a number that no other draft has or gets.
func (s *Store) nextNumber(ctx context.Context) (int64, error) {
	if s.Options.Share == nil {
		return s.lastNumber.Add(1), nil
	}
	s.numbers.mu.Lock()
	defer s.numbers.mu.Unlock()
	if s.numbers.next == 0 || s.numbers.next > s.numbers.last {
		var first, last int64
		err := s.Change(ctx, false, func(t *Tx) (err error) {
			first, last, err = s.Options.Share.Numbers(t)
			return err
		})
		if err != nil {
			return 0, err
		}
		s.numbers.next, s.numbers.last = first, last
	}
	s.numbers.next++
	return s.numbers.next - 1, nil
}

// LeaveNumbers gives up what is left of the block whose last number is not the latest that any node
// took: a search expects messages of about the same time to have numbers that are not far apart.
func (s *Store) LeaveNumbers(latest int64) {
	if s.numbers.mu.TryLock() { // else one is being taken
		defer s.numbers.mu.Unlock()
		if s.numbers.last != latest {
			s.numbers.next = 0
		}
	}
}

// own wants a lane to be this node's.
func (s *Store) own(t *Tx, lane string) (mine bool, err error) {
	if s.Options.Share == nil {
		return true, nil
	}
	return s.Options.Share.Own(t, lane)
}

// Then has do run once the transaction is committed.
func (t *Tx) Then(do func()) { t.then = append(t.then, do) }

// Inherit finds what a node that had lanes may still be sending: those messages stay Sending until it
// cannot any more (Options.MayRun), from when the transaction is committed.
func (s *Store) Inherit(t *Tx, lanes func(lane string) bool) error {
	const sending = "SELECT " + briefColumns + " FROM message INDEXED BY by_state WHERE state = 1"
	found, err := db.All(t.Conn, sending, nil, readBrief)
	t.Then(func() {
		for _, b := range found {
			if lanes(b.lane) {
				s.elsewhere.add(&b, time.Now().Add(s.Options.MayRun(b.size)))
			}
		}
	})
	return err
}

// InheritDrafts removes the chunks of drafts that will never be committed.
func (s *Store) InheritDrafts(numbers []int64) {
	for _, n := range numbers {
		s.discard(n)
	}
}

// Recount counts again what is kept in memory, since other nodes change it, too. It is for the
// writer's goroutine, between two transactions.
func (s *Store) Recount() error { return s.recount(s.writer) }

// Waiting calls each for every lane, with what waits in it and how much this node or another
// may be sending; until each returns false.
func (s *Store) Waiting(each func(lane string, waiting, sending int)) {
	for _, l := range s.tally.snapshot() {
		each(l.lane, l.waiting(), l.counts[codeSending])
	}
}

// addWords gives all messages their words, as those that share the database write them with each.
func (s *Store) addWords(ctx context.Context) error {
	for more := true; more; {
		err := s.big(ctx, func(t *Tx) (err error) {
			more, err = addSomeWords(t)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func addSomeWords(t *Tx) (more bool, err error) {
	if t.watermark, err = readWatermark(t.Conn); err != nil || t.watermark == allWords {
		return false, err
	}
	last, err := t.Number("SELECT max(n) FROM message")
	if err != nil {
		return false, err
	}
	if t.watermark >= last {
		return false, t.Run("DELETE FROM meta WHERE k = 'words'")
	}
	return true, t.WriteWords(last)
}
