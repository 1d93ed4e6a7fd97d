package delivery

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/delivery/pace"
	"graphrelay/relay/envelope"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

// unavailable is a 503 without a Retry-After.
func unavailable() outcome.Answer {
	return outcome.Answer{Outcome: outcome.Retry, Scope: outcome.ScopeMailbox, HTTPStatus: 503,
		Status: reply.Enhanced{4, 3, 2}, Text: "the service is unavailable for now"}
}

func everyMailbox(envelope.Address) bool { return true }

// TestProofOf: what an answer shows of the service.
func TestProofOf(t *testing.T) {
	row := func(o outcome.Outcome, s outcome.Scope, http int, status ...int) outcome.Answer {
		return outcome.Answer{Outcome: o, Scope: s, HTTPStatus: http, Status: reply.Enhanced(status)}
	}
	const message, mailbox, identity = outcome.ScopeMessage, outcome.ScopeMailbox, outcome.ScopeIdentity
	for name, c := range map[string]struct {
		a    outcome.Answer
		want proof
	}{
		"202":                        {row(outcome.Delivered, message, 202, 2, 0, 0), answers},
		"refused for good":           {row(outcome.Bounce, message, 400, 5, 6, 0), answers},
		"access denied":              {row(outcome.Hold, mailbox, 403, 4, 7, 1), answers},
		"throttled":                  {row(outcome.Retry, mailbox, 429, 4, 7, 0), answers},
		"bandwidth limit":            {row(outcome.Retry, mailbox, 509, 4, 7, 0), answers},
		"logins throttled":           {row(outcome.Retry, identity, 400, 4, 7, 0), answers},
		"503":                        {row(outcome.Retry, mailbox, 503, 4, 3, 2), silent},
		"500 that may follow a sent": {doubtful, silent},
		"Entra has a failure":        {row(outcome.Retry, identity, 502, 4, 3, 0), silent},
		"no connection":              {row(outcome.Retry, identity, 0, 4, 4, 1), silent},
		"504":                        {row(outcome.Unknown, message, 504, 4, 4, 7), silent},
		"lost after the body":        {row(outcome.Unknown, message, 0, 4, 4, 2), silent},
		"the mailbox moves":          {row(outcome.Retry, mailbox, 400, 4, 3, 0), nothing},
		"a conflict of one message":  {row(outcome.Retry, message, 409, 4, 3, 0), nothing},
		"the message cannot be read": {row(outcome.Retry, message, 0, 4, 3, 0), nothing},
		"the relay stops":            {row(outcome.Retry, message, 0, 4, 3, 2), nothing},
		"a panic":                    {row(outcome.Unknown, message, 0, 4, 3, 0), nothing},
		"held without asking Graph":  {row(outcome.Hold, message, 0, 5, 3, 4), nothing},
	} {
		if got := proofOf(c.a); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestOutage: what is known of it, from the first attempt without an answer to the
// next answer, whichever mailbox gets it.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		box, other := addr(t, "a@contoso.com"), addr(t, "b@contoso.com")
		away := true
		r.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer {
			if away {
				return unavailable()
			}
			return sent
		}
		r.start()
		r.wait(time.Hour)
		if o := r.Status().Outages; len(o) != 0 {
			t.Errorf("without mail: %+v", o)
		}
		began := time.Now()
		first := r.arrive(box)
		r.wait(time.Hour)
		o := r.Status().Outages
		if len(o) != 1 || o[0].Identity != "contoso" || !o[0].Since.Equal(began) || o[0].Attempts != r.graph.count() ||
			o[0].Last.HTTPStatus != 503 {
			t.Fatalf("%+v after %d attempts", o, r.graph.count())
		}
		r.graph.set(func() {
			if quiet := time.Since(r.graph.began) - r.graph.tries[len(r.graph.tries)-1].at; quiet > pace.MaxTrouble {
				t.Errorf("the last attempt was %v ago", quiet)
			}
		})
		r.graph.set(func() { away = false })
		second := r.arrive(other)
		r.wait(time.Second)
		r.wantState(second, spool.Sent)
		r.wantState(first, spool.Sent) // another mailbox has found out that the service answers
		if o := r.Status().Outages; len(o) != 0 {
			t.Errorf("after an answer: %+v", o)
		}
		r.graph.set(func() { away = true })
		gone := r.arrive(box)
		r.wait(time.Second)
		if o := r.Status().Outages; len(o) != 1 || o[0].Attempts != 1 {
			t.Errorf("a new outage: %+v", o)
		}
		if err := r.store.Delete(t.Context(), gone, "", time.Now()); err != nil {
			t.Fatal(err)
		}
		r.wait(10 * time.Minute)
		if o := r.Status().Outages; len(o) != 0 {
			t.Errorf("without mail again: %+v", o)
		}
		again := time.Now() // nobody knows how it was meanwhile
		r.arrive(box)
		r.wait(time.Minute)
		if o := r.Status().Outages; len(o) != 1 || o[0].Since.Before(again) {
			t.Errorf("with mail again: %+v, want one since %v", o, again)
		}
		r.stop()
	})
}

