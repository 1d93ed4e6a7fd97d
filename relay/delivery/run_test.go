package delivery

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// gateway lets callers pass, or wait while it is shut.
type gateway struct{ shutUntil atomic.Pointer[chan struct{}] }

func (g *gateway) pass() {
	if wait := g.shutUntil.Load(); wait != nil {
		<-*wait
	}
}

func (g *gateway) shut() (open func()) {
	wait := make(chan struct{})
	g.shutUntil.Store(&wait)
	return func() { g.shutUntil.Store(nil); close(wait) }
}

// slowStore does not answer to a poll while it is shut.
type slowStore struct {
	*testStore
	gateway
}

func (s *slowStore) Lanes(ctx context.Context) ([]spool.Lane, error) {
	s.pass()
	return s.testStore.Lanes(ctx)
}

func TestAliveTellsALaneThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 10*time.Second)
		var stop gateway
		r.cfg.Route = func(envelope.Address) (Route, bool) {
			stop.pass()
			return Route{Identity: "contoso", Sender: r.graph}, true
		}
		r.start()
		defer r.stop()
		r.arrive(addr(t, "a@example.org"))
		synctest.Wait()
		ask := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return r.Alive(ctx)
		}
		if err := ask(); err != nil {
			t.Fatalf("with a request under way: %v", err)
		}
		open := stop.shut()
		if err := ask(); err == nil || !strings.Contains(err.Error(), "a@example.org") {
			t.Errorf("with a lane that waits for ever: %v", err)
		}
		open()
		if err := ask(); err != nil {
			t.Errorf("after it went on: %v", err)
		}
	})
}

func TestAliveTellsAPollThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		store := &slowStore{testStore: r.store}
		r.cfg.Store = store
		r.start()
		defer r.stop()
		r.wait(time.Hour)
		if err := r.Alive(t.Context()); err != nil {
			t.Fatalf("in good health: %v", err)
		}
		open := store.shut()
		r.wait(10 * time.Minute)
		err := r.Alive(t.Context())
		open()
		if err == nil {
			t.Error("a store that does not answer goes unnoticed")
		}
	})
}

// A reload changes what is decided from then on, also for messages in hold.
func TestSetLimitsTakesEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		r.cfg.Route = func(envelope.Address) (Route, bool) { return Route{}, false }
		r.start()
		defer r.stop()
		id := r.arrive(addr(t, "a@example.org"))
		r.wait(24 * time.Hour)
		r.wantState(id, spool.Paused)
		l := r.limits()
		l.MaxHold = time.Hour
		r.SetLimits(l)
		r.wait(20 * time.Minute)
		r.wantState(id, spool.Failed)
	})
}
