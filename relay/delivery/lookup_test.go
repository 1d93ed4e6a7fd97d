package delivery

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/delivery/hold"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func toOne(t *testing.T) []envelope.Address {
	return []envelope.Address{addr(t, "one@example.net")}
}

func TestJudge(t *testing.T) {
	one, two, three := addr(t, "one@example.net"), addr(t, "two@example.net"), addr(t, "Two@example.net")
	both := []envelope.Address{one, two}
	rec := spool.Record{Message: spool.Message{MessageID: "<1@test>", Envelope: envelope.Envelope{Recipients: both}}}
	first, since := noon, noon.Add(time.Minute)
	late := since.Add(appearsIn)
	found := func(after time.Duration, to ...envelope.Address) graph.Copy {
		return graph.Copy{Sent: first.Add(after), Recipients: to}
	}
	named := func(id string) spool.Record {
		x := rec
		x.MessageID = id
		return x
	}
	for _, c := range []struct {
		name   string
		rec    spool.Record
		copies []graph.Copy
		others bool
		now    time.Time
		want   verdict
	}{
		{"found", rec, []graph.Copy{found(time.Second, both...)}, false, since, wasSent},
		{"found, in another order and case, one twice", rec, []graph.Copy{found(time.Second, three, one, two)}, false,
			since, wasSent},
		{"found among others", rec, []graph.Copy{found(0, one), found(time.Second, both...)}, false, since, wasSent},
		{"found within the skew of the clocks", rec, []graph.Copy{found(-clockSkew, both...)}, false, late, wasSent},
		{"of an earlier time", rec, []graph.Copy{found(-time.Minute, both...)}, false, late, inDoubt},
		{"fewer recipients", rec, []graph.Copy{found(time.Second, one)}, false, late, inDoubt},
		{"more recipients", rec, []graph.Copy{found(time.Second, one, two, addr(t, "x@example.net"))}, false, late,
			inDoubt},
		{"a recipient that is no address", rec, []graph.Copy{found(time.Second, one, envelope.Address{})}, false, late,
			inDoubt},
		{"nothing, at once", rec, nil, false, since, notYet},
		{"nothing, just before the time", rec, nil, false, late.Add(-1), notYet},
		{"nothing, after ten minutes", rec, nil, false, late, notSent},
		{"a draft, at once", rec, []graph.Copy{{Draft: true, Recipients: both}}, false, since, notYet},
		{"a draft that stays", rec, []graph.Copy{{Draft: true, Recipients: both}}, false, late, inDoubt},
		{"a draft and the copy", rec, []graph.Copy{{Draft: true, Recipients: both}, found(0, both...)}, false, late,
			wasSent},
		{"a Message-ID that another message has", rec, []graph.Copy{found(time.Second, both...)}, true, late, inDoubt},
		{"no Message-ID", spool.Record{}, nil, false, late, inDoubt},
		{"nothing, but the queue may not know its Message-ID octet for octet", named("<a?b@test>"), nil, false, late,
			inDoubt},
		{"nothing, and its Message-ID has a comment", named("<1@test> (x)"), nil, false, late, inDoubt},
		{"nothing, and its Message-ID is not ASCII", named("<ä@test>"), nil, false, late, inDoubt},
		{"found by such a Message-ID", named("<a?b@test>"), []graph.Copy{found(0, both...)}, false, late, wasSent},
	} {
		v, why := judge(c.rec, trace{first: first, since: since, copies: c.copies, others: c.others}, c.now)
		if v != c.want || (v == inDoubt) == (why == "") {
			t.Errorf("%s: %v (%s), want %v", c.name, v, why, c.want)
		}
	}
}

// finder is a Finder that finds as told.
type finder struct {
	double *double
	find   func(n int) ([]graph.Copy, outcome.Answer)
	at     []time.Duration
}

func (f *finder) Lookup(_ context.Context, _ envelope.Address, id string) ([]graph.Copy, outcome.Answer) {
	f.double.mu.Lock()
	defer f.double.mu.Unlock()
	f.at = append(f.at, time.Since(f.double.began))
	return f.find(len(f.at))
}

// times returns since the beginning when it was asked.
func (f *finder) times() []time.Duration {
	f.double.mu.Lock()
	defer f.double.mu.Unlock()
	return slices.Clone(f.at)
}

var searched = outcome.Answer{Outcome: outcome.Delivered, HTTPStatus: 200}

