package pace

import (
	"time"

	"graphrelay/relay/pacing"
)

// The limits of Graph for one app and mailbox. Beyond them it answers 429; a
// lane that keeps to them by itself never gets there.
const (
	uploadLimit  = 150_000_000 // bytes of requests
	uploadPer    = 5 * time.Minute
	requestLimit = 10_000
	requestPer   = 10 * time.Minute
)

// budgetSteps is into how many parts a budget cuts its window: what was spent
// in a part is free again when all of it has left the window.
const budgetSteps = 30

// budget lets at most limit be spent within any time of length per. What it remembers
// is bounded, whatever is spent. The zero budget has no limit. It is pure but for its
// own sums; times must not go back by much: a clock that was set back empties it.
type budget struct {
	limit int64
	per   time.Duration

	spent [budgetSteps + 1]int64
	last  int64 // number of the part that was written last
	sum   int64
}

// part is the number of the part of the window that a time lies in.
func (b *budget) part(at time.Time) int64 { return at.UnixNano() / int64(b.per/budgetSteps) }

// advance forgets what has left the window.
func (b *budget) advance(now time.Time) {
	if b.limit <= 0 {
		return
	}
	p := b.part(now)
	if p < b.last || p > b.last+budgetSteps {
		b.spent, b.sum = [budgetSteps + 1]int64{}, 0
		b.last = p
		return
	}
	for b.last < p {
		b.last++
		i := b.last % (budgetSteps + 1)
		b.sum -= b.spent[i]
		b.spent[i] = 0
	}
}

// wait is how long it takes until cost may be spent; 0 is now. More than
// the limit may be spent at once when nothing else was: it will not get less.
func (b *budget) wait(now time.Time, cost int64) time.Duration {
	if b.limit <= 0 {
		return 0
	}
	b.advance(now)
	left := b.sum
	for p := b.last - budgetSteps; p <= b.last; p++ {
		if left == 0 || left+cost <= b.limit {
			if p == b.last-budgetSteps {
				return 0
			}
			free := time.Unix(0, (p+budgetSteps)*int64(b.per/budgetSteps))
			return max(free.Sub(now), 1)
		}
		if p >= 0 {
			left -= b.spent[p%(budgetSteps+1)]
		}
	}
	return time.Unix(0, (b.last+budgetSteps+1)*int64(b.per/budgetSteps)).Sub(now)
}

// left is how much may be spent now.
func (b *budget) left(now time.Time) int64 {
	if b.limit <= 0 {
		return 1 << 62
	}
	b.advance(now)
	return max(b.limit-b.sum, 0)
}

func (b *budget) spend(now time.Time, cost int64) {
	if b.limit <= 0 {
		return
	}
	b.advance(now)
	b.spent[b.last%(budgetSteps+1)] += cost
	b.sum += cost
}

// back takes back what was spent at a time, unless that has left the window.
func (b *budget) back(at time.Time, cost int64) {
	if b.limit <= 0 || b.part(at) > b.last || b.part(at) < b.last-budgetSteps {
		return
	}
	spent := &b.spent[b.part(at)%(budgetSteps+1)]
	cost = min(cost, *spent)
	*spent -= cost
	b.sum -= cost
}

// RequestCost is what sending size bytes costs: base64 in one request, or for
// what is too large a draft, slices of under 4 MB and the order to send.
func RequestCost(size int64) (bytes, requests int64) {
	const mime, slice = 3 << 20, 3 << 20
	bytes = size*4/3 + 2048
	if size <= mime {
		return bytes, 1
	}
	return bytes, 4 + size/slice
}

const (
	lowerEvery = 10 * time.Second // answers to requests that were under way together lower a limit once
	raiseEvery = 15 * time.Second // a limit is raised by a step after so long without being lowered
	raiseSteps = 16               // from 0 to the configured limit
)

// limiter lowers a limit of concurrent requests when Graph throttles, to half,
// and raises it again slowly, step by step, up to what is configured. The zero
// limiter allows all that is.
type limiter struct {
	lowered int       // the limit at since; 0 while it is the configured one
	since   time.Time // when it was lowered, or when sending continues after that
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
	l.lowered, l.since = max(min(at, underWay)/2, min(at, least), 1), pacing.Later(now, resume)
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
