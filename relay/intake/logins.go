package intake

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const (
	// goodFor is how long a correct password need not be checked by bcrypt again:
	// devices log in for each mail.
	goodFor = 5 * time.Minute
	// lockAfter failures of one user name from one address lock this pair for
	// lockFor since the last of them.
	lockAfter = 10
	lockFor   = 15 * time.Minute
	// netLockAfter different wrong passwords for one user name from a /64 network
	// of IPv6 lock the network, where a guesser may change its address at will. An old
	// password that many devices repeat is one.
	netLockAfter = 3 * lockAfter
	// netTries is how many more may be compared with the remembered password during
	// such a lock, before only addresses pass that have logged in within recentFor.
	netTries  = 10 * netLockAfter
	recentFor = 24 * time.Hour
	// maxPairs bounds the memory that failures take, some 4 MB, and the number of
	// addresses that have logged in.
	maxPairs = 10_000
	// maxUsername is as long as a configured user name can be.
	maxUsername = 128
)

// logins checks passwords.
type logins struct {
	now  func() time.Time
	key  [32]byte  // of the remembered passwords; never leaves the process
	turn turnstile // bcrypt runs once at a time

	mu     sync.Mutex
	good   map[string]goodLogin // by user name, configured ones only
	recent map[place]time.Time  // the last login from an address
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

// failures are those of an address, or the different passwords of a /64 network.
type failures struct {
	count   int
	last    time.Time
	guesses []uint64 // of a network: the passwords, as the beginnings of their MACs
}

func (f failures) lock(now time.Time, after int) (until time.Time, locked bool) {
	until = f.last.Add(lockFor)
	return until, f.count >= after && now.Before(until)
}

func newLogins(now func() time.Time) *logins {
	l := &logins{now: now, good: map[string]goodLogin{}, recent: map[place]time.Time{}, failed: map[pair]failures{}}
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
	mac := l.mac(a)
	remembered := a.known && l.remembers(a.user, mac)
	if err := l.lockedOut(who, remembered); err != nil {
		return err
	}
	if remembered {
		l.succeed(who, a.user, mac)
		return nil
	}
	if err := l.turn.enter(ctx, a.from.wide()); err != nil {
		return err
	}
	defer l.turn.leave()
	if err := l.lockedOut(who, false); err != nil { // by those that waited before this one
		return err
	}
	right := bcrypt.CompareHashAndPassword([]byte(a.hash), []byte(a.password)) == nil
	if !right || !a.known {
		l.fail(who, mac)
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

// lockedOut returns a refusal if who is locked. The lock of an address includes a
// password that is remembered: else it would not stop a guesser from guessing that
// one. The lock of its network lets such a password pass, as long as it cannot be
// guessed either.
func (l *logins) lockedOut(who pair, remembered bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if until, locked := l.failed[who].lock(now, lockAfter); locked {
		return who.refusal(until, lockAfter)
	}
	net := pair{who.from.wide(), who.user}
	f := l.failed[net]
	until, locked := f.lock(now, netLockAfter)
	if net == who || !locked || remembered && (f.count < netLockAfter+netTries || l.knows(who.from)) {
		return nil
	}
	f.count++
	l.failed[net] = f
	return net.refusal(until, netLockAfter)
}

func (who pair) refusal(until time.Time, after int) error {
	return errLocked.Becausef("user name %q is locked for %s until %s after %d wrong passwords; "+
		"correct the password in the client, or run graphrelay passwd for a new one",
		who.user, who.from, until.Format(time.RFC3339), after)
}

// knows reports whether somebody has lately logged in from there. The caller holds mu.
func (l *logins) knows(from place) bool {
	at, ok := l.recent[from]
	return ok && l.now().Sub(at) < recentFor
}

func (l *logins) knownAt(from place) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.knows(from)
}

func (l *logins) succeed(who pair, user string, mac [sha256.Size]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	delete(l.failed, who)
	if g := l.good[user]; g.mac != mac || !now.Before(g.until) {
		l.good[user] = goodLogin{mac, now.Add(goodFor)}
	}
	if !l.knows(who.from) {
		makeRoom(l.recent, func(at time.Time) bool { return now.Sub(at) >= recentFor })
	}
	l.recent[who.from] = now
}

func (l *logins) fail(who pair, mac [sha256.Size]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count(who, nil)
	if net := (pair{who.from.wide(), who.user}); net != who {
		guess := binary.BigEndian.Uint64(mac[:])
		l.count(net, &guess)
	}
}

// count adds a failure, unless it is a guess that is known.
func (l *logins) count(who pair, guess *uint64) {
	now := l.now()
	f, known := l.failed[who]
	if now.Sub(f.last) >= lockFor {
		f = failures{}
	}
	if guess != nil {
		if slices.Contains(f.guesses, *guess) {
			return
		}
		f.guesses = append(f.guesses, *guess)
	}
	if !known {
		makeRoom(l.failed, func(f failures) bool { return now.Sub(f.last) >= lockFor })
	}
	f.count, f.last = f.count+1, now
	l.failed[who] = f
}

// makeRoom forgets what is past, when m is full, and if that is little, any others up
// to a tenth, so that it has nothing to do for the next ones. Filling the memory with
// failures takes longer than a lock lasts, since they are slow.
func makeRoom[K comparable, V any](m map[K]V, past func(V) bool) {
	if len(m) < maxPairs {
		return
	}
	maps.DeleteFunc(m, func(_ K, v V) bool { return past(v) })
	for k := range m {
		if len(m) < maxPairs/10*9 {
			return
		}
		delete(m, k)
	}
}