// looking makes a rig whose first attempt of a message has an unknown outcome.
func looking(t *testing.T, find func(n int) ([]graph.Copy, outcome.Answer)) (*rig, *finder, *alarms, envelope.QueueID) {
	r := newRig(t, time.Second)
	a := r.reporting()
	f := &finder{double: r.graph, find: find}
	route := r.cfg.Route
	r.cfg.Unknown = LookUp
	r.cfg.Route = func(m envelope.Address) (Route, bool) {
		x, ok := route(m)
		x.Finder = f
		return x, ok
	}
	r.graph.answer = func(_ envelope.Address, _ envelope.QueueID, n int) outcome.Answer {
		if n == 0 {
			return outcome.Answer{Outcome: outcome.Unknown, HTTPStatus: 504, Status: reply.Enhanced{4, 4, 7},
				Text: "timed out"}
		}
		return sent
	}
	id := r.from(addr(t, "box@contoso.com"), clientHeader)
	r.start()
	return r, f, a, id
}

func TestLookupFindsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f, _, id := looking(t, func(int) ([]graph.Copy, outcome.Answer) {
			return []graph.Copy{{Sent: time.Now(), Recipients: toOne(t)}}, searched
		})
		r.wait(5 * time.Minute)
		r.wantState(id, spool.Sent)
		if len(r.graph.times(id)) != 1 || len(f.at) != 1 {
			t.Errorf("%d attempts, looked up at %v", len(r.graph.times(id)), f.at)
		}
		r.stop()
	})
}

// TestLookupAfterReload: what a reload says of unknown outcomes is asked for each message.
func TestLookupAfterReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f, _, id := looking(t, func(int) ([]graph.Copy, outcome.Answer) { return nil, searched })
		r.SetLimits(Limits{Unknown: Retry})
		r.wait(5 * time.Minute)
		r.wantState(id, spool.Sent)
		if len(f.at) != 0 {
			t.Errorf("looked up at %v", f.at)
		}
		r.stop()
	})
}

// TestLookupFindsNothing: it is sent again, but not before ten minutes.
func TestLookupFindsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f, _, id := looking(t, func(int) ([]graph.Copy, outcome.Answer) { return nil, searched })
		r.wait(10 * time.Minute)
		if n := len(r.graph.times(id)); n != 1 {
			t.Errorf("%d attempts within ten minutes", n)
		}
		if rec := r.store.get(id); rec.State != spool.Deferred || !rec.Unknown || rec.Attempts != 1 {
			t.Errorf("meanwhile: %+v", rec)
		}
		r.wait(time.Minute)
		r.wantState(id, spool.Sent)
		if len(r.graph.times(id)) != 2 || len(f.at) != 2 {
			t.Errorf("%d attempts, looked up at %v", len(r.graph.times(id)), f.at)
		}
		r.stop()
	})
}

func TestLookupDoubtIsHeldUntilReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, _, id := looking(t, func(int) ([]graph.Copy, outcome.Answer) {
			stranger := []envelope.Address{addr(t, "stranger@example.net")}
			return []graph.Copy{{Sent: time.Now(), Recipients: stranger}}, searched
		})
		r.wait(time.Hour)
		if rec := r.store.get(id); rec.State != spool.Held || !rec.Unknown ||
			!strings.Contains(rec.LastText, "release or delete") {
			t.Fatalf("%+v", rec)
		}
		r.again(id, "release")
		r.wait(time.Minute)
		r.wantState(id, spool.Sent) // a person has decided: no further look
		r.stop()
	})
}

// TestRetryLooksFirst: the operator's retry decides nothing, whatever held the message: the relay looks for it, and
// sends it only where it is not found. An outcome that was held has no event of its own, and the look must not wait
// for ten minutes again and again.
func TestRetryLooksFirst(t *testing.T) {
	for _, tt := range []struct {
		name  string
		held  UnknownOutcome // by this treatment
		found bool
		tries int
	}{
		{"queued, found", LookUp, true, 1}, {"queued, not found", LookUp, false, 2},
		{"held, found", HoldIt, true, 1}, {"held, not found", HoldIt, false, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, f, _, id := looking(t, func(int) ([]graph.Copy, outcome.Answer) {
					if !tt.found {
						return nil, searched
					}
					return []graph.Copy{{Sent: noon.AddDate(99, 0, 0), Recipients: toOne(t)}}, searched
				})
				r.SetLimits(Limits{Unknown: tt.held})
				r.wait(10 * time.Second)
				r.SetLimits(Limits{Unknown: LookUp})
				if rec := r.store.get(id); !rec.Unknown || (rec.State == spool.Held) != (tt.held == HoldIt) {
					t.Fatalf("%+v", rec)
				}
				if err := r.store.Retry(t.Context(), id, time.Now(), "by anna", time.Now()); err != nil {
					t.Fatal(err)
				}
				r.came(id)
				r.wait(time.Second)
				if len(r.graph.times(id)) != 1 || len(f.times()) == 0 {
					t.Errorf("%d attempts at once, looked up at %v", len(r.graph.times(id)), f.times())
				}
				r.wait(15 * time.Minute)
				r.wantState(id, spool.Sent)
				if n := len(r.graph.times(id)); n != tt.tries {
					t.Errorf("%d attempts, looked up at %v", n, f.times())
				}
				r.stop()
			})
		})
	}
}

