package delivery

import (
	"testing"
	"time"

	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

func TestDecide(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	young := spool.Record{Message: spool.Message{Accepted: now.Add(-time.Hour)}, Attempts: 1}
	rec := func(change func(*spool.Record)) spool.Record {
		r := young
		change(&r)
		return r
	}
	in := func(d time.Duration) time.Time { return now.Add(d) }
	rules := Rules{MaxAge: 5 * day}
	fixed := rec(func(r *spool.Record) { r.ConfiguredFrom = true })
	st := reply.Enhanced{5, 1, 3}
	doubt := outcome.Answer{Outcome: outcome.Retry, Scope: outcome.ScopeMailbox, HTTPStatus: 500, Doubt: true}

	for _, tt := range []struct {
		name  string
		rec   spool.Record
		ans   outcome.Answer
		rules Rules
		want  Decision
	}{
		{"sent", young, outcome.Answer{Outcome: outcome.Delivered, Text: "202"}, rules,
			Decision{State: spool.Sent, Event: spool.EventSent, Text: "202", Passed: true}},
		{"sent although too old", rec(func(r *spool.Record) { r.Accepted = in(-9 * day) }),
			outcome.Answer{Outcome: outcome.Delivered}, rules,
			Decision{State: spool.Sent, Event: spool.EventSent, Passed: true}},
		{"bounce keeps its body", young, outcome.Answer{Outcome: outcome.Bounce, Status: st, Text: "no such recipient",
			Advice: "correct it"}, rules,
			Decision{State: spool.Failed, Event: spool.EventFailed, Status: st, Text: "no such recipient; correct it",
				Passed: true}},
		{"too large without a larger way", young, outcome.Answer{Outcome: outcome.TooLarge, Status: st,
			Text: "no such recipient", Advice: "correct it"}, rules,
			Decision{State: spool.Failed, Event: spool.EventFailed, Status: st, Text: "no such recipient; correct it",
				Passed: true}},

		{"first failure", young, outcome.Answer{Outcome: outcome.Retry}, rules,
			Decision{State: spool.Deferred, Event: spool.EventDeferred, Next: in(15 * time.Second)}},
		{"third failure, full jitter", rec(func(r *spool.Record) { r.Attempts = 3 }),
			outcome.Answer{Outcome: outcome.Retry}, Rules{MaxAge: 5 * day, Jitter: 1},
			Decision{State: spool.Deferred, Event: spool.EventDeferred, Next: in(75 * time.Second)}},
		{"hundredth failure, full jitter", rec(func(r *spool.Record) { r.Attempts = 100 }),
			outcome.Answer{Outcome: outcome.Retry}, Rules{Jitter: 1},
			Decision{State: spool.Deferred, Event: spool.EventDeferred, Next: in(30 * time.Minute)}},
		{"failure with a wide scope pauses nobody", young, outcome.Answer{Outcome: outcome.Retry,
			Scope: outcome.ScopeIdentity, HTTPStatus: 503}, rules,
			Decision{State: spool.Deferred, Event: spool.EventDeferred, Next: in(15 * time.Second)}},
		{"429 with Retry-After", young, outcome.Answer{Outcome: outcome.Retry, Scope: outcome.ScopeMailbox,
			HTTPStatus: 429, RetryAfter: 7 * time.Second}, rules,
			Decision{State: spool.Deferred, Event: spool.EventDeferred, Next: in(7 * time.Second), Pause: true,
				PauseFor: 7 * time.Second, Scope: outcome.ScopeMailbox}},
		{"429 without", young, outcome.Answer{Outcome: outcome.Retry, HTTPStatus: 429}, rules,
			Decision{State: spool.Deferred, Event: spool.EventDeferred, Next: in(15 * time.Second), Pause: true,
				Scope: outcome.ScopeMailbox}},
		{"503 with Retry-After for the identity", young, outcome.Answer{Outcome: outcome.Retry,
			Scope: outcome.ScopeIdentity, HTTPStatus: 503, RetryAfter: time.Minute}, rules,
			Decision{State: spool.Deferred, Event: spool.EventDeferred, Next: in(time.Minute), Pause: true,
				PauseFor: time.Minute, Scope: outcome.ScopeIdentity}},
		{"a message refused for now, with Retry-After", young, outcome.Answer{Outcome: outcome.Retry, HTTPStatus: 403,
			RetryAfter: time.Minute}, rules,
			Decision{State: spool.Deferred, Event: spool.EventDeferred, Next: in(time.Minute)}},
		{"500 in doubt, retry", young, doubt, rules,
			Decision{State: spool.Deferred, Event: spool.EventDeferred, Next: in(15 * time.Second)}},
		{"500 in doubt, hold", young, doubt, Rules{Unknown: HoldIt},
			Decision{State: spool.Held, Event: spool.EventHeld, Unknown: true}},
		{"500 in doubt, lookup", young, doubt, Rules{Unknown: LookUp},
			Decision{State: spool.Deferred, Event: spool.EventDeferred, Next: in(time.Minute), Unknown: true}},
		{"500 in doubt, hold, but the mailbox was so before", young, doubt, Rules{Unknown: HoldIt, Outage: true},
			Decision{State: spool.Deferred, Event: spool.EventDeferred, Next: in(time.Minute), Unknown: true}},
		{"500 in doubt, hold, too old", rec(func(r *spool.Record) { r.Accepted = in(-6 * day) }), doubt,
			Rules{MaxAge: 5 * day, Unknown: HoldIt},
			Decision{State: spool.Held, Event: spool.EventHeld, Unknown: true}},
		{"Retry-After of a week", young, outcome.Answer{Outcome: outcome.Retry, RetryAfter: 7 * day}, Rules{},
			Decision{State: spool.Deferred, Event: spool.EventDeferred, Next: in(time.Hour), Pause: true,
				PauseFor: time.Hour, Scope: outcome.ScopeMailbox}},
		{"the hour of a used-up quota", young, outcome.Answer{Outcome: outcome.Retry, Scope: outcome.ScopeMailbox,
			RetryAfter: time.Hour}, Rules{},
			Decision{State: spool.Deferred, Event: spool.EventDeferred, Next: in(time.Hour), Pause: true,
				PauseFor: time.Hour, Scope: outcome.ScopeMailbox}},
		{"negative Retry-After", young, outcome.Answer{Outcome: outcome.Retry, RetryAfter: -time.Hour}, rules,
			Decision{State: spool.Deferred, Event: spool.EventDeferred, Next: in(15 * time.Second)}},

		{"too old", rec(func(r *spool.Record) { r.Accepted = in(-5 * day) }),
			outcome.Answer{Outcome: outcome.Retry, Text: "500"}, rules,
			Decision{State: spool.Failed, Event: spool.EventFailed,
				Text: "500 [Failed after queue.max_age (120h0m0s)]"}},
		{"old, but held for long", rec(func(r *spool.Record) { r.Accepted, r.HeldFor = in(-9*day), 5*day }),
			outcome.Answer{Outcome: outcome.Retry}, rules,
			Decision{State: spool.Deferred, Event: spool.EventDeferred, Next: in(15 * time.Second)}},
		{"accepted in the future", rec(func(r *spool.Record) { r.Accepted = in(9 * day) }),
			outcome.Answer{Outcome: outcome.Retry}, rules,
			Decision{State: spool.Deferred, Event: spool.EventDeferred, Next: in(15 * time.Second)}},
		{"no limit of age", rec(func(r *spool.Record) { r.Accepted = in(-999 * day) }),
			outcome.Answer{Outcome: outcome.Retry}, Rules{},
			Decision{State: spool.Deferred, Event: spool.EventDeferred, Next: in(15 * time.Second)}},

		{"hold of the mailbox", young, outcome.Answer{Outcome: outcome.Hold, Scope: outcome.ScopeMailbox, Status: st,
			Text: "404"}, rules,
			Decision{State: spool.Paused, Event: spool.EventPaused, Next: in(-time.Hour), Status: st, Text: "404",
				Hold: true, Scope: outcome.ScopeMailbox}},
		{"a hold does not expire", rec(func(r *spool.Record) { r.Accepted = in(-9 * day) }),
			outcome.Answer{Outcome: outcome.Hold, Scope: outcome.ScopeIdentity}, rules,
			Decision{State: spool.Paused, Event: spool.EventPaused, Next: in(-9 * day), Hold: true,
				Scope: outcome.ScopeIdentity}},
		{"hold of what was accepted in the future", rec(func(r *spool.Record) { r.Accepted = in(9 * day) }),
			outcome.Answer{Outcome: outcome.Hold, Scope: outcome.ScopeIdentity}, rules,
			Decision{State: spool.Paused, Event: spool.EventPaused, Next: now, Hold: true,
				Scope: outcome.ScopeIdentity}},
		{"hold of this message", young, outcome.Answer{Outcome: outcome.Hold, Scope: outcome.ScopeMessage}, rules,
			Decision{State: spool.Held, Event: spool.EventHeld}},
		{"others pass, once", young, outcome.Answer{Outcome: outcome.Hold, Scope: outcome.ScopeMailbox},
			Rules{Alone: 1},
			Decision{State: spool.Deferred, Event: spool.EventDeferred, Next: in(time.Minute)}},
		{"a From that the client chose", young, outcome.Answer{Outcome: outcome.Hold, Scope: outcome.ScopeSendAs,
			Status: reply.Enhanced{4, 7, 1}, Text: "send as", Advice: "grant it"}, rules,
			Decision{State: spool.Failed, Event: spool.EventFailed, Status: reply.Enhanced{5, 7, 1},
				Text: "send as; grant it"}},
		{"a From that the configuration chose", fixed, outcome.Answer{Outcome: outcome.Hold, Scope: outcome.ScopeSendAs,
			Status: reply.Enhanced{4, 7, 1}, Text: "send as"}, rules,
			Decision{State: spool.Paused, Event: spool.EventPaused, Next: in(-time.Hour),
				Status: reply.Enhanced{4, 7, 1}, Text: "send as", Hold: true, Scope: outcome.ScopeSendAs}},
		{"others pass, twice", fixed, outcome.Answer{Outcome: outcome.Hold, Scope: outcome.ScopeSendAs},
			Rules{Alone: 2},
			Decision{State: spool.Deferred, Event: spool.EventDeferred, Next: in(2 * time.Minute)}},
		{"others pass: the odd one", young, outcome.Answer{Outcome: outcome.Hold, Scope: outcome.ScopeIdentity},
			Rules{Alone: 3},
			Decision{State: spool.Held, Event: spool.EventHeld}},

		{"unknown, retry", young, outcome.Answer{Outcome: outcome.Unknown, HTTPStatus: 504}, rules,
			Decision{State: spool.Deferred, Event: spool.EventDeferred, Next: in(time.Minute), Unknown: true}},
		{"unknown, later retry", rec(func(r *spool.Record) { r.Attempts = 4 }), outcome.Answer{},
			Rules{UnknownDelay: 10 * time.Second},
			Decision{State: spool.Deferred, Event: spool.EventDeferred, Next: in(80 * time.Second), Unknown: true}},
		{"unknown, hold", young, outcome.Answer{}, Rules{Unknown: HoldIt},
			Decision{State: spool.Held, Event: spool.EventHeld, Unknown: true}},
		{"unknown, too old", rec(func(r *spool.Record) { r.Accepted = in(-6 * day) }), outcome.Answer{}, rules,
			Decision{State: spool.Failed, Event: spool.EventFailed, Unknown: true,
				Text: "Failed after queue.max_age (120h0m0s)"}},
		{"third panic", young, outcome.Answer{}, Rules{Panics: 3},
			Decision{State: spool.Held, Event: spool.EventHeld, Unknown: true}},
		{"panic after two crashes", rec(func(r *spool.Record) { r.Crashes = 2 }), outcome.Answer{}, Rules{Panics: 1},
			Decision{State: spool.Held, Event: spool.EventHeld, Unknown: true}},
		{"an outcome nobody knows", young, outcome.Answer{Outcome: 99}, rules,
			Decision{State: spool.Deferred, Event: spool.EventDeferred, Next: in(time.Minute), Unknown: true}},
	} {
		if got := Decide(tt.rec, tt.ans, now, tt.rules); got != tt.want {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.name, got, tt.want)
		}
	}
}

