//go:build postgres

package postgres

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/postgres/pgtest"
)

// A node that was cut off for longer than its lease writes and begins nothing when it is back:
// another one has its lanes. What the first had claimed stays as it is, whatever an operator
// wants, until the first cannot be sending it any more.
func TestNodeCutOff(t *testing.T) {
	t.Parallel() // it waits for times of the database
	database := server.Database(t)
	proxy, url := pgtest.NewProxy(t, database)
	cut := open(t, Options{URL: url})
	first, second := acceptSoon(t, cut), acceptSoon(t, cut)
	taken, err := claim(cut)
	must(t, err)
	await(t, "the lease to be confirmed", func() bool { return cut.MayBegin() == nil })
	must(t, cut.Settle(t.Context(), spool.Settlement{ID: second.ID, Attempt: 1, State: spool.Sent, At: time.Now()}))
	proxy.Silence(true)
	other := open(t, Options{URL: database, RequestLimit: hour})
	await(t, "the other to have the lane", func() bool { return other.Mine(box) })
	if len(taken) != 2 {
		t.Errorf("%d messages were claimed", len(taken))
	}
	if err := cut.MayBegin(); !errors.Is(err, spool.ErrUnhealthy) { // it cannot know of the other yet
		t.Errorf("begins while another node has the lane: %v", err)
	}
	await(t, "the first to know", func() bool { return errors.Is(cut.Health(), spool.ErrUnhealthy) })
	proxy.Silence(false)
	proxy.Cut()
	wantRunningElsewhere(t, other, first)
	if err := accept(cut, newMessage(), "body"); !errors.Is(err, spool.ErrUnhealthy) {
		t.Errorf("accepted under a dead token: %v", err)
	}
	await(t, "the outcome to be recorded", func() bool {
		return cut.Settle(t.Context(), spool.Settlement{ID: first.ID, Attempt: 1, State: spool.Sent, At: time.Now(),
			Status: reply.Enhanced{2, 0, 0}}) == nil
	})
	if r, err := other.Get(t.Context(), first.ID); err != nil || r.State != spool.Sent {
		t.Errorf("what was sent under a dead token is %s, %v", r.State, err)
	}
	if err := cut.Unclaim(t.Context(), first.ID, 1, time.Now()); err == nil {
		t.Error("taken back under a dead token")
	}
	select {
	case <-cut.Displaced():
	case <-time.After(patience):
		t.Error("the first node does not know that it is displaced")
	}
	await(t, "its health to say so", func() bool {
		return strings.Contains(cut.Health().Error(), "Another node has the lanes of this one")
	})
	if err := cut.MayBegin(); !errors.Is(err, spool.ErrDisplaced) {
		t.Errorf("begins under a dead token: %v", err)
	}
	wantQueue(t, other, first, second, acceptSoon(t, other))
	if taken, err := claim(other); err != nil || len(taken) != 1 {
		t.Errorf("claimed %d, %v; the message of the first node may be under way", len(taken), err)
	}
}

func hour(int64) time.Duration { return time.Hour }

// wantRunningElsewhere fails unless a message stays Sending whatever anybody wants.
func wantRunningElsewhere(t *testing.T, s *Store, m spool.Message) {
	t.Helper()
	await(t, "the lane to be taken over", func() bool { return s.Elsewhere(box) > 0 })
	r, err := s.Get(t.Context(), m.ID)
	must(t, err)
	if r.State != spool.Sending || r.Attempts != 1 || r.Crashes != 0 || s.Elsewhere(box) != 1 {
		t.Errorf("the attempt of the first node: %+v, %d of its kind", r, s.Elsewhere(box))
	}
	now := time.Now()
	for what, err := range map[string]error{
		"retry":  s.Retry(t.Context(), m.ID, now, "", now),
		"move":   s.Move(t.Context(), m.ID, spool.Held, now, "", now),
		"delete": s.Delete(t.Context(), m.ID, "", now),
	} {
		if !errors.Is(err, spool.ErrState) {
			t.Errorf("%s: %v", what, err)
		}
	}
	later := now.Add(24 * time.Hour)
	for _, c := range []spool.Claim{{Now: later}, {Now: later, Probe: true}, {Now: later, TriedBefore: later}} {
		c.Mailbox, c.Limit = box, 10
		if taken, err := s.Claim(t.Context(), c); err != nil || len(taken) > 0 {
			t.Errorf("%+v claimed %v, %v", c, taken, err)
		}
	}
}

// A message of a node that is gone comes back when its request cannot run any more, its
// outcome unknown; and so it does after yet another node has taken over.
func TestInterruptedComesBack(t *testing.T) {
	t.Parallel() // it waits for times of the database
	database := server.Database(t)
	first := open(t, Options{URL: database})
	m := acceptSoon(t, first)
	_, err := claim(first)
	must(t, err)
	must(t, first.Close())
	second := open(t, Options{URL: database, RequestLimit: hour})
	wantRunningElsewhere(t, second, m)
	must(t, second.Close())
	began := time.Now()
	third := open(t, Options{URL: database, RequestLimit: func(size int64) time.Duration {
		if size != int64(len("body")) {
			t.Errorf("asked for the time of %d bytes", size)
		}
		return 5*time.Second - trustLease
	}})
	await(t, "the lane to be taken over", func() bool { return third.Elsewhere(box) > 0 })
	await(t, "the message to come back", func() bool { return third.Elsewhere(box) == 0 })
	if waited := time.Since(began); waited < 5*time.Second {
		t.Errorf("it came back after %s", waited)
	}
	r, err := third.Get(t.Context(), m.ID)
	must(t, err)
	if r.State != spool.Deferred || !r.Unknown || r.Crashes != 1 || r.Attempts != 1 || r.NextAttempt.After(time.Now()) {
		t.Errorf("it came back as %+v", r)
	}
	if taken, err := claim(third); err != nil || len(taken) != 1 || taken[0].Attempts != 2 {
		t.Errorf("claimed %+v, %v", taken, err)
	}
}

