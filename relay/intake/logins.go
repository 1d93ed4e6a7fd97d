package intake

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"maps"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const (
	// goodFor is how long a correct password need not be checked by bcrypt again:
	// devices log in for each mail.
	goodFor = 5 * time.Minute
	// lockAfter failures of one user name from one place lock this pair for
	// lockFor since the last of them.
	lockAfter = 10
	lockFor   = 15 * time.Minute
	// maxPairs bounds the memory that failures take, some 2 MB.
	maxPairs = 10_000
	// maxWait is how long a login waits for its turn.
	maxWait = 20 * time.Second
	// maxUsername is as long as a configured user name can be.
	maxUsername = 128
)

// logins checks passwords.
type logins struct {
	now  func() time.Time
	key  [32]byte      // of the remembered passwords; never leaves the process
	turn chan struct{} // holds one token: bcrypt runs once at a time

	mu     sync.Mutex
	good   map[string]goodLogin // by user name, configured ones only
	failed map[pair]failures
}

// goodLogin is the last correct password, as a MAC.
type goodLogin struct {
	mac   [sha256.Size]byte
	until time.Time
}

// pair is what a lock applies to.
type pair struct {
	from place
	user string // of clients
}

type failures struct {
	count int
	last  time.Time
}

func newLogins(now func() time.Time) *logins {
	l := &logins{now: now, turn: make(chan struct{}, 1), good: map[string]goodLogin{}, failed: map[pair]failures{}}
	_, _ = rand.Read(l.key[:]) // never fails since Go 1.24
	return l
}

// attempt is one login: what the client says, and the hash of the user's
// password; known is false if there is no such user for this peer.
type attempt struct {
	from           place
	user, password string
	hash           string
	known          bool
}

// check returns nil for the right password, 535 5.7.8 for a wrong one, and 454
// 4.7.0 if the pair is locked or its turn does not come.
func (l *logins) check(ctx context.Context, a attempt) error {
	who := pair{a.from, a.user[:min(len(a.user), maxUsername)]}
	// Also for a password that is remembered: else a lock would not stop a guesser
	// from guessing that one.
	if err := l.lockedOut(who); err != nil {
		return err
	}
	mac := l.mac(a)
	if a.known && l.remembers(a.user, mac) {
		l.succeed(who, a.user, mac)
		return nil
	}
	leave, err := l.takeTurn(ctx, a)
	if err != nil {
		return err
	}
	defer leave()
	if err := l.lockedOut(who); err != nil { // by those that waited before this one
		return err
	}
	right := bcrypt.CompareHashAndPassword([]byte(a.hash), []byte(a.password)) == nil
	if !right || !a.known {
		l.fail(who)
		return wrong(a)
	}
	l.succeed(who, a.user, mac)
	return nil
}

func wrong(a attempt) error {
	if !a.known {
		return errCredentials.Becausef("user name %q is not one of clients, or not from this address; "+
			"correct it in the client, or see username and networks there", a.user)
	}
	return errCredentials.Becausef("wrong password for user name %q; "+
		"correct it in the client, or run graphrelay passwd for a new password_hash", a.user)
}

// takeTurn waits until bcrypt may run: one at a time for the whole service.
func (l *logins) takeTurn(ctx context.Context, a attempt) (leave func(), err error) {
	patience := time.NewTimer(maxWait)
	defer patience.Stop()
	select {
	case l.turn <- struct{}{}:
		return func() { <-l.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-patience.C:
		return nil, errBusy.Becausef("user name %q waited %s for other logins to be checked; "+
			"find out who tries to log in so often", a.user, maxWait)
	}
}

// mac covers a user, the hash of the configuration and a password, so that a new
// hash invalidates what is remembered.
func (l *logins) mac(a attempt) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, l.key[:])
	for _, s := range []string{a.user, a.hash, a.password} {
		part := sha256.Sum256([]byte(s))
		_, _ = h.Write(part[:])
	}
	h.Sum(sum[:0])
	return sum
}

func (l *logins) remembers(user string, mac [sha256.Size]byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	g, ok := l.good[user]
	return ok && l.now().Before(g.until) && hmac.Equal(g.mac[:], mac[:])
}

func (l *logins) lockedOut(who pair) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.failed[who]
	until := f.last.Add(lockFor)
	if f.count < lockAfter || !l.now().Before(until) {
		return nil
	}
	return errLocked.Becausef("user name %q is locked for %s until %s after %d wrong passwords; "+
		"correct the password in the client, or run graphrelay passwd for a new one",
		who.user, who.from, until.Format(time.RFC3339), lockAfter)
}

func (l *logins) succeed(who pair, user string, mac [sha256.Size]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.failed, who)
	if g := l.good[user]; g.mac != mac || !l.now().Before(g.until) {
		l.good[user] = goodLogin{mac, l.now().Add(goodFor)}
	}
}

func (l *logins) fail(who pair) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	f, known := l.failed[who]
	if !known && len(l.failed) >= maxPairs {
		l.makeRoom(now)
	}
	if now.Sub(f.last) >= lockFor {
		f.count = 0
	}
	l.failed[who] = failures{f.count + 1, now}
}

// makeRoom forgets failures that no longer count, and if those are few, any
// others up to a tenth, so that it is not called for each failure. Filling the
// memory takes longer than a lock lasts, since failed logins are slow.
func (l *logins) makeRoom(now time.Time) {
	maps.DeleteFunc(l.failed, func(_ pair, f failures) bool { return now.Sub(f.last) >= lockFor })
	for who := range l.failed {
		if len(l.failed) < maxPairs/10*9 {
			return
		}
		delete(l.failed, who)
	}
}
