package delivery

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/graph/largemail"
	"graphrelay/relay/outcome"
	"graphrelay/relay/spool"
)

// of makes a message that of a client, and of one user of it.
func of(client, user string) func(*spool.Record) {
	return func(rec *spool.Record) { rec.Client = envelope.Client{Name: client, User: user} }
}

// arriveFrom commits messages of a client, and of one user of it.
func (r *rig) arriveFrom(box envelope.Address, client, user string, n int) (ids []envelope.QueueID) {
	for range n {
		id := r.store.put(box, box, of(client, user))
		r.came(id)
		ids = append(ids, id)
	}
	return ids
}

// place is how many attempts the double saw before the first one of a message.
func (r *rig) place(id envelope.QueueID) int {
	r.graph.mu.Lock()
	defer r.graph.mu.Unlock()
	for i, t := range r.graph.tries {
		if t.id == id {
			return i
		}
	}
	return -1
}

// TestOneMailDoesNotWaitForABurst: with 1,000 messages of one client in the mailbox,
// another client's single message leaves within two turns, what is claimed ahead not
// counted; so does that of another user of the same client, and so it is after a restart.
func TestOneMailDoesNotWaitForABurst(t *testing.T) {
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 200*time.Millisecond)
			box := addr(t, "a@contoso.com")
			r.start()
			r.arriveFrom(box, "erp", "1", 1000)
			r.wait(5 * time.Second)
			if restart {
				r.stop()
			}
			before := r.graph.count()
			one := r.store.put(box, box, of("ups", "1"))
			if restart {
				r.start()
			} else {
				r.came(one)
			}
			sibling := r.arriveFrom(box, "erp", "2", 1)[0]
			r.wait(10 * time.Second)
			for _, id := range []envelope.QueueID{one, sibling} {
				if n := r.place(id) - before; n < 0 || n > 3*maxAhead+4 {
					t.Errorf("restart %t: %d messages went before %s", restart, n, id)
				}
			}
			r.stop()
		})
	}
}

// TestWeightsShareTheSlots: high, normal and bulk send 16 : 4 : 1 while all have mail,
// and a change of the weights counts at once.
func TestWeightsShareTheSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 100*time.Millisecond)
		weights := map[string]int{"a": High, "b": Normal, "c": Bulk}
		r.cfg.Weight = func(client string) int { return weights[client] }
		box := addr(t, "a@contoso.com")
		for range 1000 {
			for client := range weights {
				r.store.put(box, box, of(client, "1"))
			}
		}
		r.start()
		shares := func(from int) map[string]int {
			got := map[string]int{}
			for _, try := range r.graph.tries[from : from+210] {
				got[r.store.get(try.id).Client.Name]++
			}
			return got
		}
		r.wait(15 * time.Second)
		if got := shares(0); got["a"] < 155 || got["b"] < 36 || got["c"] < 8 {
			t.Errorf("shares of 210: %v, want 160, 40 and 10", got)
		}
		weights["a"], weights["c"] = Bulk, High
		from := r.graph.count() + 3*maxAhead
		r.wait(15 * time.Second)
		if got := shares(from); got["c"] < 150 || got["b"] < 33 || got["a"] > 14 {
			t.Errorf("shares of 210 after the change: %v", got)
		}
		r.stop()
	})
}

// TestReportsGoFirst: a report does not wait for a backlog of a client with high priority.
func TestReportsGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 200*time.Millisecond)
		r.cfg.Weight = func(string) int { return Normal }
		box := addr(t, "a@contoso.com")
		r.start()
		r.arriveFrom(box, "erp", "1", 300)
		r.wait(2 * time.Second)
		before := r.graph.count()
		var reports []envelope.QueueID
		for range 8 {
			id := r.store.put(box, box, func(rec *spool.Record) { rec.ReportOf = "x" })
			r.came(id)
			reports = append(reports, id)
		}
		r.wait(5 * time.Second)
		if n := r.place(reports[7]) - before; n < 0 || n > 3*maxAhead+11 {
			t.Errorf("%d messages went before eight reports were sent", n)
		}
		r.stop()
	})
}

// slowUploader needs a time for each message.
type slowUploader struct {
	each time.Duration
	busy atomic.Int64
}

func (u *slowUploader) Upload(context.Context, envelope.Address, largemail.Draft) outcome.Answer {
	u.busy.Add(1)
	defer u.busy.Add(-1)
	time.Sleep(u.each)
	return sent
}

