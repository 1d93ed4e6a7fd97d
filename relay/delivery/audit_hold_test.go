package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// A stopped identity sends nothing, not even a probe, until it is resumed; the
// others go on, and the time does not count towards max_age.
func TestStopAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		r.cfg.Route = func(m envelope.Address) (Route, bool) {
			return Route{Identity: m.Domain(), Sender: r.graph}, true
		}
		box, other := addr(t, "a@contoso.com"), addr(t, "b@fabrikam.com")
		r.start()
		if err := r.HoldIdentity(t.Context(), "contoso.com",
			"it may send as denied@contoso.com; restrict it"); err != nil {
			t.Fatal(err)
		}
		before := r.store.put(other, other)
		r.wantState(before, spool.Queued) // a hold that has met no mail pauses nobody else's
		id := r.arrive(box)
		r.arrive(other)
		r.wait(3 * time.Hour)
		r.ProbeNow()
		r.wait(time.Hour)
		if n := len(r.graph.tries); n != 2 || r.graph.tries[0].mailbox != other.Key() ||
			r.graph.tries[1].mailbox != other.Key() {
			t.Fatalf("tries: %+v", r.graph.tries)
		}
		r.wantState(id, spool.Paused)
		if err := r.ReleaseIdentity(t.Context(), "contoso.com"); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Minute)
		r.wantState(id, spool.Sent)
		rec, err := r.store.Get(t.Context(), id)
		if err != nil || rec.HeldFor < 4*time.Hour {
			t.Errorf("held for %s, %v", rec.HeldFor, err)
		}
		r.stop()
	})
}

// The hold survives a restart: only Resume ends it.
func TestAStopSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		box := addr(t, "a@contoso.com")
		r.start()
		if err := r.HoldIdentity(t.Context(), "contoso", "it may send as denied@contoso.com; restrict it"); err != nil {
			t.Fatal(err)
		}
		r.stop()
		again := newRig(t, 0)
		again.cfg.Store, again.store = r.store, r.store
		again.start()
		id := again.arrive(box)
		again.wait(2 * time.Hour)
		again.wantState(id, spool.Paused)
		if len(again.graph.tries) != 0 {
			t.Errorf("tried: %+v", again.graph.tries)
		}
		if err := again.ReleaseIdentity(t.Context(), "contoso"); err != nil {
			t.Fatal(err)
		}
		again.wait(time.Minute)
		again.wantState(id, spool.Sent)
		again.stop()
	})
}
