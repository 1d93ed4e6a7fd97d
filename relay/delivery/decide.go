package delivery

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"

	"graphrelay/relay/delivery/hold"
	"graphrelay/relay/delivery/pace"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
	"graphrelay/relay/text"
)

// UnknownOutcome is delivery.unknown_outcome: what to do with a message that may
// have been sent.
type UnknownOutcome int

// The treatments of an unknown outcome.
const (
	Retry  UnknownOutcome = iota // retry after UnknownDelay; the recipients may get it twice
	HoldIt                       // hold the message for the operator
	LookUp                       // look into the mailbox: sent, or not sent and so retried, or in doubt and held
)

// MaxDelay is the longest time to a planned next attempt, and the longest pause
// that an answer may ask for; one further away in the store was written before
// the clock was set back.
const MaxDelay = pace.MaxDelay

// UnknownDelay is how long a message rests after an attempt whose outcome
// cannot be known, before the next one.
const UnknownDelay = time.Minute

const maxCrashes = 3 // crashes and panics during attempts that one message may cause

// Rules are what Decide needs beside the message and the answer: the
// configuration, and what the lane remembers of this message.
type Rules struct {
	MaxAge       time.Duration // 0 = no limit
	Unknown      UnknownOutcome
	UnknownDelay time.Duration // 0 = 1 min
	Jitter       float64       // random, 0 <= Jitter < 1
	Panics       int           // panics of the Sender with this message since start, this one included
	HeldNow      time.Duration // how long the hold that this message probes has stopped it, which HeldFor lacks yet
	Alone        int           // times in a row that it met this hold's refusal after another message had passed
	Outage       bool          // no message has passed since an earlier one met the doubt that this one meets
}

// Decision is what to do with a message after an attempt, and with its lane.
type Decision struct {
	State   spool.State     // Deferred, Paused, Held, Sent or Failed
	Event   spool.EventKind // what is logged
	Next    time.Time       // for Deferred and Paused
	Unknown bool            // it may have been sent
	Status  reply.Enhanced
	Text    string // for the operator, the line of a text.Cause

	Hold  bool          // a hold begins, or goes on, for Scope
	Scope outcome.Scope // of Hold or Pause

	Pause    bool          // nothing in Scope (mailbox or identity) is tried for a while
	PauseFor time.Duration // as Graph asked for; 0 = it did not say

	Passed bool // Graph judged the message itself: identity and mailbox work
}

// Decide returns what the answer to an attempt means. rec is the message as
// claimed: its Attempts include this one. It is pure.
func Decide(rec spool.Record, ans outcome.Answer, now time.Time, rules Rules) Decision {
	d := Decision{Status: ans.Status, Text: ans.Cause().String()}
	switch ans.Outcome {
	case outcome.Delivered:
		d.State, d.Event, d.Passed = spool.Sent, spool.EventSent, true
	case outcome.Bounce, outcome.TooLarge:
		// Its body is kept: a report may fail too, and an operator who mends the
		// cause can still send the message.
		d.State, d.Event, d.Passed = spool.Failed, spool.EventFailed, true
	case outcome.Retry:
		after := d.pause(ans)
		if ans.Doubt && rules.Unknown != Retry {
			d.unknown(rec, now, rules)
			break
		}
		d.retry(rec, ans, after, now, rules)
	case outcome.Hold:
		if ans.Scope == outcome.ScopeSendAs && !rec.ConfiguredFrom {
			d.wrongSender()
			break
		}
		d.hold(rec, ans, now, rules)
	default:
		d.unknown(rec, now, rules)
	}
	return d
}

// wrongSender fails a message whose client chose a From address that Graph does
// not let the mailbox send as: another choice cures it, and waiting does not.
// Where the configuration chose, the address is held instead.
func (d *Decision) wrongSender() {
	d.State, d.Event = spool.Failed, spool.EventFailed
	d.Status[0] = 5
}

// pause makes others wait where Graph asks for time. Other failures may have a
// wide scope too, but one of them says little about the next message.
func (d *Decision) pause(ans outcome.Answer) (after time.Duration) {
	after = pace.ClampPause(ans.RetryAfter)
	if ans.Apart {
		return after
	}
	if after > 0 && !aboutOne(ans) || ans.HTTPStatus == http.StatusTooManyRequests {
		d.Pause, d.PauseFor, d.Scope = true, after, max(ans.Scope, outcome.ScopeMailbox)
	}
	return after
}

