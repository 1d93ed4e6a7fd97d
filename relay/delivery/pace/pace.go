// Package pace decides how fast a mailbox and an identity may send: how much within
// a window of time, how many requests at once, when to pause, and whose turn it is.
//
// # Promises
//
//   - A mailbox keeps to Graph's limits of one app and mailbox (150 MB of
//     requests in five minutes, 10,000 requests in ten) and to its configured
//     rate by itself.
//   - A pause lasts exactly as long as Graph asked for, MaxDelay at most. Then
//     half of the slots are in use, and the others come back one by one.
//   - A pause after failures is our own guess: at most MaxTrouble, and Resume
//     ends it.
//   - The lanes of an identity get its slots in turn.
//   - A clock that was set back makes nobody wait for longer than the longest
//     pause.
//
// Nothing here fails or blocks, and time comes from the caller. The package must
// not know messages, the queue, or how anything is sent.
package pace

import (
	"time"

	"graphrelay/relay/pacing"
	"graphrelay/relay/state"
)

const (
	mostSlots    = 4 // how many requests at once Graph takes for one app and mailbox
	troubleAfter = 5 // failures in a row make a mailbox try one message at a time

	forgetDoubt = time.Hour // without mail, after which an answer that leaves doubt is not of the same outage
)

// Mailbox is how fast a mailbox may send. It outlives the lane, which ends
// whenever its mailbox has no mail, and belongs to the lane's goroutine.
type Mailbox struct {
	upload, requests, rate budget

	dry      time.Time // a budget is spent until then
	limiter  limiter
	throttle throttle
	failures int       // in a row
	trouble  time.Time // no attempt before this, because of the failures
	resumed  struct {
		times int
		next  time.Time // no hint ends a pause of failures before this
	}
	doubt struct{ first, last time.Time }
}

// NewMailbox returns one that has sent nothing.
func NewMailbox() *Mailbox {
	return &Mailbox{
		upload: budget{limit: uploadLimit, per: uploadPer}, requests: budget{limit: requestLimit, per: requestPer},
	}
}

// Restart forgets the failures in a row, for a lane that begins has seen none.
func (m *Mailbox) Restart() { m.failures = 0 }

// SetRate applies the configured rate, which a reload may have changed.
func (m *Mailbox) SetRate(r pacing.Rate) {
	if int64(r.Count) != m.rate.limit || r.Per != m.rate.per {
		m.rate = budget{}
		if r.Count > 0 && r.Per >= budgetSteps {
			m.rate = budget{limit: int64(r.Count), per: r.Per}
		}
	}
}

// Slots is how many requests the mailbox may have under way.
func (m *Mailbox) Slots(now time.Time, configured int) int {
	if m.failures >= troubleAfter || m.inDoubt(now) {
		return 1
	}
	return min(m.limiter.allowed(now, configured), configured)
}

// PausedUntil is zero when the mailbox may send.
func (m *Mailbox) PausedUntil(now time.Time) time.Time { return m.Pause(now).Until }

// Pause is the longest of the pauses in force.
func (m *Mailbox) Pause(now time.Time) Pause {
	if latest := now.Add(MaxTrouble); m.trouble.After(latest) {
		m.trouble = latest // the clock was set back
	}
	return m.Stays(now).Or(now, m.trouble, Failures)
}

// Stays is the longest of the pauses that Resume does not end.
func (m *Mailbox) Stays(now time.Time) Pause {
	if latest := now.Add(requestPer + time.Minute); m.dry.After(latest) && m.rate.per <= requestPer {
		m.dry = latest // the clock was set back
	}
	return Pause{}.Or(now, m.dry, Limit).Or(now, m.throttle.pausedUntil(now), Asked)
}

// Resume ends the pause that follows failures, for somebody asked for that, or
// something hints that it may be over. Hints may come often, and are obeyed at
// growing intervals. It reports whether it obeyed.
func (m *Mailbox) Resume(now time.Time, asked bool) bool {
	r := &m.resumed
	if asked || now.Sub(r.next).Abs() > MaxTrouble {
		r.times, r.next = 0, now
	}
	if now.Before(r.next) {
		return false
	}
	r.times++
	r.next = now.Add(pacing.Backoff(firstHint, MaxTrouble, r.times))
	m.trouble = time.Time{}
	return true
}

// Afford reports whether a message of size bytes may be sent now; if not, the
// mailbox pauses until it may.
func (m *Mailbox) Afford(now time.Time, size int64) bool {
	bytes, requests := RequestCost(size)
	wait := max(m.upload.wait(now, bytes), m.requests.wait(now, requests), m.rate.wait(now, 1))
	if wait > 0 {
		m.dry = now.Add(wait)
	}
	return wait == 0
}

// Messages is how many messages may be sent now, as far as their number counts.
func (m *Mailbox) Messages(now time.Time) int {
	return int(min(m.requests.left(now), m.rate.left(now), 1<<30))
}

// Spend counts an attempt that begins, with a message of size bytes.
func (m *Mailbox) Spend(now time.Time, size int64) {
	bytes, requests := RequestCost(size)
	m.upload.spend(now, bytes)
	m.requests.spend(now, requests)
	m.rate.spend(now, 1)
}

// Unspend takes back what Spend counted at a time: the attempt is not made.
func (m *Mailbox) Unspend(at time.Time, size int64) {
	bytes, requests := RequestCost(size)
	m.upload.back(at, bytes)
	m.requests.back(at, requests)
	m.rate.back(at, 1)
}

// Aside counts requests that carry no mail.
func (m *Mailbox) Aside(now time.Time, requests int64) { m.requests.spend(now, requests) }

