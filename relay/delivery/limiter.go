package delivery

import "time"

const (
	lowerEvery = 10 * time.Second // answers to requests that were under way together lower a limit once
	raiseEvery = 15 * time.Second // a limit is raised by a step after so long without being lowered
	raiseSteps = 16               // from 0 to the configured limit
)

// limiter lowers a limit of concurrent requests when Graph throttles, to half,
// and raises it again slowly, step by step, up to what is configured. The zero
// limiter allows all that is. It is pure: it knows the time from its caller.
type limiter struct {
	lowered int       // the limit at since; 0 while it is the configured one
	since   time.Time // when it was lowered, or when sending goes on after that
}

// throttled lowers the limit to half of what is allowed or of what was under way,
// whichever is less, but not below least. began is when the throttled request
// began: one from before the last change says nothing new. Until resume nothing is
// sent, so that raising begins then.
func (l *limiter) throttled(began, now, resume time.Time, configured, underWay, least int) {
	at := l.allowed(now, configured)
	if l.lowered > 0 && (began.Before(l.since) || now.Sub(l.since) < lowerEvery) {
		return
	}
	l.lowered, l.since = max(min(at, underWay)/2, min(at, least), 1), later(now, resume)
}

// allowed is the limit at a time.
func (l *limiter) allowed(now time.Time, configured int) int {
	if l.lowered == 0 {
		return configured
	}
	if l.since.After(now.Add(MaxDelay)) {
		l.since = now // the clock was set back
	}
	steps := int(max(now.Sub(l.since), 0) / raiseEvery)
	if at := l.lowered + steps*max(configured/raiseSteps, 1); at < configured {
		return at
	}
	*l = limiter{}
	return configured
}
