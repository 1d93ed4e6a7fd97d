package sqlite

import (
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/relay/spool"
)

// TestOutcomeThatMayWait wants an outcome that may wait to share the commit of what comes
// next, and one that may not to be recorded at once.
func TestOutcomeThatMayWait(t *testing.T) {
	var commits atomic.Int64
	s := open(t, newPath(t), func(s *Store) {
		s.Options.Ride = time.Hour
		s.Fault = func(at string) error {
			if at == "before commit" {
				commits.Add(1)
			}
			return nil
		}
	})
	for range 2 {
		accept(t, s, newMessage(t, "box@example.org"), []byte("body"))
	}
	claimed, err := s.Claim(t.Context(), spool.Claim{Mailbox: address(t, "box@example.org"), Now: start(), Limit: 2})
	if err != nil || len(claimed) != 2 {
		t.Fatalf("%d claimed: %v", len(claimed), err)
	}
	outcome := func(n int) spool.Settlement {
		return spool.Settlement{ID: claimed[n].ID, Attempt: 1, State: spool.Sent, At: start(), MayWait: n == 1}
	}
	must(t, s.Settle(t.Context(), outcome(0)))

	before, accepted, done := commits.Load(), int64(0), make(chan error, 1)
	go func() { done <- s.Settle(t.Context(), outcome(1)) }()
	for waits := true; waits; {
		accept(t, s, newMessage(t, "box@example.org"), []byte("body"))
		accepted++
		select {
		case err := <-done:
			must(t, err)
			waits = false
		default:
		}
	}
	if n := commits.Load() - before; n != accepted {
		t.Errorf("%d commits for %d messages and an outcome", n, accepted)
	}
}