// TestLookupNotAllowed: without the permission to read, hold instead of retry, and an alarm.
func TestLookupNotAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		granted := false
		r, _, a, id := looking(t, func(int) ([]graph.Copy, outcome.Answer) {
			if granted {
				return nil, searched
			}
			return nil, outcome.Answer{Outcome: outcome.Hold, Scope: outcome.ScopeMailbox, HTTPStatus: 403,
				Text: "access denied", Advice: "grant Mail.Read"}
		})
		r.CheckLookup(t.Context(), []envelope.Address{addr(t, "box@contoso.com")})
		if text := a.text("lookup:contoso"); !strings.Contains(text, "grant Mail.Read") {
			t.Errorf("the check at start says %q", text)
		}
		r.wait(time.Hour)
		r.wantState(id, spool.Held)
		if holds := r.Status().Holds; len(holds) != 0 {
			t.Errorf("the mailbox is held for what it may not read: %+v", holds)
		}
		r.graph.set(func() { granted = true })
		r.CheckLookup(t.Context(), []envelope.Address{addr(t, "box@contoso.com")})
		if text := a.text("lookup:contoso"); text != "" {
			t.Errorf("the alarm goes on when the mailbox may be read: %s", text)
		}
		r.stop()
	})
}

// TestLookupFails: a search that fails for a passing reason is repeated, and one
// that meets an expired secret holds the identity like any other request.
func TestLookupFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f, _, id := looking(t, func(n int) ([]graph.Copy, outcome.Answer) {
			switch n {
			case 1:
				return nil, outcome.Answer{Outcome: outcome.Retry, HTTPStatus: 503, RetryAfter: 90 * time.Second,
					Text: "busy"}
			case 2:
				return nil, outcome.Answer{Outcome: outcome.Hold, Scope: outcome.ScopeIdentity, HTTPStatus: 401,
					Text: "the secret has expired"}
			}
			return []graph.Copy{{Sent: time.Now(), Recipients: toOne(t)}}, searched
		})
		r.wait(2*time.Minute + 40*time.Second)
		if holds := r.Status().Holds; len(holds) != 1 || holds[0].Key != "identity:contoso" {
			t.Errorf("holds: %+v", holds)
		}
		r.wait(10 * time.Minute)
		r.wantState(id, spool.Sent)
		if len(r.graph.times(id)) != 1 || len(f.at) < 3 {
			t.Errorf("%d attempts, looked up at %v", len(r.graph.times(id)), f.at)
		}
		r.stop()
	})
}

// TestLookupAlarmOfAMailboxThatIsGone: nobody is left to search it, so its alarm ends.
func TestLookupAlarmOfAMailboxThatIsGone(t *testing.T) {
	for name, change := range map[string]func(r *rig, gone, moved *bool){
		"taken out":         func(_ *rig, gone, _ *bool) { *gone = true },
		"moved":             func(_ *rig, _, moved *bool) { *moved = true },
		"lookup is no more": func(r *rig, _, _ *bool) { r.SetLimits(Limits{Unknown: Retry}) },
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, time.Second)
			a := r.reporting()
			var gone, moved bool
			f := &finder{double: r.graph, find: func(int) ([]graph.Copy, outcome.Answer) {
				return nil, outcome.Answer{Outcome: outcome.Hold, Scope: outcome.ScopeMailbox, HTTPStatus: 403,
					Text: "access denied", Advice: "grant Mail.Read"}
			}}
			r.cfg.Unknown = LookUp
			r.cfg.Route = func(m envelope.Address) (Route, bool) {
				identity := "contoso"
				if moved {
					identity = "fabrikam"
				}
				return Route{Identity: identity, Sender: r.graph, Finder: f}, !gone
			}
			r.start()
			r.CheckLookup(t.Context(), []envelope.Address{addr(t, "box@contoso.com")})
			r.wait(5 * time.Minute)
			if a.text("lookup:contoso") == "" {
				t.Errorf("%s: the alarm ended too soon", name)
			}
			r.graph.set(func() { change(r, &gone, &moved) })
			r.ProbeNow()
			r.wait(2 * time.Minute)
			if text := a.text("lookup:contoso"); text != "" {
				t.Errorf("%s: the alarm goes on: %s", name, text)
			}
			r.stop()
		})
	}
}

