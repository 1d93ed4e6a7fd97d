package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/pacing"
	"graphrelay/relay/spool"
)

// draft is a message on its way in, and its ID.
func (r *rig) draft(mailbox envelope.Address) (spool.Draft, spool.Message) {
	r.t.Helper()
	d, err := r.store.Begin(r.t.Context(), "", 0)
	if err == nil {
		_, err = d.Write([]byte("body"))
	}
	if err != nil {
		r.t.Fatal(err)
	}
	now := time.Now()
	return d, spool.Message{ID: envelope.NewQueueID(now), Mailbox: mailbox, From: mailbox, ConfiguredFrom: true,
		Accepted: now, Size: 4, Envelope: envelope.Envelope{Recipients: []envelope.Address{mailbox}},
		Client: envelope.Client{Name: "local"}, MessageID: "<1@test>"}
}

// accept takes a message in as relay/intake does, and returns whether its attempt was
// recorded in the commit.
func (r *rig) accept(mailbox envelope.Address) (id envelope.QueueID, reserved bool, err error) {
	r.t.Helper()
	d, m := r.draft(mailbox)
	end := r.Reserve(m, time.Now())
	if end != nil {
		d.Attempt(time.Now())
	}
	err = d.Commit(r.t.Context(), m)
	switch {
	case end != nil:
		end(err == nil)
	case err == nil:
		r.Notify(m)
	}
	return m.ID, end != nil, err
}

// A message that finds its lane idle is sent without a claim.
func TestAttemptInTheAcceptingCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, box := newRig(t, 100*time.Millisecond), addr(t, "box@contoso.com")
		r.start()
		for range 10 {
			id, reserved, err := r.accept(box)
			if err != nil || !reserved {
				t.Fatalf("reserved %t, %v", reserved, err)
			}
			r.wait(time.Second)
			r.wantState(id, spool.Sent)
			if got := r.store.get(id); got.Attempts != 1 {
				t.Errorf("%+v", got)
			}
		}
		if n := r.store.Seen().Claims; n != 0 {
			t.Errorf("%d claims", n)
		}
		r.wantNothingKept(box)
		r.stop()
	})
}

// answers has the double give one answer to all.
func (r *rig) answers(a outcome.Answer) {
	r.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer { return a }
}

// wantNothingKept fails if a lane, a slot or a budget is still in use.
func (r *rig) wantNothingKept(box envelope.Address) {
	r.t.Helper()
	r.wait(time.Minute)
	if s := r.Status(); len(s.Lanes) != 0 || s.Busy != 0 {
		r.t.Errorf("lanes %+v", s.Lanes)
	}
	route, _ := r.route(box)
	if load := r.identity(route).Load(); load.Busy != 0 || load.Waiting != 0 {
		r.t.Errorf("the identity has %+v", load)
	}
}

// However many commits fail, nothing that was reserved for them is lost.
func TestReservationsOfFailedCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, box := newRig(t, 100*time.Millisecond), addr(t, "box@contoso.com")
		route := r.cfg.Route
		r.cfg.Route = func(m envelope.Address) (Route, bool) {
			x, ok := route(m)
			x.IdentityConcurrent, x.Rate = 4, pacing.Rate{Count: 100, Per: time.Minute}
			return x, ok
		}
		r.start()
		r.store.failIf(func(op string, _ envelope.QueueID) error {
			if op == "commit" {
				return errDisk
			}
			return nil
		})
		for n := range 5000 {
			if _, reserved, err := r.accept(box); err == nil || !reserved {
				t.Fatalf("commit %d: reserved %t, %v", n, reserved, err)
			}
		}
		r.wantNothingKept(box)
		r.mu.Lock()
		if p := r.paceOf(box.Key()); !p.IsFresh(time.Now()) {
			t.Errorf("what the mailbox has spent: %+v", p)
		}
		r.mu.Unlock()
		r.store.failIf(nil)
		for range 100 {
			if _, _, err := r.accept(box); err != nil {
				t.Fatal(err)
			}
		}
		r.wait(10 * time.Second)
		if n := r.graph.count(); n != 100 || r.graph.most[box.Key()] != defaultSlots {
			t.Errorf("%d are sent, %d at once", n, r.graph.most[box.Key()])
		}
		r.stop()
	})
}