// Uploaded adds what an upload cost beyond the guess that Spend made of size:
// slices that had to be repeated, many small files, an attempt as MIME before it.
func (m *Mailbox) Uploaded(now time.Time, size, bytes, requests int64) {
	guess, guessed := RequestCost(size)
	m.upload.spend(now, max(bytes-guess, 0))
	m.requests.spend(now, max(requests-guessed, 0))
}

// Stop stops the mailbox for d, or for growing steps where d is zero: Graph asked for it.
func (m *Mailbox) Stop(now time.Time, d time.Duration, jitter float64) {
	m.throttle.pause(now, d, jitter)
}

// Throttled lowers the slots after Graph asked for time. began is when the
// throttled request began, and underWay counts it too.
func (m *Mailbox) Throttled(began, now time.Time, configured, underWay int) {
	m.limiter.throttled(began, now, m.throttle.until, configured, underWay, 1)
}

// Slowed reports whether Graph has throttled the mailbox, and not all slots are back.
func (m *Mailbox) Slowed() bool { return m.limiter.lowered > 0 }

// Failed counts an attempt that failed for a passing reason. After several in a
// row the mailbox pauses for longer each time.
func (m *Mailbox) Failed(now time.Time, jitter float64) {
	if m.failures++; m.failures >= troubleAfter {
		wait := min(Backoff(MinBackoff, m.failures-troubleAfter+1, jitter), MaxTrouble)
		m.trouble = pacing.Later(m.trouble, now.Add(wait))
	}
}

// Doubted counts an attempt whose answer leaves open whether the message was
// sent. From the first one on the mailbox tries one message at a time, with the
// pauses of trouble, until one passes or forgetDoubt goes by without mail.
func (m *Mailbox) Doubted(now time.Time, jitter float64) {
	if !m.inDoubt(now) {
		m.doubt.first = now
	}
	m.doubt.last = now
	m.failures = max(m.failures, troubleAfter-1)
	m.Failed(now, jitter)
}

func (m *Mailbox) inDoubt(now time.Time) bool {
	return !m.doubt.first.IsZero() && now.Sub(m.doubt.last).Abs() < forgetDoubt
}

// DoubtedBefore reports whether the mailbox was in doubt when an attempt began.
func (m *Mailbox) DoubtedBefore(began time.Time) bool {
	return m.inDoubt(began) && began.After(m.doubt.first)
}

// Failures is how many attempts have failed in a row.
func (m *Mailbox) Failures() int { return m.failures }

// Passed ends a row of failures and of pauses: Graph judged a message.
func (m *Mailbox) Passed() {
	m.failures, m.trouble, m.doubt.first = 0, time.Time{}, time.Time{}
	m.throttle.passed()
}

// IsFresh reports whether nothing is remembered that a new Mailbox would not know.
func (m *Mailbox) IsFresh(now time.Time) bool {
	for _, b := range []*budget{&m.upload, &m.requests, &m.rate} {
		if b.advance(now); b.sum != 0 {
			return false
		}
	}
	m.limiter.allowed(now, mostSlots) // forgets what is over
	return m.limiter.lowered == 0 && !m.inDoubt(now) && m.PausedUntil(now).IsZero()
}

const (
	// MaxDelay is the longest pause that an answer may ask for, and the longest time to a
	// planned next attempt; one further away was written before the clock was set back.
	MaxDelay = time.Hour

	// MinBackoff and MaxBackoff bound the pause between two attempts.
	MinBackoff = 15 * time.Second
	MaxBackoff = 30 * time.Minute

	// MaxTrouble bounds the pause between attempts while the service does not answer.
	MaxTrouble = 5 * time.Minute

	firstHint = 5 * time.Second // between hints that end a pause; doubled
)

// Backoff doubles first with each attempt and adds up to a quarter at random
// (0 <= jitter < 1); the sum stays between first and MaxBackoff.
func Backoff(first time.Duration, attempts int, jitter float64) time.Duration {
	d := pacing.Backoff(first, MaxBackoff*4/5, attempts)
	return d + time.Duration(jitter*float64(d)/4)
}

// ClampPause bounds a Retry-After: a wrong one must not stop a mailbox for days.
func ClampPause(d time.Duration) time.Duration { return min(max(d, 0), MaxDelay) }

// Cause is why a mailbox pauses.
type Cause string

// The causes.
const (
	Failures Cause = state.BackoffFailures // our own backoff: Resume ends it
	Asked    Cause = state.BackoffMicrosoft
	Limit    Cause = state.BackoffLimit
)

// Pause is until when nothing is sent, and why. The zero Pause is none.
type Pause struct {
	Until time.Time
	Cause Cause
}

// Or is the later one of a pause and another, if that is not over.
func (p Pause) Or(now, until time.Time, c Cause) Pause {
	if until.After(now) && until.After(p.Until) {
		return Pause{until, c}
	}
	return p
}

// throttle is a pause that Graph asked for.
type throttle struct {
	until    time.Time
	episodes int // pauses in a row, without a success between them
}

// pause stops for exactly as long as Graph asked for, or else for growing steps.
func (t *throttle) pause(now time.Time, asked time.Duration, jitter float64) {
	if !now.Before(t.until) {
		t.episodes++ // answers to requests that were under way together are one episode
	}
	if asked <= 0 {
		asked = min(Backoff(MinBackoff, t.episodes, jitter), MaxTrouble)
	}
	t.until = pacing.Later(t.until, now.Add(asked))
}

func (t *throttle) passed() { t.episodes = 0 }

// pausedUntil is zero when nothing is paused. A pause longer than any is a
// clock that was set back.
func (t *throttle) pausedUntil(now time.Time) time.Time {
	if !now.Before(t.until) {
		return time.Time{}
	}
	if latest := now.Add(MaxDelay); t.until.After(latest) {
		t.until = latest
	}
	return t.until
}