// TestLookupPanics: a search that breaks ends nothing but itself: it is made
// again, and in the end a person decides. The message is never sent unproven.
func TestLookupPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f, _, id := looking(t, func(int) ([]graph.Copy, outcome.Answer) { panic("broken") })
		r.CheckLookup(t.Context(), []envelope.Address{addr(t, "box@contoso.com")})
		r.wait(2*UnknownDelay + 30*time.Second)
		if rec := r.store.get(id); rec.State != spool.Deferred || !rec.Unknown {
			t.Errorf("after two panics: %+v", rec)
		}
		r.wait(time.Hour)
		if rec := r.store.get(id); rec.State != spool.Held || !rec.Unknown ||
			!strings.Contains(rec.LastText, "internal error") || !strings.Contains(rec.LastText, "release or delete") {
			t.Errorf("%+v", rec)
		}
		if len(r.graph.times(id)) != 1 || len(f.at) != 1+maxCrashes ||
			r.log.count("panic while looking a message up") != maxCrashes {
			t.Errorf("%d attempts, looked up at %v", len(r.graph.times(id)), f.at)
		}
		r.stop()
	})
}

// TestLookupPanicsOnce: one panic costs a minute.
func TestLookupPanicsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, _, id := looking(t, func(n int) ([]graph.Copy, outcome.Answer) {
			if n == 1 {
				panic("broken")
			}
			return []graph.Copy{{Sent: time.Now(), Recipients: toOne(t)}}, searched
		})
		r.wait(5 * time.Minute)
		r.wantState(id, spool.Sent)
		if len(r.graph.times(id)) != 1 {
			t.Errorf("%d attempts", len(r.graph.times(id)))
		}
		r.stop()
	})
}

// TestLookupAloneRefused: a search that meets a refusal again and again while
// other messages pass holds its own message alone, and not the mailbox.
func TestLookupAloneRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f, _, id := looking(t, func(int) ([]graph.Copy, outcome.Answer) {
			return nil, outcome.Answer{Outcome: outcome.Hold, Scope: outcome.ScopeMailbox, HTTPStatus: 404,
				Text: "no such mailbox"}
		})
		r.graph.set(func() {
			r.graph.answer = func(_ envelope.Address, which envelope.QueueID, n int) outcome.Answer {
				if which == id && n == 0 {
					return outcome.Answer{Outcome: outcome.Unknown, HTTPStatus: 504, Text: "timed out"}
				}
				return sent
			}
		})
		for range 6 * 60 { // mail keeps coming
			r.wait(10 * time.Second)
			r.arrive(addr(t, "box@contoso.com"))
		}
		r.wait(time.Minute)
		r.wantState(id, spool.Held)
		if n := r.log.count("hold begins"); n != 1 || len(r.Status().Holds) != 0 {
			t.Errorf("the mailbox was held %d times, looked up at %v", n, f.at)
		}
		r.stop()
	})
}

// TestLookupSpendsNoProbe: messages that were found leave the turn to probe a
// hold to the next one, for looking proves nothing about sending.
func TestLookupSpendsNoProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		box := addr(t, "box@contoso.com")
		f := &finder{double: r.graph, find: func(int) ([]graph.Copy, outcome.Answer) {
			return []graph.Copy{{Sent: time.Now(), Recipients: toOne(t)}}, searched
		}}
		route := r.cfg.Route
		r.cfg.Unknown = LookUp
		r.cfg.Route = func(m envelope.Address) (Route, bool) {
			x, ok := route(m)
			x.Finder = f
			return x, ok
		}
		if err := r.store.SetHold(t.Context(), spool.Hold{Key: hold.MailboxKey(box), Mailbox: box, Identity: "contoso",
			Since: time.Now()}); err != nil {
			t.Fatal(err)
		}
		for range 8 {
			id := r.from(box, clientHeader)
			r.store.Edit(id, func(m *spool.Record) { m.Unknown, m.Attempts = true, 1 })
		}
		time.Sleep(time.Second)
		last := r.from(box, clientHeader)
		r.store.Edit(last, func(m *spool.Record) { m.LastAttempt = time.Now() })
		r.start()
		r.wait(10 * time.Minute)
		if n := r.store.Counts()[spool.Sent]; n != 9 {
			t.Errorf("%d of 9 sent; holds: %+v", n, r.Status().Holds)
		}
		r.stop()
	})
}
