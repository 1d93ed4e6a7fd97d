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
// Finish. Saving one twice does no harm. over means that another node has ended it: see Adopt.
func (s *Set) Save(ctx context.Context, key string) (over bool, err error) {
	err = s.inTurn(ctx, key, func(copied spool.Hold, ending bool) error {
		if ending {
			return nil
		}
		err := s.store.SetHold(ctx, copied)
		if over = copied.Saved && errors.Is(err, spool.ErrNotFound); over {
			return nil
		}
		if err == nil {
			s.with(key, func(x *hold) { x.wrote(copied) })
		}
		return err
	})
	return over, err
}

// wrote notes what the store has of a hold.
func (x *hold) wrote(h spool.Hold) { x.saved, x.planned = true, h.NextProbe }

// Adopt reads what other nodes did to the holds in the store: begun are those that it has
// and the Set had not, ended those that another node ended, which has credited their time.
// Where an earlier probe of one was planned there, it is earlier here.
func (s *Set) Adopt(ctx context.Context) (begun, ended []spool.Hold, err error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	stored, err := s.store.Holds(ctx)
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	there := map[string]bool{}
	for _, h := range stored {
		there[h.Key] = true
		if x := s.byKey[h.Key]; x != nil {
			x.adopt(h)
			continue
		}
		s.byKey[h.Key] = newHold(h)
		s.byKey[h.Key].wrote(h)
		begun = append(begun, h)
	}
	for key, x := range s.byKey {
		if x.saved && !there[key] {
			delete(s.byKey, key)
			ended = append(ended, x.Hold)
		}
	}
	return begun, ended, nil
}

// adopt takes over what another node wrote of a hold that both know.
func (x *hold) adopt(h spool.Hold) {
	for _, m := range h.Mailboxes {
		x.stopped[m.Key()] = m
	}
	if x.Probes = max(x.Probes, h.Probes); x.saved || h.Since.Before(x.Since) {
		x.Since = h.Since
	}
	if (!x.saved || !h.NextProbe.Equal(x.planned)) && h.NextProbe.Before(x.NextProbe) {
		x.NextProbe = h.NextProbe
		clear(x.probed)
	}
	x.wrote(h)
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
		var stopped []envelope.Address
		if copied.Mailbox.IsZero() {
			stopped = s.credited(copied, mailboxes)
		}
		if err := s.store.EndHold(ctx, key, now, stopped...); err != nil {
			return err
		}
		over = s.drop(key, now)
		return nil
	})
	return over, err
}

// credited names in an identity's hold the mailboxes that get its time: those that it
// stops now and those that it was seen to stop. A mailbox that a hold of its own
// stopped before, and still does, is left out: the time of that one counts, and none
// counts twice.
func (s *Set) credited(h spool.Hold, mailboxes []envelope.Address) []envelope.Address {
	list := append([]envelope.Address{}, h.Mailboxes...)
	for _, m := range mailboxes {
		if !slices.ContainsFunc(list, m.Equal) {
			list = append(list, m)
		}
	}
	return slices.DeleteFunc(list, func(m envelope.Address) bool { return s.stoppedSince(m, h.Since) })
}

// enter waits for the turn to use the store, which ends with leave.
func (s *Set) enter(ctx context.Context) (leave func(), err error) {
	select {
	case s.turn <- struct{}{}:
		return func() { <-s.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// inTurn makes one change of the store at a time, with the state of the hold as
// it is then; it does nothing when there is none.
func (s *Set) inTurn(ctx context.Context, key string, do func(copied spool.Hold, ending bool) error) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
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
// meanwhile begins anew; the refusal saves it again.
func (s *Set) drop(key string, now time.Time) (dropped bool) {
	s.with(key, func(x *hold) {
		if dropped = x.ending; dropped {
			delete(s.byKey, key)
		}
		x.Since, x.saved = now, false
	})
	return dropped
}
