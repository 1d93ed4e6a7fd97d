package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

func TestInCommon(t *testing.T) {
	of := func(clients ...string) (seen []oneRefusal) {
		for _, c := range clients {
			seen = append(seen, oneRefusal{client: c})
		}
		return seen
	}
	for _, tt := range []struct {
		name  string
		seen  []oneRefusal
		holds []spool.Hold
		scope outcome.Scope
		ok    bool
	}{
		{"one", of("erp"), nil, outcome.ScopeMessage, false},
		{"two of two clients", of("erp", "ups"), nil, outcome.ScopeMessage, false},
		{"three of one client", of("erp", "erp", "erp"), nil, outcome.ScopeClient, true},
		{"three of two clients", of("erp", "ups", "erp"), nil, outcome.ScopeMailbox, true},
		{"the service's own is among them", of("erp", "", "erp"), nil, outcome.ScopeMailbox, true},
		{"the client is held", of("erp"), []spool.Hold{{Client: "erp"}}, outcome.ScopeClient, true},
		{"another client is held", of("ups"), []spool.Hold{{Client: "erp"}}, outcome.ScopeMailbox, true},
		{"a client is held, test mail meets it", of(""), []spool.Hold{{Client: "erp"}}, outcome.ScopeMailbox, true},
		{"the mailbox is held", of("erp"), []spool.Hold{{}}, outcome.ScopeMailbox, true},
	} {
		if scope, ok := inCommon(tt.seen, tt.holds); ok != tt.ok || ok && scope != tt.scope {
			t.Errorf("%s: %s %t", tt.name, scope, ok)
		}
	}
}

func TestUnheardCountsMessagesOfTenMinutes(t *testing.T) {
	var u unheard
	a, b := addr(t, "a@contoso.com"), addr(t, "b@contoso.com")
	note := func(box envelope.Address, code, id string, after time.Duration) int {
		return len(u.note(box, code, oneRefusal{envelope.QueueID(id), "erp", noon.Add(after)}))
	}
	for i, tt := range []struct {
		got, want int
	}{
		{note(a, "X", "1", 0), 1}, {note(a, "x", "1", time.Minute), 1}, {note(a, "X", "2", 2*time.Minute), 2},
		{note(a, "Y", "3", 2*time.Minute), 1}, {note(b, "X", "4", 2*time.Minute), 1},
		{note(a, "X", "5", 12*time.Minute), 1},
	} {
		if tt.got != tt.want {
			t.Errorf("%d: %d, want %d", i, tt.got, tt.want)
		}
	}
	u.forget(a)
	if n := note(a, "X", "6", 12*time.Minute); n != 1 {
		t.Errorf("%d after the end of a hold", n)
	}
}

var strange = outcome.Answer{Outcome: outcome.Bounce, HTTPStatus: 400, Status: reply.Enhanced{5, 0, 0},
	Code: "NeverHeard", Text: "refused", Detail: "Graph answered 400 NeverHeard: x"}

// unheardRig is a mailbox in which the mail of some clients meets a code that nobody has heard of.
func unheardRig(t *testing.T, bad map[string]bool) (*rig, envelope.Address, func(client string) envelope.QueueID) {
	r := newRig(t, 100*time.Millisecond)
	box := addr(t, "a@contoso.com")
	r.graph.answer = func(_ envelope.Address, id envelope.QueueID, _ int) outcome.Answer {
		if rec := r.store.get(id); bad[rec.Client.Name] {
			return strange
		}
		return sent
	}
	r.start()
	return r, box, func(client string) envelope.QueueID {
		id := r.store.put(box, box, func(rec *spool.Record) { rec.Client.Name = client })
		r.came(id)
		r.wait(time.Second)
		return id
	}
}

// TestSameUnknownCodeHoldsTheClient: two messages fail, the third begins the hold of the client's mail; others go on.
func TestSameUnknownCodeHoldsTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := map[string]bool{"erp": true}
		r, box, send := unheardRig(t, bad)
		first, second := send("erp"), send("erp")
		r.wantState(first, spool.Failed)
		r.wantState(second, spool.Failed)
		var kept []envelope.QueueID
		for range 10 {
			kept = append(kept, send("erp"))
		}
		if holds := r.store.holds(); len(holds) != 1 || holds[0].Key != spool.ClientKey(box, "erp") ||
			holds[0].Client != "erp" {
			t.Fatalf("holds %+v", holds)
		}
		r.wantState(send("ups"), spool.Sent)
		r.wait(2 * time.Hour) // probes fail, and nothing else does
		for _, id := range kept {
			r.wantState(id, spool.Paused)
		}
		r.wantState(send("ups"), spool.Sent)
		if n := len(r.store.holds()); n != 1 {
			t.Errorf("%d holds", n)
		}
		r.graph.set(func() { clear(bad) })
		r.wait(31 * time.Minute)
		for _, id := range kept {
			r.wantState(id, spool.Sent)
		}
		if holds := r.store.holds(); len(holds) != 0 {
			t.Errorf("holds %+v", holds)
		}
		for _, id := range []envelope.QueueID{first, second} { // the advice: those that failed before
			r.again(id, "retry")
			r.wait(2 * time.Minute)
			r.wantState(id, spool.Sent)
		}
		r.stop()
	})
}

// TestSameUnknownCodeHoldsTheMailbox: where a second client meets it, at once or later, the mailbox is held.
func TestSameUnknownCodeHoldsTheMailbox(t *testing.T) {
	for _, clients := range [][]string{{"erp", "ups", "erp"}, {"erp", "erp", "erp", "ups"}} {
		synctest.Test(t, func(t *testing.T) {
			r, box, send := unheardRig(t, map[string]bool{"erp": true, "ups": true})
			var last envelope.QueueID
			for _, c := range clients {
				last = send(c)
			}
			r.wantState(last, spool.Paused)
			if key := r.Delivery.holds.Blocking("contoso", box); key != "mailbox:"+box.Key() {
				t.Errorf("%v: %q blocks", clients, key)
			}
			id := send("third")
			r.wantState(id, spool.Paused)
			r.wait(10 * time.Minute) // a probe of the third passes
			r.wantState(id, spool.Sent)
			r.stop()
		})
	}
}

// TestUnknownCodesAloneFail: other codes, or too long apart, have nothing in common.
func TestUnknownCodesAloneFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, send := unheardRig(t, map[string]bool{"erp": true})
		for range 6 {
			id := send("erp")
			r.wait(6 * time.Minute)
			r.wantState(id, spool.Failed)
		}
		if holds := r.store.holds(); len(holds) != 0 {
			t.Errorf("holds %+v", holds)
		}
		r.stop()
	})
}