// Nothing is reserved where the message would have to wait, or where somebody would have
// to find out what became of an attempt that a crash cut.
func TestNothingIsReserved(t *testing.T) {
	box, other := addr(t, "box@contoso.com"), addr(t, "other@contoso.com")
	for name, c := range map[string]struct {
		change  func(*Config, *Route)
		prepare func(*rig)
	}{
		"unknown_outcome: hold":   {change: func(c *Config, _ *Route) { c.Unknown = HoldIt }},
		"unknown_outcome: lookup": {change: func(c *Config, _ *Route) { c.Unknown = LookUp }},
		"too large": {change: func(_ *Config, x *Route) {
			x.MIMELimit, x.Large = 3, InParts(&uploads{})
		}},
		"stranded": {change: func(_ *Config, x *Route) { x.MIMELimit = 3 }},
		"all slots are in use": {prepare: func(r *rig) {
			for range defaultSlots {
				r.accept(box)
			}
			synctest.Wait()
		}},
		"all slots of the identity are in use": {
			change: func(_ *Config, x *Route) { x.IdentityConcurrent = 1 },
			prepare: func(r *rig) {
				r.accept(other)
				synctest.Wait()
			},
		},
		"the rate is spent": {
			change: func(_ *Config, x *Route) { x.Rate = pacing.Rate{Count: 1, Per: time.Minute} },
			prepare: func(r *rig) {
				r.accept(box)
				r.wait(2 * time.Second)
			},
		},
		"others are due": {prepare: func(r *rig) {
			for range 2 * defaultSlots {
				r.arrive(box)
			}
			synctest.Wait()
		}},
		"a hold": {prepare: func(r *rig) {
			r.answers(held(outcome.ScopeMailbox))
			r.accept(box)
			r.wait(2 * time.Second)
		}},
		"a hold of an address": {prepare: func(r *rig) {
			r.answers(held(outcome.ScopeSendAs))
			r.accept(box)
			r.wait(2 * time.Second)
		}},
		"a hold, and no mail waits": {prepare: func(r *rig) {
			if err := r.HoldIdentity(r.t.Context(), "contoso", "the audit"); err != nil {
				r.t.Error(err)
			}
		}},
		"Graph asked the identity for time": {prepare: func(r *rig) {
			r.answers(outcome.Answer{Outcome: outcome.Retry, Scope: outcome.ScopeIdentity, HTTPStatus: 429,
				RetryAfter: time.Minute})
			r.accept(other)
			r.wait(2 * time.Second)
		}},
		"older mail is due, and the store does not say which": {prepare: func(r *rig) {
			r.store.failIf(func(op string, _ envelope.QueueID) error {
				if op == "claim" {
					return errDisk
				}
				return nil
			})
			r.arrive(box)
			synctest.Wait()
		}},
		"Graph asked for time": {prepare: func(r *rig) {
			r.answers(outcome.Answer{Outcome: outcome.Retry, Scope: outcome.ScopeMailbox, HTTPStatus: 429,
				RetryAfter: time.Minute})
			r.accept(box)
			r.wait(2 * time.Second)
		}},
		"the delivery stops": {prepare: func(r *rig) {
			r.cancel()
			synctest.Wait()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, time.Second)
				route := Route{Identity: "contoso", Sender: r.graph}
				if c.change != nil {
					c.change(&r.cfg, &route)
				}
				r.cfg.Route = func(envelope.Address) (Route, bool) { return route, true }
				r.start()
				if c.prepare != nil {
					c.prepare(r)
				}
				if _, reserved, err := r.accept(box); err != nil || reserved {
					t.Errorf("reserved %t, %v", reserved, err)
				}
				r.stop()
			})
		})
	}
}

// Before the lanes know what was queued at the start, nothing is reserved: others may be due.
func TestNothingIsReservedBeforeTheFirstPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, box := newRig(t, time.Second), addr(t, "box@contoso.com")
		r.start()
		_, m := r.draft(box)
		for _, polled := range []bool{false, true} {
			r.polls.done.Store(polled)
			end := r.Reserve(m, time.Now())
			if (end != nil) != polled {
				t.Errorf("polled %t, reserved %t", polled, end != nil)
			}
			if end != nil {
				end(false)
			}
		}
		r.stop()
	})
}

// A hold that begins between the reservation and the commit stops the message: its
// attempt is taken back, and so it is where the delivery ends.
func TestReservationIsOvertaken(t *testing.T) {
	for name, overtake := range map[string]func(*rig){
		"by a hold": func(r *rig) {
			if err := r.HoldIdentity(r.t.Context(), "contoso", "the audit"); err != nil {
				r.t.Error(err)
			}
		},
		"by the end": func(r *rig) {
			r.cancel()
			synctest.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, box := newRig(t, time.Second), addr(t, "box@contoso.com")
				r.start()
				d, m := r.draft(box)
				end := r.Reserve(m, time.Now())
				if end == nil {
					t.Fatal("nothing was reserved")
				}
				overtake(r)
				r.wait(time.Second)
				d.Attempt(time.Now())
				if err := d.Commit(t.Context(), m); err != nil {
					t.Fatal(err)
				}
				end(true)
				r.wait(time.Second)
				got, tries := r.store.get(m.ID), r.graph.count()
				if got.State.Stored() != spool.Queued || got.Attempts != 0 || tries != 0 {
					t.Errorf("%+v after %d attempts", got, tries)
				}
				r.stop()
			})
		})
	}
}

// A lane that does not answer delays no commit, and what it grants too late is lost to nobody.
func TestReservationOfALaneThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, box := newRig(t, 100*time.Millisecond), addr(t, "box@contoso.com")
		hang := make(chan struct{})
		route := r.cfg.Route
		r.cfg.Route = func(m envelope.Address) (Route, bool) {
			<-hang
			return route(m)
		}
		r.start()
		began := time.Now()
		id, reserved, err := r.accept(box)
		if err != nil || reserved || time.Since(began) > reserveWithin {
			t.Errorf("reserved %t after %v, %v", reserved, time.Since(began), err)
		}
		close(hang)
		r.wait(time.Second)
		r.wantState(id, spool.Sent)
		r.wantNothingKept(box)
		r.stop()
	})
}
