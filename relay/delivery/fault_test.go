package delivery

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/spooltest"
)

// TestStop: a stop in the middle leaves nothing Active that was not under way
// for longer than the grace period, and records every outcome.
func TestStop(t *testing.T) {
	for _, tt := range []struct {
		name    string
		latency time.Duration
		within  time.Duration // Run must end
		unknown int
	}{
		{"attempts end in time", 2 * time.Second, 2 * time.Second, 0},
		{"attempts are cancelled", time.Hour, 21 * time.Second, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, tt.latency)
				r.store.slow(10 * time.Millisecond)
				box := addr(t, "a@contoso.com")
				for range 100 {
					r.store.put(box, box)
				}
				r.start()
				r.wait(5 * time.Second)
				before := r.graph.count()
				began := time.Now()
				r.stop()
				if d := time.Since(began); d > tt.within {
					t.Errorf("took %v", d)
				}
				if r.graph.count() != before {
					t.Error("an attempt began after the stop")
				}
				n := r.store.Counts()
				if n[spool.Sending] != 0 || n[spool.Sent]+n[spool.Queued] != 100 {
					t.Errorf("%v", n)
				}
				unknown, attempts := 0, 0
				for _, m := range r.store.All() {
					attempts += m.Attempts
					if m.Unknown {
						unknown++
					}
				}
				if unknown != tt.unknown || attempts != before {
					t.Errorf("%d unknown, %d attempts recorded, %d made", unknown, attempts, before)
				}
				id := r.arrive(box) // too late: nothing happens
				r.wait(time.Hour)
				r.wantState(id, spool.Queued)
			})
		})
	}
}

// TestStopWithSickStore ends all the same, and says what it leaves.
func TestStopWithSickStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		box := addr(t, "a@contoso.com")
		r.store.put(box, box)
		r.start()
		r.store.disk(errDisk)
		r.wait(10 * time.Second)
		r.cancel()
		if err := <-r.ended; !errors.Is(err, ErrNotStopped) {
			t.Errorf("Run = %v", err)
		}
	})
}

// TestSickStore: the outcome of an attempt waits until it can be recorded, and
// the message is not tried meanwhile.
func TestSickStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		box := addr(t, "a@contoso.com")
		r.store.disk(errDisk)
		r.start() // cannot even read
		id := r.store.put(box, box)
		r.wait(time.Minute)
		r.store.disk(nil)
		r.wait(31 * time.Second)
		r.wantState(id, spool.Sent)

		id = r.arrive(box)
		r.wait(500 * time.Millisecond) // its request is under way
		r.store.disk(errDisk)
		late := r.arrive(box)
		r.wait(time.Hour)
		r.wantState(id, spool.Sending)
		if n := len(r.graph.times(id)); n != 1 {
			t.Errorf("%d attempts", n)
		}
		r.store.disk(nil)
		r.wait(35 * time.Second)
		r.wantState(id, spool.Sent)
		r.wantState(late, spool.Sent)
		if n := len(r.graph.times(id)); n != 1 {
			t.Errorf("%d attempts", n)
		}
		r.stop()
	})
}

// TestMovedAway: a message that an operator settled is let go.
func TestMovedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		r.store.failIf(func(op string, _ envelope.QueueID) error {
			if op == "settle" {
				return spool.ErrNotFound
			}
			return nil
		})
		r.start()
		r.arrive(addr(t, "a@contoso.com"))
		r.wait(time.Minute)
		if n := len(r.Status().Lanes); n != 0 {
			t.Errorf("%d lanes left", n)
		}
		r.stop()
	})
}

// TestPoison: a panic costs one attempt of one message, three hold it; its
// text reaches no log.
func TestPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		box := addr(t, "a@contoso.com")
		poison := r.store.put(box, box)
		r.graph.answer = func(_ envelope.Address, id envelope.QueueID, _ int) outcome.Answer {
			if id == poison {
				panic("body of the message")
			}
			return sent
		}
		for range 10 {
			r.store.put(box, box)
		}
		r.start()
		r.wait(time.Hour)
		r.wantState(poison, spool.Held)
		if n := len(r.graph.times(poison)); n != maxCrashes {
			t.Errorf("%d attempts", n)
		}
		if n := r.store.Counts()[spool.Sent]; n != 10 {
			t.Errorf("%d sent", n)
		}
		if r.log.count("panic while sending") != 3 || r.log.count("body of the message") != 0 {
			t.Error("panics are to be logged, without their text")
		}
		if len(r.panics) != 0 {
			t.Errorf("left: %v", r.panics)
		}
		r.stop()
	})
}