// TestWhy: the cause of an outage is that of the service, not that of the last message.
func TestWhy(t *testing.T) {
	const wait = "; nothing to do, unless it lasts: see Service health in the Microsoft 365 admin center"
	answered, unanswered := unavailable(), outcome.Answer{Outcome: outcome.Unknown, Text: "it may have been sent"}
	answered.Detail = "its own words"
	for _, c := range []struct {
		last outcome.Answer
		want string
	}{
		{answered, "Microsoft 365 is out of order: it answers 503" + wait + " [its own words]"},
		{unanswered, "Microsoft 365 does not answer in time" + wait},
		{unconnected(), unconnected().Cause().String()},
	} {
		if got := (Outage{Last: c.last}).Why(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestTryNow: it ends the pauses that follow failures, of the lane and of its
// messages. A time that Microsoft named stays and is returned.
func TestTryNow(t *testing.T) {
	const asked = 20 * time.Minute
	quota := outcome.Answer{Outcome: outcome.Retry, Scope: outcome.ScopeMailbox, HTTPStatus: 429,
		Status: reply.Enhanced{4, 7, 0}, RetryAfter: asked}
	later := unavailable()
	later.RetryAfter = asked
	ofIdentity := quota
	ofIdentity.Scope = outcome.ScopeIdentity
	for name, c := range map[string]struct {
		answer outcome.Answer
		tried  bool
		stays  time.Duration
	}{
		"503":                        {unavailable(), true, 0},
		"no connection":              {unconnected(), true, 0},
		"503 with a Retry-After":     {later, false, asked},
		"quota":                      {quota, false, asked},
		"throttling of the identity": {ofIdentity, false, asked},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 0)
				box := addr(t, "a@contoso.com")
				r.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer { return c.answer }
				for range 9 {
					r.store.put(box, box)
				}
				r.start()
				r.wait(2 * asked)
				last := func() (ago time.Duration) {
					r.graph.set(func() { ago = time.Since(r.graph.began) - r.graph.tries[len(r.graph.tries)-1].at })
					return ago
				}
				for last() != 2*time.Second {
					r.wait(time.Second) // two seconds after an attempt the lane pauses for long
				}
				r.graph.set(func() { r.graph.answer = nil })
				before := r.graph.count()
				paused := r.TryNow(everyMailbox)
				r.wait(time.Second)
				if tried := r.graph.count() > before; tried != c.tried {
					t.Errorf("tried: %v; paused %+v", tried, r.Status().Lanes)
				}
				if n := r.store.Counts()[spool.Sent]; c.tried && n != 9 {
					t.Errorf("%d sent of 9", n)
				}
				switch {
				case c.stays == 0 && len(paused) != 0:
					t.Errorf("stays: %+v", paused)
				case c.stays > 0 && (len(paused) != 1 || paused[0].Mailbox != box.String() ||
					paused[0].By != state.BackoffMicrosoft ||
					time.Until(paused[0].Until) != c.stays-3*time.Second):
					t.Errorf("stays: %+v, want one of %v", paused, c.stays-3*time.Second)
				}
				r.stop()
			})
		})
	}
}

