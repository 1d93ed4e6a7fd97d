package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/delivery/hold"
	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/spool"
)

// twoBoxes are a mailbox of each of two nodes, in which nothing waits yet.
func twoBoxes(t *testing.T, ns *nodes) (x, y envelope.Address) {
	x, y = addr(t, "x@contoso.com"), addr(t, "y@contoso.com")
	ns.give(x, ns.all[0])
	ns.give(y, ns.all[1])
	ns.all[0].wait(2 * time.Second) // for the polls
	return x, y
}

// come has a message come to a mailbox of a node.
func (n *node) come(mailbox envelope.Address, accepted time.Time) envelope.QueueID {
	id := n.nodes.store.put(mailbox, mailbox, func(r *spool.Record) { r.Accepted = accepted })
	n.came(id)
	return id
}

// TestHoldsOfAMomentAgo: an operator is answered by what is in the store, before the next poll.
func TestHoldsOfAMomentAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := newNodes(t, time.Second, "a", "b")
		twoBoxes(t, ns)
		a, b := ns.all[0].Delivery, ns.all[1].Delivery
		if err := a.HoldIdentity(t.Context(), "contoso", "stopped; wait"); err != nil {
			t.Fatal(err)
		}
		seen, got := b.Status().Holds, b.HoldsNow()
		if len(seen) != 0 || len(got) != 1 || got[0].Identity != "contoso" {
			t.Errorf("begun: %+v after %+v", got, seen)
		}
		if err := b.ReleaseIdentity(t.Context(), "contoso"); err != nil {
			t.Fatal(err)
		}
		if got := a.HoldsNow(); len(got) != 0 {
			t.Errorf("ended: %+v", got)
		}
		ns.stop()
	})
}

// TestAHoldIsOfAllNodes: what one begins stops the others within a poll, and what one ends
// lets them go on. The time in it counts once, though both find out at the same time.
func TestAHoldIsOfAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := newNodes(t, time.Second, "a", "b")
		a, b := ns.all[0], ns.all[1]
		x, y := twoBoxes(t, ns)
		var broken bool
		a.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer {
			if broken {
				return held(outcome.ScopeIdentity)
			}
			return sent
		}
		a.graph.set(func() { broken = true })
		hourAgo := time.Now().Add(-time.Hour)
		ids := []envelope.QueueID{a.come(x, hourAgo)}
		a.wait(3 * time.Second)
		if got := b.Delivery.Status().Holds; len(got) != 1 || got[0].Text != "refused; check the app" {
			t.Fatalf("holds of the other node: %+v", got)
		}
		for range 8 {
			ids = append(ids, a.come(x, hourAgo), b.come(y, hourAgo))
		}
		b.wait(30 * time.Second)
		ns.wantSent(t, map[string]int{"a x@contoso.com": 1})
		since := ns.store.holds()[0].Since
		a.graph.set(func() { broken = false })
		b.wait(5 * time.Minute)
		for _, n := range ns.all {
			if got := n.Delivery.Status().Holds; len(got) > 0 {
				t.Errorf("%s has %+v", n.name, got)
			}
			if begun, ended := n.log.count("hold begins"), n.log.count("hold ends"); begun != 1 || ended != 1 {
				t.Errorf("%s logs %d begun and %d ended", n.name, begun, ended)
			}
		}
		for _, id := range ids {
			a.wantState(id, spool.Sent)
			m := ns.store.get(id)
			if left := m.FinishedAt.Sub(since); m.HeldFor > left || m.HeldFor < time.Minute && m.HeldFor > 0 {
				t.Errorf("message %s was held for %v, and left %v after the hold began", id, m.HeldFor, left)
			}
		}
		ns.stop()
	})
}

// TestAProbeAtAnotherNode: an operator releases a hold where its mailbox is not sent.
func TestAProbeAtAnotherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := newNodes(t, time.Second, "a", "b")
		a, b := ns.all[0], ns.all[1]
		x, _ := twoBoxes(t, ns)
		broken := true
		a.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer {
			if broken {
				return held(outcome.ScopeMailbox)
			}
			return sent
		}
		id := a.come(x, time.Now())
		a.wait(20 * time.Minute)
		began := hold.MissingRoute(x, time.Now()) // nobody has polled since
		if err := ns.store.SetHold(t.Context(), began); err != nil {
			t.Fatal(err)
		}
		if got := b.HoldsNow(); len(got) != 2 || got[1].Key != began.Key {
			t.Errorf("holds of the other node: %+v", got)
		}
		a.graph.set(func() { broken = false })
		b.Delivery.ProbeNow(hold.MailboxKey(x))
		b.wait(4 * time.Second)
		a.wantState(id, spool.Sent)
		b.wait(2 * time.Second)
		if got := b.Delivery.Status().Holds; len(got) > 0 {
			t.Errorf("holds: %+v", got)
		}
		ns.stop()
	})
}

// TestARefusalOfAHoldThatAnotherNodeEnded begins a new one: its time counts from then on.
func TestARefusalOfAHoldThatAnotherNodeEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := newNodes(t, time.Second, "a", "b")
		a := ns.all[0]
		x, _ := twoBoxes(t, ns)
		a.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer {
			return held(outcome.ScopeIdentity)
		}
		id := a.come(x, time.Now().Add(-time.Hour))
		for a.graph.count() < 3 { // until a probe is under way
			a.wait(100 * time.Millisecond)
		}
		began := ns.store.holds()[0].Since
		if err := ns.store.EndHold(t.Context(), hold.IdentityKey("contoso"), time.Now(), x); err != nil {
			t.Fatal(err)
		}
		credited := ns.store.get(id).HeldFor
		a.wait(5 * time.Second)
		got := ns.store.holds()
		if len(got) != 1 || got[0].Since.Before(began.Add(credited)) {
			t.Errorf("after %v in one that began at %v: %+v", credited, began, got)
		}
		ns.stop()
	})
}
