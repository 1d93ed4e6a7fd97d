package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/pacing"
	"graphrelay/relay/spool"
)

// reserves asks for n messages at once, and returns the ends of those that were granted.
func (r *rig) reserves(box envelope.Address, n int) (ends []func(bool)) {
	r.t.Helper()
	answers := make(chan func(bool), n)
	for range n {
		_, m := r.draft(box)
		go func() { answers <- r.Reserve(m, time.Now()) }()
	}
	for range n {
		if end := <-answers; end != nil {
			ends = append(ends, end)
		}
	}
	return ends
}

// Of messages that arrive at once no more are reserved than have a slot, and a place in
// what the mailbox may send.
func TestReservationsShareWhatThereIs(t *testing.T) {
	for rate, want := range map[int]int{0: defaultSlots, 2: 2} {
		synctest.Test(t, func(t *testing.T) {
			r, box := newRig(t, time.Second), addr(t, "box@contoso.com")
			r.cfg.Route = func(envelope.Address) (Route, bool) {
				time.Sleep(time.Millisecond) // so that the lane finds several wishes in one look
				limit := pacing.Rate{Count: rate, Per: time.Minute}
				return Route{Identity: "contoso", Sender: r.graph, Rate: limit}, true
			}
			r.start()
			ends := r.reserves(box, 10)
			if len(ends) != want {
				t.Errorf("rate %d: %d are reserved, want %d", rate, len(ends), want)
			}
			for _, end := range ends {
				end(false)
			}
			r.wantNothingKept(box)
			r.stop()
		})
	}
}

// A lane that was refused a slot of its identity, and ends, leaves the line for it.
func TestRefusedReservationLeavesTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, box := newRig(t, time.Second), addr(t, "box@contoso.com")
		r.cfg.Route = func(envelope.Address) (Route, bool) {
			return Route{Identity: "contoso", Sender: r.graph, IdentityConcurrent: 1}, true
		}
		r.start()
		r.accept(addr(t, "other@contoso.com"))
		synctest.Wait()
		if ends := r.reserves(box, 1); len(ends) != 0 { // and the message is not kept
			t.Error("reserved without a slot")
		}
		r.wantNothingKept(box)
		r.stop()
	})
}

// What was reserved costs its client turns, of which it gets back those of a message that
// was not kept.
func TestReservationsCostTurns(t *testing.T) {
	for _, kept := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r, box := newRig(t, 100*time.Millisecond), addr(t, "box@contoso.com")
			r.cfg.Route = func(envelope.Address) (Route, bool) {
				return Route{Identity: "contoso", Sender: r.graph, MaxConcurrent: 2}, true
			}
			r.start()
			keeper := r.reserves(box, 1) // the lane stays
			d, m := r.draft(box)
			m.Client.Name, m.Size = "a", 40<<20
			end := r.Reserve(m, time.Now())
			if end == nil || len(keeper) != 1 {
				t.Fatal("nothing is reserved")
			}
			if kept {
				d.Attempt(time.Now())
				if err := d.Commit(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
			end(kept)
			r.wait(time.Second)
			before, ofA := r.graph.count(), map[envelope.QueueID]bool{}
			came := map[spool.Turn]arrivals{} // at once, or the lane might look while only one of them waits
			for range 12 {
				a, b := r.store.put(box, box, of("a", "")), r.store.put(box, box, of("b", ""))
				ofA[a] = true
				for _, id := range []envelope.QueueID{a, b} {
					m := r.store.get(id)
					came[m.Turn()] = arrivals{came[m.Turn()].n + 1, m.Accepted}
				}
			}
			r.wake(box, hint{came: came})
			r.wait(10 * time.Second)
			n := 0
			for _, try := range r.graph.tries[before : before+12] {
				if ofA[try.id] {
					n++
				}
			}
			if kept && n > 3 || !kept && n < 5 {
				t.Errorf("kept %t: %d of the first 12 are of the client", kept, n)
			}
			keeper[0](false)
			r.stop()
		})
	}
}

// Where the store did not let an attempt begin, nothing is reserved before it is asked again.
func TestNothingIsReservedWhileAttemptsAreWithheld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, box := newRig(t, 100*time.Millisecond), addr(t, "box@contoso.com")
		sender := &reading{double: r.graph, store: r.store}
		r.cfg.Route = func(envelope.Address) (Route, bool) { return Route{Identity: "contoso", Sender: sender}, true }
		r.store.away(errAway)
		r.start()
		r.store.failIf(func(op string, _ envelope.QueueID) error {
			if op == "unclaim" {
				return errDisk // so that the first does not wait in line
			}
			return nil
		})
		first := r.arrive(box)
		synctest.Wait()
		id, reserved, err := r.accept(box)
		if err != nil || reserved {
			t.Errorf("reserved %t, %v", reserved, err)
		}
		r.store.away(nil)
		r.store.failIf(nil)
		r.wait(time.Minute)
		r.wantState(first, spool.Sent)
		r.wantState(id, spool.Sent)
		r.stop()
	})
}
