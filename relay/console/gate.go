package console

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// How attempts to log in are slowed: after the first failures of a source each
// further one must wait, for longer and longer; and of all strangers together
// only so many may fail, however many addresses they have.
const (
	freeFailures = 3
	firstLock    = 2 * time.Second
	longestLock  = 5 * time.Minute
	forgetAfter  = time.Hour
	maxFailing   = 1000            // sources that are remembered
	maxWaiting   = 8               // attempts at one time; each costs a bcrypt
	freeAttempts = 30              // failures of strangers at once,
	attemptEvery = 2 * time.Second // and then one more in this time
)

// source is whom an attempt counts against. Behind a proxy an address may be
// everybody's; a browser that has logged in before is itself wherever it is, so
// that nobody who guesses locks it out.
type source struct {
	network netip.Prefix // an address, an IPv6 /64
	browser string       // the ID of a browser that has logged in before; then without network
}

func (s source) stranger() bool { return s.browser == "" }

// gate checks passwords one at a time, so that guessing costs mail no processor.
type gate struct {
	now     func() time.Time
	one     sync.Mutex             // held while a password is checked
	waiting map[bool]chan struct{} // strangers and others, so that they need not wait for each other

	mu      sync.Mutex
	failing map[source]*failures
	spent   time.Time // when the allowance of all strangers is whole again
}

type failures struct {
	count int
	last  time.Time
}

func newGate(now func() time.Time) *gate {
	return &gate{now: now, failing: map[source]*failures{},
		waiting: map[bool]chan struct{}{true: make(chan struct{}, maxWaiting), false: make(chan struct{}, maxWaiting)}}
}

// lock is how long a source must still wait.
func (f *failures) lock(now time.Time) time.Duration {
	if f == nil || f.count <= freeFailures {
		return 0
	}
	pause := min(longestLock, firstLock<<min(f.count-freeFailures-1, 20))
	return max(0, f.last.Add(pause).Sub(now))
}

// check tells whether the password is right, or how long to wait before trying.
func (g *gate) check(from source, hash, password string) (ok bool, wait time.Duration) {
	waiting := g.waiting[from.stranger()]
	select {
	case waiting <- struct{}{}:
		defer func() { <-waiting }()
	default:
		return false, time.Second
	}
	g.one.Lock()
	defer g.one.Unlock()
	now := g.now()
	if wait = g.lock(from, now); wait > 0 {
		return false, wait
	}
	ok = len(password) <= 72 && bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	g.record(from, ok, now)
	return ok, 0
}

// lock is how long an attempt from there must wait.
func (g *gate) lock(from source, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	wait := g.failing[from].lock(now)
	if from.stranger() {
		wait = max(wait, g.spent.Add(-(freeAttempts-1)*attemptEvery).Sub(now))
	}
	return wait
}

func (g *gate) record(from source, ok bool, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ok {
		delete(g.failing, from)
		return
	}
	if from.stranger() {
		if g.spent.Before(now) {
			g.spent = now
		}
		g.spent = g.spent.Add(attemptEvery)
	}
	f := g.failing[from]
	if f == nil {
		g.makeRoom(now)
		f = &failures{}
		g.failing[from] = f
	}
	f.count, f.last = f.count+1, now
}

// makeRoom forgets what is long ago, and what there is no room for.
func (g *gate) makeRoom(now time.Time) {
	for k, f := range g.failing {
		if now.Sub(f.last) > forgetAfter {
			delete(g.failing, k)
		}
	}
	for k := range g.failing {
		if len(g.failing) < maxFailing {
			return
		}
		delete(g.failing, k)
	}
}
