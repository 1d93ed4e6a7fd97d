package spooltest

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// story is one message, step by step, and the history that it should have.
type story struct {
	*fixture
	m    spool.Message
	r    spool.Record // of the open attempt
	want []spool.Event
}

// histories wants every event of a message with all that is known of it, in order, whatever
// happens to it.
func histories(_ *testing.T, f *fixture) {
	for _, steps := range []string{
		"accept claim sent", "accept claim sent bounce", "attempt sent", "attempt sent bounce delay", "attempt failed",
		"accept claim deferred claim sent", "attempt deferred claim deferred claim sent",
		"attempt held release claim sent",
		"accept claim unclaim claim sent", "attempt unclaim claim sent", "attempt deferred claim unclaim claim sent",
		"attempt deferred claim unclaim claim deferred claim sent", "accept hold release claim sent",
		"accept claim bounce sent", "attempt bounce sent", "attempt unknown claim sent bounce",
		"attempt bounce deferred claim unclaim claim sent", "accept delay claim sent",
		"attempt failed release claim sent",
	} {
		s := &story{fixture: f, m: f.message("box@example.org")}
		s.want = []spool.Event{{ID: s.m.ID, At: s.m.Accepted, Kind: spool.Accepted}}
		for i, step := range strings.Fields(steps) {
			f.clock = f.clock.Add(time.Hour)
			s.do(step)
			got, err := f.store.History(f.ctx, s.m.ID)
			f.must(err)
			for k := range got {
				got[k].At = got[k].At.UTC()
			}
			if !reflect.DeepEqual(got, s.want) {
				f.Fatalf("%s, step %d: history is\n%+v, want\n%+v", steps, i+1, got, s.want)
			}
			var last time.Time
			for _, e := range s.want {
				if e.Kind == spool.Attempted {
					last = e.At
				}
			}
			if r := f.get(s.m.ID); !r.LastAttempt.Equal(last) {
				f.Fatalf("%s, step %d: the last attempt is of %v, want %v", steps, i+1, r.LastAttempt, last)
			}
		}
	}
}

func (s *story) do(step string) {
	s.Helper()
	id := s.m.ID
	switch step {
	case "accept":
		s.put(s.m)
	case "attempt":
		var err error
		s.r, err = s.attempted(s.m)
		s.must(err)
		s.tell(spool.Event{Kind: spool.Attempted, Attempt: 1})
	case "claim":
		s.r = s.claim("box@example.org", 1)[0]
		s.tell(spool.Event{Kind: spool.Attempted, Attempt: s.r.Attempts})
	case "unclaim":
		s.must(s.store.Unclaim(s.ctx, id, s.r.Attempts, s.clock))
		s.want = slices.DeleteFunc(s.want, func(e spool.Event) bool { return e.Attempt == s.r.Attempts })
	case "hold":
		s.must(s.store.Move(s.ctx, id, spool.Held, time.Time{}, "an operator", s.clock))
		s.tell(spool.Event{Kind: spool.EventHeld, Text: "an operator"})
	case "release":
		s.must(s.store.Move(s.ctx, id, spool.Queued, s.clock, "an operator", s.clock))
		s.tell(spool.Event{Kind: spool.EventReleased, Text: "an operator"})
	case "bounce", "delay":
		e := spool.Event{ID: id, At: s.clock, Kind: spool.EventBounced, Status: reply.Enhanced{5, 1, 1},
			Text: "unknown user", Recipient: s.m.Envelope.Recipients[0]}
		if step == "delay" {
			e.Kind = spool.EventDelayed
		}
		_, err := s.store.Bounced(s.ctx, e)
		s.must(err)
		s.tell(e)
	default:
		s.outcome(step)
	}
}

// outcome settles the open attempt.
func (s *story) outcome(step string) {
	s.Helper()
	state := map[string]spool.State{
		"sent": spool.Sent, "failed": spool.Failed, "held": spool.Held,
		"deferred": spool.Deferred, "unknown": spool.Deferred,
	}[step]
	o := spool.Settlement{
		ID: s.m.ID, Attempt: s.r.Attempts, State: state, NextAttempt: s.clock, Unknown: step == "unknown",
		Status: reply.Enhanced{2, 0, 0}, Text: "the outcome " + step, RequestID: "request of " + step, HTTPStatus: 202,
		Duration: 123 * time.Millisecond, At: s.clock,
	}
	s.must(s.store.Settle(s.ctx, o))
	s.must(s.store.Settle(s.ctx, o)) // again, as who does not know
	s.tell(spool.Event{
		Kind: spool.OutcomeEvent(state), Attempt: o.Attempt, Status: o.Status, Text: o.Text, RequestID: o.RequestID,
		HTTPStatus: o.HTTPStatus, Duration: o.Duration, Unknown: o.Unknown,
	})
}

// tell adds an event of now to what is wanted.
func (s *story) tell(e spool.Event) {
	e.ID, e.At = s.m.ID, s.clock
	s.want = append(s.want, e)
}