// TestUnknownOutcome: retried later and marked, or held.
func TestUnknownOutcome(t *testing.T) {
	for _, treatment := range []UnknownOutcome{Retry, HoldIt} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 0)
			r.cfg.Unknown = treatment
			r.graph.answer = func(_ envelope.Address, _ envelope.QueueID, n int) outcome.Answer {
				if n == 0 {
					return outcome.Answer{Outcome: outcome.Unknown, HTTPStatus: 504, Text: "504"}
				}
				return sent
			}
			r.start()
			id := r.arrive(addr(t, "a@contoso.com"))
			r.wait(time.Hour)
			times := r.graph.times(id)
			if treatment == HoldIt {
				r.wantState(id, spool.Held)
				if rec := r.store.get(id); len(times) != 1 || !rec.Unknown {
					t.Errorf("tried at %v, %+v", times, rec)
				}
			} else {
				r.wantState(id, spool.Sent)
				if len(times) != 2 || times[1] != time.Minute {
					t.Errorf("tried at %v", times)
				}
				if r.log.count("possible_duplicate=true") != 2 { // deferred, and the next attempt
					t.Error("a possible duplicate is to be logged")
				}
			}
			r.stop()
		})
	}
}

// TestInterrupted: attempts that a crash interrupted are tried after a delay or
// held, as configured; a release by the operator counts.
func TestInterrupted(t *testing.T) {
	for _, treatment := range []UnknownOutcome{Retry, HoldIt} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 0)
			r.cfg.Unknown = treatment
			box := addr(t, "a@contoso.com")
			crashed := func(n int) func(*spool.Record) {
				return func(m *spool.Record) { m.Crashes, m.Attempts, m.Unknown = n, n, true }
			}
			once, thrice := r.store.put(box, box, crashed(1)), r.store.put(box, box, crashed(3))
			fresh := r.store.put(box, box)
			r.start()
			r.wait(2 * time.Second)
			r.wantState(fresh, spool.Sent)
			r.wantState(thrice, spool.Held)
			r.wait(10 * time.Minute)
			if treatment == Retry {
				r.wantState(once, spool.Sent)
				if got := r.graph.times(once); len(got) != 1 || got[0] < time.Minute {
					t.Errorf("tried at %v", got)
				}
			} else {
				r.wantState(once, spool.Held)
			}
			r.again(thrice, "operator")
			r.wait(time.Second)
			r.wantState(thrice, spool.Sent)
			r.stop()
		})
	}
}

// TestDamaged: a message whose stored bytes are not what they were, whenever they are
// read for minutes, is set aside with an alarm, and its siblings go on. One that
// is as it was when it is read again is sent.
func TestDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		box := addr(t, "a@contoso.com")
		var intact atomic.Bool
		r.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer {
			if intact.Load() {
				return outcome.Answer{Outcome: outcome.Delivered}
			}
			return outcome.Answer{Outcome: outcome.Unknown, Text: "cannot read"}
		}
		r.store.Inject(func(f *spooltest.Faults) { f.OpenErr = spool.ErrDamaged })
		id := r.store.put(box, box)
		r.start()
		r.wait(time.Minute)
		r.wantState(id, spool.Deferred)
		r.store.Inject(func(f *spooltest.Faults) { f.OpenErr = nil })
		intact.Store(true)
		r.wait(time.Minute)
		r.wantState(id, spool.Sent)

		intact.Store(false)
		r.store.Inject(func(f *spooltest.Faults) { f.OpenErr = spool.ErrDamaged })
		id = r.arrive(box)
		r.wait(3 * time.Minute)
		r.wantState(id, spool.Damaged)
		if r.log.count("level=ERROR msg=\"a stored message is damaged") != 1 {
			t.Error("no alarm")
		}
		r.store.Inject(func(f *spooltest.Faults) { f.OpenErr = errDisk })
		id = r.arrive(box)
		r.wait(time.Second)
		r.wantState(id, spool.Deferred)
		if rec := r.store.get(id); rec.Unknown || !strings.Contains(rec.LastText, "cannot be read") {
			t.Errorf("%+v", rec)
		}
		r.stop()
	})
}

