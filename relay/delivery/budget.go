package delivery

import "time"

// The limits of Graph for one app and mailbox. Beyond them it answers 429; a
// lane that keeps to them by itself never gets there.
const (
	uploadLimit  = 150_000_000 // octets of requests
	uploadPer    = 5 * time.Minute
	requestLimit = 10_000
	requestPer   = 10 * time.Minute
)

// budgetSteps is into how many parts a budget cuts its window: what was spent
// in a part is free again when all of it has left the window.
const budgetSteps = 30

// budget lets at most limit be spent within any time of length per. What it
// remembers is bounded, whatever is spent. The zero budget has no limit. It is
// pure but for its own sums; times must not go back by much: a clock that was
// set back empties it.
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

// wait tells how long it takes until cost may be spent; 0 is now. More than
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

// budgets are those of one mailbox.
type budgets struct {
	upload, requests, rate budget
}

func newBudgets() budgets {
	return budgets{upload: budget{limit: uploadLimit, per: uploadPer}, requests: budget{limit: requestLimit, per: requestPer}}
}

// setRate takes over the configured rate, which a reload may have changed.
func (b *budgets) setRate(r Rate) {
	if int64(r.Count) != b.rate.limit || r.Per != b.rate.per {
		b.rate = budget{}
		if r.Count > 0 && r.Per >= budgetSteps {
			b.rate = budget{limit: int64(r.Count), per: r.Per}
		}
	}
}

// wait tells how long it takes until a message of size octets may be sent.
func (b *budgets) wait(now time.Time, size int64) time.Duration {
	octets, requests := requestCost(size)
	return max(b.upload.wait(now, octets), b.requests.wait(now, requests), b.rate.wait(now, 1))
}

func (b *budgets) spend(now time.Time, size int64) {
	octets, requests := requestCost(size)
	b.upload.spend(now, octets)
	b.requests.spend(now, requests)
	b.rate.spend(now, 1)
}

// uploaded adds what an upload cost beyond the guess that spend made of size:
// slices that had to be repeated, many small files, an attempt as MIME before it.
func (b *budgets) uploaded(now time.Time, size, octets, requests int64) {
	guess, guessed := requestCost(size)
	b.upload.spend(now, max(octets-guess, 0))
	b.requests.spend(now, max(requests-guessed, 0))
}

// messages is how many messages may be sent now, as far as their number counts.
func (b *budgets) messages(now time.Time) int {
	return int(min(b.requests.left(now), b.rate.left(now), 1<<30))
}

// requestCost is what sending size octets costs: base64 in one request, or for
// what is too large a draft, slices of under 4 MB and the order to send.
func requestCost(size int64) (octets, requests int64) {
	const mime, slice = 3 << 20, 3 << 20
	octets = size*4/3 + 2048
	if size <= mime {
		return octets, 1
	}
	return octets, 4 + size/slice
}