// TestUploadsLeaveASlot: three messages that take minutes do not have all slots while
// another client, or another member of the same one, has mail due.
func TestUploadsLeaveASlot(t *testing.T) {
	for _, other := range []string{"ups", "erp"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 100*time.Millisecond)
			up := &slowUploader{each: 3 * time.Minute}
			r.cfg.Route = func(envelope.Address) (Route, bool) {
				return Route{Identity: "contoso", Sender: r.graph, Large: InParts(up), MIMELimit: 100}, true
			}
			box := addr(t, "a@contoso.com")
			for range 30 {
				r.store.putBody(largeText, box, box, func(rec *spool.Record) {
					rec.Client, rec.Size = envelope.Client{Name: "erp", User: "1"}, int64(len(largeText))
				})
			}
			for range 100 {
				r.store.put(box, box, of(other, "2"))
			}
			r.start()
			r.wait(15 * time.Second)
			if n := r.store.Counts()[spool.Sent]; n != 100 {
				t.Errorf("%d of the 100 messages beside the uploads of %s are sent", n, other)
			}
			if n := up.busy.Load(); n != 3 {
				t.Errorf("%d uploads under way; with nobody else waiting they may have all slots", n)
			}
			r.wait(time.Hour)
			if n := r.store.Counts()[spool.Sent]; n != 130 {
				t.Errorf("%d messages were sent", n)
			}
			r.stop()
		})
	}
}

// TestOthersPassASendAsHold: behind 3,000 messages of a From address that is on hold,
// another address's mail of the same turn leaves at once, and of the same client, and
// when the hold ends all are sent.
func TestOthersPassASendAsHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 10*time.Millisecond)
		box, bad, good := addr(t, "a@contoso.com"), addr(t, "bad@contoso.com"), addr(t, "good@contoso.com")
		allowed := false
		r.graph.answer = func(_ envelope.Address, id envelope.QueueID, _ int) outcome.Answer {
			if r.store.get(id).From.Equal(bad) && !allowed {
				return held(outcome.ScopeSendAs)
			}
			return sent
		}
		for range 3000 {
			r.store.put(box, bad)
		}
		var last envelope.QueueID
		for range 100 {
			last = r.store.put(box, good)
		}
		r.start()
		r.wait(10 * time.Second)
		r.wantState(last, spool.Sent)
		late := r.store.put(box, good)
		r.came(late)
		r.wait(time.Second)
		r.wantState(late, spool.Sent)
		r.graph.set(func() { allowed = true })
		r.ProbeNow()
		r.wait(time.Minute)
		if n := r.store.Counts()[spool.Sent]; n != 3101 {
			t.Errorf("%d messages were sent after the hold", n)
		}
		r.stop()
	})
}

// TestRetriesBesideAClientOnHold: mail of a client on hold that is due for long does not
// keep the lane from the retry of another client at its time.
func TestRetriesBesideAClientOnHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 10*time.Millisecond)
		box := addr(t, "a@contoso.com")
		r.graph.answer = func(_ envelope.Address, id envelope.QueueID, n int) outcome.Answer {
			switch client := r.store.get(id).Client.Name; {
			case client == "erp":
				return held(outcome.ScopeClient)
			case n == 0:
				return outcome.Answer{Outcome: outcome.Retry, HTTPStatus: 503, Text: "503"}
			}
			return sent
		}
		r.start()
		r.arriveFrom(box, "erp", "1", 5)
		r.wait(20 * time.Second)
		id := r.arriveFrom(box, "ups", "1", 1)[0]
		r.wait(18 * time.Second)
		if got := r.graph.times(id); len(got) != 2 || got[1]-got[0] > 16*time.Second {
			t.Errorf("tried at %v, want 15 s apart", got)
		}
		r.stop()
	})
}

// TestProbesGoRound: the probes of a mailbox's hold take the mail of one client after
// the other, however much more one of them has.
func TestProbesGoRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 10*time.Millisecond)
		box := addr(t, "a@contoso.com")
		r.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer {
			return held(outcome.ScopeMailbox)
		}
		for i, n := range []int{200, 1, 1} {
			for range n {
				r.store.put(box, box, of(fmt.Sprint("c", i), "1"))
			}
		}
		r.start()
		r.wait(time.Second)
		from := r.graph.count()
		r.wait(time.Hour)
		seen := map[string]bool{}
		for _, try := range r.graph.tries[from : from+3] {
			seen[r.store.get(try.id).Client.Name] = true
		}
		if len(seen) != 3 {
			t.Errorf("three probes took mail of %v", seen)
		}
		r.stop()
	})
}

// TestTurnsOfThousands: 3,000 devices with one message each, beside one with 3,000,
// are all served, and none waits for the one.
func TestTurnsOfThousands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 10*time.Millisecond)
		r.store.slow(time.Millisecond)
		box := addr(t, "a@contoso.com")
		var singles []envelope.QueueID
		for range 3000 {
			r.store.put(box, box, of("net", "loop"))
		}
		for i := range 3000 {
			singles = append(singles, r.store.put(box, box, of("net", fmt.Sprint(i))))
		}
		r.start()
		r.wait(30 * time.Second)
		for _, id := range singles {
			if n := r.place(id); n < 0 || n > 3000+100 {
				t.Fatalf("message %s left at place %d", id, n)
			}
		}
		if n := r.store.Counts()[spool.Sent]; n != 6000 {
			t.Errorf("%d of 6000 are sent", n)
		}
		r.stop()
	})
}