// TestReload: another identity, more slots and a smaller limit take effect
// without a restart.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		var route atomic.Pointer[Route]
		route.Store(&Route{Identity: "old", Sender: r.graph, MaxConcurrent: 1, IdentityConcurrent: 1})
		r.cfg.Route = func(envelope.Address) (Route, bool) { return *route.Load(), true }
		boxes := []envelope.Address{addr(t, "a@contoso.com"), addr(t, "b@contoso.com"), addr(t, "c@contoso.com")}
		for range 30 {
			for _, b := range boxes {
				r.store.put(b, b)
			}
		}
		r.start()
		r.wait(10500 * time.Millisecond)
		if r.graph.most[""] != 1 {
			t.Errorf("%d at once", r.graph.most[""])
		}
		route.Store(&Route{Identity: "new", Sender: r.graph, MaxConcurrent: 4, IdentityConcurrent: 12})
		r.ProbeNow()
		r.wait(12 * time.Second)
		if n := r.store.Counts()[spool.Sent]; n != 90 {
			t.Errorf("%d sent", n)
		}
		for _, id := range []string{"old", "new"} {
			if l := r.identities[id].Load(); l.Busy != 0 || l.Waiting != 0 {
				t.Errorf("%s: %d slots lost, %d in line", id, l.Busy, l.Waiting)
			}
		}
		r.stop()
	})
}

// TestLogLine: one line per event with the facts that the operator searches for.
func TestLogLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Second)
		var mu sync.Mutex
		var kinds []spool.EventKind
		r.cfg.OnEvent = func(e Event) {
			mu.Lock()
			defer mu.Unlock()
			kinds = append(kinds, e.Kind)
		}
		r.start()
		r.arrive(addr(t, "a@contoso.com"))
		r.wait(time.Minute)
		want := "msg=sent queue_id=0000000000000001 message_id=<0000000000000001@test> client=local " +
			"mailbox=a@contoso.com recipients=0 size=4 attempt=1 duration=1s request_id=req http_status=202"
		if r.log.count(want) != 1 || r.log.count("msg=attempt queue_id=") != 1 || r.log.count("\n") != 2 {
			t.Errorf("log:\n%s", r.log.b.String())
		}
		if len(kinds) != 2 || kinds[0] != spool.Attempted || kinds[1] != spool.EventSent {
			t.Errorf("events %v", kinds)
		}
		r.stop()
	})
}

// TestBodyErrors: an error of the store counts only where no try had sent all,
// and not when the transport had closed the body.
func TestBodyErrors(t *testing.T) {
	open := func(r ...io.Reader) *body {
		i := 0
		return &body{size: 4, open: func() (io.ReadSeekCloser, error) {
			i++
			return struct {
				io.ReadCloser
				io.Seeker
			}{io.NopCloser(r[i-1]), nil}, nil
		}}
	}
	read := func(b *body, closeFirst bool) {
		r, err := b.Open()
		if err != nil {
			t.Fatal(err)
		}
		if closeFirst {
			r.Close()
		}
		_, _ = io.Copy(io.Discard, r)
		r.Close()
	}
	whole, broken := func() io.Reader { return strings.NewReader("body") }, iotest.ErrReader(errDisk)

	b := open(broken, whole())
	if read(b, false); !errors.Is(b.failure(), errDisk) {
		t.Errorf("first try: %v", b.failure())
	}
	if read(b, false); b.failure() != nil {
		t.Errorf("second try sent all: %v", b.failure())
	}
	b = open(broken)
	if read(b, true); b.failure() != nil {
		t.Errorf("closed by the transport: %v", b.failure())
	}
	b = open(io.MultiReader(strings.NewReader("bo"), iotest.ErrReader(spool.ErrDamaged)))
	if read(b, false); !errors.Is(b.failure(), spool.ErrDamaged) {
		t.Errorf("damaged: %v", b.failure())
	}
	b = open(iotest.ErrReader(context.Canceled))
	if read(b, false); b.failure() != nil {
		t.Errorf("cancelled: %v", b.failure())
	}
}