// TestTryNowLeavesDoubt: what may have been sent keeps its delay, for the service may
// be about to send it.
func TestTryNowLeavesDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		r.graph.answer = func(_ envelope.Address, _ envelope.QueueID, n int) outcome.Answer {
			return outcome.Answer{Outcome: outcome.Unknown, HTTPStatus: 504, Status: reply.Enhanced{4, 4, 7}}
		}
		r.start()
		id := r.arrive(addr(t, "a@contoso.com"))
		r.wait(2 * time.Second)
		r.TryNow(everyMailbox)
		r.wait(UnknownDelay - 3*time.Second)
		if n := len(r.graph.times(id)); n != 1 {
			t.Errorf("%d attempts within the delay", n)
		}
		r.stop()
	})
}

// TestTryNowFreesANewcomer: a mailbox whose mail was deleted in the outage has no
// lane, and its pause is remembered all the same.
func TestTryNowFreesANewcomer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		box := addr(t, "a@contoso.com")
		r.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer { return unavailable() }
		for range 10 {
			r.store.put(box, box)
		}
		r.start()
		r.wait(time.Hour)
		for id := range r.graph.seen {
			if err := r.store.Delete(t.Context(), id, "", time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		for len(r.Status().Lanes) > 0 {
			r.wait(time.Second)
		}
		if r.paces[box.Key()].PausedUntil(time.Now()).IsZero() {
			t.Fatal("the mailbox does not pause")
		}
		r.graph.set(func() { r.graph.answer = nil })
		r.TryNow(everyMailbox)
		id := r.arrive(box)
		r.wait(time.Second)
		r.wantState(id, spool.Sent)
		r.stop()
	})
}

// TestALoginEndsPauses: logins that work again make the mailboxes of the identity
// try, and those of no other.
func TestALoginEndsPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		box, other := addr(t, "a@contoso.com"), addr(t, "b@fabrikam.com")
		r.cfg.Route = func(m envelope.Address) (Route, bool) {
			return Route{Identity: m.Key()[2:], Sender: r.graph}, true
		}
		r.graph.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer { return unconnected() }
		r.start()
		mine, theirs := r.arrive(box), r.arrive(other)
		r.wait(70 * time.Minute)
		r.graph.set(func() { r.graph.answer = nil })
		r.LoggedIn("contoso.com", true, false)
		r.wait(time.Second)
		r.wantState(mine, spool.Sent)
		r.wantState(theirs, spool.Deferred)
		if n := len(r.Status().Outages); n != 1 {
			t.Errorf("%d outages", n)
		}
		r.wait(pace.MaxTrouble)
		r.wantState(theirs, spool.Sent)
		r.stop()
	})
}

// TestNoStormOfHints: a mailbox that always gets 503 while another one sends is not
// tried each time that the other one passes.
func TestNoStormOfHints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		sick, well := addr(t, "a@contoso.com"), addr(t, "b@contoso.com")
		var at []string
		r.graph.answer = func(m envelope.Address, _ envelope.QueueID, _ int) outcome.Answer {
			if m.Equal(sick) {
				at = append(at, fmt.Sprint(time.Since(r.graph.began).Truncate(time.Second)))
				return unavailable()
			}
			return sent
		}
		for range 3 {
			r.store.put(sick, sick)
		}
		r.start()
		for range 10 * 60 * 5 { // ten minutes
			r.arrive(well)
			r.wait(200 * time.Millisecond)
		}
		if r.graph.set(func() {}); len(at) > 30 {
			t.Errorf("%d attempts: %v", len(at), at)
		}
		r.stop()
	})
}
