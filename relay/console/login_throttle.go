package console

import (
	"maps"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/relay/pacing"
)

// How attempts to log in are slowed down: after its first failures a source must
// wait for each further one, longer each time; and all strangers together may
// fail only so often, however many addresses they have.
const (
	freeFailures = 3
	firstLock    = 2 * time.Second
	longestLock  = 5 * time.Minute
	forgetAfter  = time.Hour
	maxFailing   = 1000 // sources that are remembered
	maxWaiting   = 8    // attempts at one time; each costs a bcrypt
	maxPassword  = 72   // bytes; bcrypt ignores what follows
)

// failuresOfStrangers may come at once, and then one more every two seconds.
var failuresOfStrangers = pacing.Rate{Count: 30, Per: time.Minute}

// source is whom an attempt counts against. Behind a proxy everyone may share an
// address; a browser that has logged in before is a source of its own, so that
// nobody who guesses locks it out.
type source struct {
	network netip.Prefix // an address, an IPv6 /64
	user    string       // of this host, who connects and may name any address as the client's
	browser string       // the ID of a browser that has logged in before; then without the others
}

func (s source) stranger() bool { return s.browser == "" }

// loginThrottle checks passwords one at a time, so that guessing takes no
// processor time from mail.
type loginThrottle struct {
	now     func() time.Time
	one     sync.Mutex             // held while a password is checked
	waiting map[bool]chan struct{} // strangers and others, so that neither waits for the other

	mu        sync.Mutex
	failing   map[source]*failures
	strangers map[string]*pacing.Bucket // by the user of this host who connects, "" for other hosts
}

type failures struct {
	count int
	last  time.Time
}

func newLoginThrottle(now func() time.Time) *loginThrottle {
	queue := func() chan struct{} { return make(chan struct{}, maxWaiting) }
	return &loginThrottle{
		now: now, failing: map[source]*failures{}, strangers: map[string]*pacing.Bucket{},
		waiting: map[bool]chan struct{}{true: queue(), false: queue()},
	}
}

// lock is how long a source must still wait.
func (f *failures) lock(now time.Time) time.Duration {
	if f == nil || f.count <= freeFailures {
		return 0
	}
	pause := pacing.Backoff(firstLock, longestLock, f.count-freeFailures)
	return max(0, f.last.Add(pause).Sub(now))
}

// check reports whether the password is right, or how long to wait before trying.
func (t *loginThrottle) check(from source, hash, password string) (ok bool, wait time.Duration) {
	waiting := t.waiting[from.stranger()]
	select {
	case waiting <- struct{}{}:
		defer func() { <-waiting }()
	default:
		return false, time.Second
	}
	t.one.Lock()
	defer t.one.Unlock()
	now := t.now()
	if wait = t.lock(from, now); wait > 0 {
		return false, wait
	}
	ok = len(password) <= maxPassword && bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	t.record(from, ok, now)
	return ok, 0
}

// lock is how long an attempt from there must wait. Without a wait a stranger has
// taken one of the failures that all strangers share.
func (t *loginThrottle) lock(from source, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	wait := t.failing[from].lock(now)
	if wait == 0 && from.stranger() {
		wait, _ = t.bucket(from.user).Take(now)
	}
	return wait
}

// bucket is what all strangers share who connect as one user of this host, or from
// other hosts. The caller holds mu.
func (t *loginThrottle) bucket(user string) *pacing.Bucket {
	b := t.strangers[user]
	if b == nil {
		b = pacing.NewBucket(failuresOfStrangers)
		t.strangers[user] = b
	}
	return b
}

func (t *loginThrottle) record(from source, ok bool, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ok {
		delete(t.failing, from)
		if from.stranger() {
			t.bucket(from.user).Return()
		}
		return
	}
	f := t.failing[from]
	if f == nil {
		t.makeRoom(now)
		f = &failures{}
		t.failing[from] = f
	}
	f.count, f.last = f.count+1, now
}

// makeRoom forgets what happened long ago, and more if there is still no room.
func (t *loginThrottle) makeRoom(now time.Time) {
	maps.DeleteFunc(t.failing, func(_ source, f *failures) bool { return now.Sub(f.last) > forgetAfter })
	for k := range t.failing {
		if len(t.failing) < maxFailing {
			return
		}
		delete(t.failing, k)
	}
}