func TestReview(t *testing.T) {
	started := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name     string
		crashes  int
		unknown  bool
		released bool
		after    time.Duration // of now, since started
		rules    Rules
		ok       bool
		state    spool.State
		next     time.Duration
	}{
		{name: "never interrupted", unknown: true, rules: Rules{Unknown: HoldIt}, ok: true},
		{name: "interrupted, at start", crashes: 1, unknown: true, state: spool.Deferred, next: time.Minute},
		{name: "interrupted, other delay", crashes: 1, unknown: true, rules: Rules{UnknownDelay: time.Hour},
			after: time.Minute, state: spool.Deferred, next: time.Hour},
		{name: "interrupted, delay over", crashes: 1, unknown: true, after: time.Minute, ok: true},
		{name: "interrupted once, failed since", crashes: 1, ok: true},
		{name: "interrupted, hold", crashes: 1, unknown: true, rules: Rules{Unknown: HoldIt}, after: time.Hour,
			state: spool.Held},
		{name: "interrupted, hold, released", crashes: 1, unknown: true, released: true, rules: Rules{Unknown: HoldIt},
			ok: true},
		{name: "third crash", crashes: 3, unknown: true, after: time.Hour, state: spool.Held},
		{name: "third crash, released", crashes: 3, unknown: true, released: true, ok: true},
	} {
		rec := spool.Record{Crashes: tt.crashes, Unknown: tt.unknown}
		d, ok := Review(rec, tt.released, started, started.Add(tt.after), tt.rules)
		if ok != tt.ok || d.State != tt.state {
			t.Errorf("%s: %v %q", tt.name, ok, d.State)
		}
		if tt.next > 0 && !d.Next.Equal(started.Add(tt.next)) {
			t.Errorf("%s: next %v", tt.name, d.Next)
		}
		if !ok && d.Text == "" {
			t.Errorf("%s: no text", tt.name)
		}
	}
}

func TestReleased(t *testing.T) {
	const unknown = spool.EventKind("deferred, outcome unknown")
	for _, tt := range []struct {
		kinds []spool.EventKind
		want  bool
	}{
		{nil, false},
		{[]spool.EventKind{spool.Attempted, unknown, spool.Attempted}, false},
		{[]spool.EventKind{unknown, spool.EventHeld, spool.EventReleased, spool.Attempted}, true},
		{[]spool.EventKind{spool.EventReleased, spool.Attempted, unknown, spool.Attempted}, false},
		{[]spool.EventKind{spool.EventReleased, spool.Attempted, spool.EventHeld, spool.Attempted}, false},
		{[]spool.EventKind{spool.EventHeld, spool.EventRetried, spool.Attempted}, false},
		{[]spool.EventKind{spool.EventHeld, spool.EventRetried, spool.EventReleased, spool.Attempted}, true},
	} {
		var h []spool.Event
		for _, k := range tt.kinds {
			e := spool.Event{Kind: k}
			if k == unknown {
				e.Kind, e.Unknown = spool.EventDeferred, true
			}
			h = append(h, e)
		}
		if got := released(h); got != tt.want {
			t.Errorf("%v: %t", tt.kinds, got)
		}
	}
}
