//go:build postgres

package postgres

import (
	"errors"
	"testing"

	"graphrelay/relay/spool"
)

// A node says that it takes no mail as soon as its lease is old, though its writer may wait for the
// answer to a commit at that time; and a node whose lease another has says that, whatever failed before.
func TestOldLeaseIsUnhealthy(t *testing.T) {
	s := open(t, Options{URL: server.Database(t)})
	must(t, s.Health())
	s.host.lease.stop() // of renewals
	<-s.host.lease.stopped
	s.host.lease.confirmed.Store(bootTime() - int64(trustLease))
	refused := func(kind error) {
		t.Helper()
		_, begun := s.Begin(t.Context(), "app", 1)
		for _, err := range []error{s.Health(), s.Admit("app", 1), begun} {
			if !errors.Is(err, spool.ErrUnhealthy) || kind != nil && !errors.Is(err, kind) {
				t.Errorf("%v", err)
			}
		}
	}
	refused(nil)
	s.host.lease.end()
	refused(spool.ErrDisplaced)
}