func (d *Decision) retry(rec spool.Record, ans outcome.Answer, after time.Duration, now time.Time, rules Rules) {
	d.State, d.Event = spool.Deferred, spool.EventDeferred
	wait := pace.Backoff(pace.MinBackoff, rec.Attempts, rules.Jitter)
	if proofOf(ans) == silent {
		wait = min(wait, pace.MaxTrouble) // the lane tries one message at a time, so more attempts of each cost nothing
	}
	d.Next = now.Add(wait)
	if after > 0 {
		d.Next = now.Add(after)
	}
	d.expire(rec, now, rules)
}

// aboutOne reports whether the service refused this message for now, and no other for it.
func aboutOne(ans outcome.Answer) bool {
	return ans.Outcome == outcome.Retry && ans.Scope == outcome.ScopeMessage && ans.HTTPStatus != 0
}

func (d *Decision) hold(rec spool.Record, ans outcome.Answer, now time.Time, rules Rules) {
	switch {
	case ans.Scope == outcome.ScopeMessage || rules.Alone >= hold.MaxAlone:
		d.State, d.Event = spool.Held, spool.EventHeld
	case rules.Alone > 0:
		d.State, d.Event = spool.Deferred, spool.EventDeferred
		d.Next = now.Add(hold.ProbeAfter(rules.Alone - 1))
	default:
		// A message that probes for all the others keeps its place in line.
		d.State, d.Event, d.Next = spool.Paused, spool.EventPaused, dueAgain(rec, now)
		d.Hold, d.Scope = true, ans.Scope
	}
}

func (d *Decision) unknown(rec spool.Record, now time.Time, rules Rules) {
	d.Unknown = true
	if rules.Unknown == HoldIt && !rules.Outage || rec.Crashes+rules.Panics >= maxCrashes {
		d.State, d.Event = spool.Held, spool.EventHeld
		return
	}
	d.State, d.Event = spool.Deferred, spool.EventDeferred
	d.Next = now.Add(pace.Backoff(rules.unknownDelay(), rec.Attempts, rules.Jitter))
	d.expire(rec, now, rules)
}

// expire fails a message that has been tried for too long. It is asked only
// after an attempt, so that neither a clock that jumped nor a long stop of the
// service fails mail that nobody tried to send.
func (d *Decision) expire(rec spool.Record, now time.Time, rules Rules) {
	if rules.MaxAge <= 0 || now.Sub(rec.Accepted)-rec.HeldFor-rules.HeldNow < rules.MaxAge {
		return
	}
	d.State, d.Event, d.Next = spool.Failed, spool.EventFailed, time.Time{}
	d.Text = gaveUp(d.Text, fmt.Sprintf("Failed after queue.max_age (%s)", rules.MaxAge))
}

// gaveUp is the cause of a failure by a time limit: the last cause, with the limit
// as a detail.
func gaveUp(last, limit string) string {
	c := text.ReadCause(last)
	if c.Headline == "" {
		return limit
	}
	c.Detail = strings.TrimSuffix(limit+"; "+c.Detail, "; ")
	return c.String()
}

func (r Rules) unknownDelay() time.Duration { return cmp.Or(r.UnknownDelay, UnknownDelay) }

const interrupted = "An attempt was interrupted, and the message may have been sent"

// Review looks at a claimed message before its attempt is made: one that
// crashes have interrupted may have to wait or to be held. ok means that it may be
// attempted. started is when this run began, and released whether an operator
// released the message after the last crash. It is pure.
func Review(rec spool.Record, released bool, started, now time.Time, rules Rules) (d Decision, ok bool) {
	if rec.Crashes == 0 || released {
		return Decision{}, true
	}
	d = Decision{State: spool.Held, Event: spool.EventHeld, Unknown: rec.Unknown, Status: reply.Enhanced{4, 3, 0}}
	if rec.Crashes >= maxCrashes {
		d.Text = fmt.Sprintf("The relay crashed %d times while sending this message; "+
			"export it for a bug report, then release or delete it", rec.Crashes)
		return d, false
	}
	if !rec.Unknown {
		return Decision{}, true
	}
	if rules.Unknown == HoldIt {
		d.Text = interrupted + "; check Sent Items, then release or delete it"
		return d, false
	}
	// Interrupted before started, so the delay is over this long after it at the latest.
	if until := started.Add(rules.unknownDelay()); now.Before(until) {
		d.State, d.Event, d.Next = spool.Deferred, spool.EventDeferred, until
		d.Text = interrupted + "; it will be retried"
		return d, false
	}
	return Decision{}, true
}
