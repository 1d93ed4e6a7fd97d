package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/delivery/pace"
	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/spool"
)

// TestAPauseMovesWithItsLane: where Microsoft asked for time, the node that has the lane next
// waits for as long, whether the one before gave it up or is gone.
func TestAPauseMovesWithItsLane(t *testing.T) {
	for _, gone := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ns := newNodes(t, time.Second, "a", "b")
			a, b := ns.all[0], ns.all[1]
			x, _ := twoBoxes(t, ns)
			busy := true
			a.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer {
				if busy {
					return outcome.Answer{Outcome: outcome.Retry, Scope: outcome.ScopeMailbox, HTTPStatus: 429,
						RetryAfter: 5 * time.Minute}
				}
				return sent
			}
			a.come(x, time.Now())
			a.wait(time.Second) // for the answer
			a.graph.set(func() { busy = false })
			a.wait(time.Second / 10) // the pause is carried at once
			if gone {
				a.cancel() // and what it says from now on comes to nobody
			}
			ns.give(x, b)
			b.wait(4 * time.Second)
			b.come(x, time.Now())
			b.wait(4 * time.Minute)
			ns.wantSent(t, map[string]int{"a x@contoso.com": 1})
			b.wait(time.Minute)
			ns.wantSent(t, map[string]int{"a x@contoso.com": 1, "b x@contoso.com": 2})
			ns.stop()
		})
	}
}

// TestABudgetMovesWithItsLane, and comes back with it: 150 MB in five minutes are those of both.
func TestABudgetMovesWithItsLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := newNodes(t, time.Second, "a", "b")
		a, b := ns.all[0], ns.all[1]
		x, _ := twoBoxes(t, ns)
		for range 8 { // of 33 MB in requests each
			ns.store.put(x, x, func(r *spool.Record) { r.Size = 25_000_000 })
		}
		a.Wake(x)
		a.wait(500 * time.Millisecond)
		ns.wantSent(t, map[string]int{"a x@contoso.com": 3})
		ns.give(x, b)
		b.wait(20 * time.Second)
		ns.wantSent(t, map[string]int{"a x@contoso.com": 3, "b x@contoso.com": 1})
		ns.give(x, a)
		a.wait(4 * time.Minute)
		ns.wantSent(t, map[string]int{"a x@contoso.com": 3, "b x@contoso.com": 1})
		a.wait(2 * time.Minute)
		ns.wantSent(t, map[string]int{"a x@contoso.com": 7, "b x@contoso.com": 1})
		ns.stop()
	})
}

// TestADamagedPaceIsAsGoodAsNone, but for a word in the log.
func TestADamagedPaceIsAsGoodAsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := newNodes(t, time.Second, "a", "b")
		x := addr(t, "x@contoso.com")
		ns.paces[x.Key()] = "{"
		ns.give(x, ns.all[0])
		ns.all[0].come(x, time.Now())
		ns.all[0].wait(time.Second)
		ns.wantSent(t, map[string]int{"a x@contoso.com": 1})
		if got := ns.all[0].log.count("cannot read what another node sent lately"); got != 1 {
			t.Errorf("%d lines in the log", got)
		}
		ns.stop()
	})
}

// TestALaneThatEndsLeavesItsPace, however short a time ago it wrote another one.
func TestALaneThatEndsLeavesItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := newNodes(t, time.Second, "a", "b")
		x, _ := twoBoxes(t, ns)
		ns.all[0].come(x, time.Now())
		ns.all[0].wait(time.Second / 2)
		ns.all[0].come(x, time.Now())
		ns.all[0].wait(2 * time.Second)
		got := pace.NewMailbox()
		if err := got.Read(time.Now(), ns.all[1].Carried(x)); err != nil || got.Messages(time.Now()) != 10_000-2 {
			t.Errorf("%d more may be sent in ten minutes, want two of 10,000 less: %v", got.Messages(time.Now()), err)
		}
		ns.stop()
	})
}

// TestTryNowAtAnotherNode: the pause that follows failures ends, wherever the operator asks for that.
func TestTryNowAtAnotherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := newNodes(t, time.Second, "a", "b")
		a, b := ns.all[0], ns.all[1]
		x, y := twoBoxes(t, ns)
		broken := true
		a.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer {
			if broken {
				return outcome.Answer{Outcome: outcome.Retry, Scope: outcome.ScopeMailbox, HTTPStatus: 503}
			}
			return sent
		}
		ids := []envelope.QueueID{a.come(x, time.Now()), a.come(x, time.Now()), a.come(x, time.Now())}
		a.wait(time.Hour)
		a.graph.set(func() { broken = false })
		b.TryNow(y.Equal)
		b.wait(3 * time.Second)
		before := ns.sent()
		b.TryNow(x.Equal)
		b.wait(time.Second)
		ns.tell()
		b.wait(8 * time.Second)
		for _, id := range ids {
			a.wantState(id, spool.Sent)
		}
		before["a x@contoso.com"] += 3
		ns.wantSent(t, before)
		ns.stop()
	})
}