// A server that its standby does not answer confirms no lease: the standby may have been
// made the server, and another node may have the queue there.
func TestRenewalWaitsForStandby(t *testing.T) {
	t.Parallel() // it waits for times of the database
	own := pgtest.For(t)
	standby := own.Standby(t)
	s := open(t, Options{URL: own.Database(t)})
	await(t, "the lease to be confirmed", func() bool { return s.MayBegin() == nil })
	t.Cleanup(standby.Thaw) // whatever happens, for the store could not be closed
	standby.Freeze()
	await(t, "the lease to be in doubt", func() bool { return errors.Is(s.MayBegin(), spool.ErrUnhealthy) })
	standby.Thaw()
	await(t, "the lease to be confirmed", func() bool { return s.MayBegin() == nil })
	acceptSoon(t, s)
}

// What a doubtful commit has stored is not removed once somebody has tried it.
func TestDoubtfulMessageThatWasTried(t *testing.T) {
	database := server.Database(t)
	proxy, url := pgtest.NewProxy(t, database)
	s := open(t, Options{URL: url})
	first := acceptSoon(t, s)
	s.host.session.limit = 0
	proxy.LoseAnswer()
	proxy.Refuse(true)
	doubtful := newMessage()
	if err := accept(s, doubtful, "body"); !errors.Is(err, spool.ErrUnhealthy) {
		t.Errorf("a doubtful commit: %v", err)
	}
	server.Exec(t, pgtest.Name(database), "UPDATE graphrelay.message SET attempts = 1 WHERE id = '"+
		string(doubtful.ID)+"'")
	proxy.Refuse(false)
	await(t, "the store to be healthy", func() bool { return s.Health() == nil })
	wantQueue(t, s, first, doubtful)
}

// A node that learns that a message was sent when another one has its lane records it: the message
// is not sent again or, where it was tried since, its history says so. What was not sent changes nothing.
func TestLateAnswers(t *testing.T) {
	t.Parallel() // it waits for times of the database
	database := server.Database(t)
	soon := func(int64) time.Duration { return 3*time.Second - trustLease }
	gone, other := open(t, Options{URL: database}), open(t, Options{URL: database, RequestLimit: soon})
	sent, queued, tried := acceptSoon(t, gone), acceptSoon(t, gone), acceptSoon(t, gone)
	taken, err := claim(gone)
	must(t, err)
	if len(taken) != 3 {
		t.Fatalf("claimed %d", len(taken))
	}
	gone.host.lease.stop()
	const expired = "UPDATE graphrelay.node_lease SET until = '-infinity' WHERE id = %d"
	server.Exec(t, pgtest.Name(database), fmt.Sprintf(expired, gone.host.lease.id))
	await(t, "the lane to be taken over", func() bool { return other.Elsewhere(box) == 3 })
	await(t, "the node to know", func() bool { return errors.Is(accept(gone, newMessage(), ""), spool.ErrUnhealthy) })
	answer := spool.Settlement{ID: sent.ID, Attempt: 1, State: spool.Sent, At: time.Now()}
	must(t, gone.Settle(t.Context(), answer))
	before, err := other.History(t.Context(), sent.ID)
	must(t, err)
	must(t, gone.Settle(t.Context(), answer)) // as where the answer to the commit was lost
	if after, err := other.History(t.Context(), sent.ID); err != nil || len(after) != len(before) {
		t.Errorf("settled twice: %+v, %v", after, err)
	}
	await(t, "the others to be queued again", func() bool { return other.Elsewhere(box) == 0 })
	answer.ID = queued.ID
	must(t, gone.Settle(t.Context(), answer))
	again, err := claim(other)
	must(t, err)
	if len(again) != 1 || again[0].ID != tried.ID {
		t.Fatalf("tried again: %+v", again)
	}
	answer.ID = tried.ID
	must(t, gone.Settle(t.Context(), answer))
	answer.State = spool.Deferred
	if err := gone.Settle(t.Context(), answer); err == nil {
		t.Error("a late answer that it was not sent is recorded")
	}
	for _, m := range []spool.Message{sent, queued} {
		if r, err := other.Get(t.Context(), m.ID); err != nil || r.State != spool.Sent {
			t.Errorf("%+v, %v", r, err)
		}
	}
	r, err := other.Get(t.Context(), tried.ID)
	must(t, err)
	history, err := other.History(t.Context(), tried.ID)
	must(t, err)
	if last := history[len(history)-1]; r.State != spool.Sending || last.Kind != spool.EventSent || last.Attempt != 1 ||
		!strings.HasPrefix(last.Text, "the answer came late") {
		t.Errorf("%+v, its history ends with %+v", r, last)
	}
	must(t, other.Settle(t.Context(), spool.Settlement{ID: tried.ID, Attempt: 2, State: spool.Sent, At: time.Now()}))
	await(t, "the counts to be right", func() bool {
		stats, err := other.Stats(t.Context())
		return err == nil && stats.Queued+stats.Deferred+stats.Sending == 0
	})
}
