package hold

import (
	"context"
	"errors"
	"slices"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// Save writes a hold into the store as it is now. Ending holds are left to
// Finish. Saving one twice does no harm.
func (s *Set) Save(ctx context.Context, key string) error {
	return s.inTurn(ctx, key, func(copied spool.Hold, ending bool) error {
		if ending {
			return nil
		}
		return s.store.SetHold(ctx, copied)
	})
}

// Finish ends a hold in the store, and then in memory, unless a refusal renewed
// it meanwhile. mailboxes are those that an identity's hold stops now.
func (s *Set) Finish(
	ctx context.Context, key string, mailboxes []envelope.Address, now time.Time,
) (over bool, err error) {
	err = s.inTurn(ctx, key, func(copied spool.Hold, ending bool) error {
		if !ending {
			return nil
		}
		if copied.Mailbox.IsZero() {
			if err := s.store.SetHold(ctx, s.credited(copied, mailboxes)); err != nil {
				return err
			}
		}
		if err := s.store.EndHold(ctx, key, now); err != nil && !errors.Is(err, spool.ErrNotFound) {
			return err
		}
		over = s.drop(key)
		return nil
	})
	return over, err
}

// credited names in an identity's hold the mailboxes that get its time: those that it
// stops now and those that it was seen to stop. A mailbox that a hold of its own
// stopped before, and still does, is left out: the time of that one counts, and none
// counts twice.
func (s *Set) credited(h spool.Hold, mailboxes []envelope.Address) spool.Hold {
	for _, m := range mailboxes {
		if !slices.ContainsFunc(h.Mailboxes, m.Equal) {
			h.Mailboxes = append(h.Mailboxes, m)
		}
	}
	h.Mailboxes = slices.DeleteFunc(h.Mailboxes, func(m envelope.Address) bool { return s.stoppedSince(m, h.Since) })
	return h
}

// inTurn makes one change of the store at a time, with the state of the hold as
// it is then; it does nothing when there is none.
func (s *Set) inTurn(ctx context.Context, key string, do func(copied spool.Hold, ending bool) error) error {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.turn }()
	s.mu.Lock()
	x := s.byKey[key]
	if x == nil {
		s.mu.Unlock()
		return nil
	}
	copied, ending := x.stored(), x.ending
	s.mu.Unlock()
	return do(copied, ending)
}

// drop forgets a hold that the store has ended. One that a refusal renewed
// meanwhile stays; the refusal saves it again.
func (s *Set) drop(key string) (dropped bool) {
	s.with(key, func(x *hold) {
		if dropped = x.ending; dropped {
			delete(s.byKey, key)
		}
	})
	return dropped
}
