package intake

import (
	"maps"
	"net/netip"
	"sync"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/pacing"
	"graphrelay/relay/policy"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/spool"
)

// limits counts the connections of clients and enforces their rates. The keys are
// the names of configured clients, users of unix sockets while a connection of
// theirs is open, and addresses while they have used some of their rate, so memory is
// bounded.
type limits struct {
	mu      sync.Mutex
	open    map[owner]int
	buckets map[string]*pacing.Bucket
	inside  map[spool.Turn]*pacing.Bucket // of addresses and local users inside a client
	swept   time.Time                     // when those that are full again were dropped
}

// owner is whom a connection counts for: a client by name, on a unix socket each user
// of it; nobody before a login that must come first.
type owner struct {
	client string
	user   place
}

func newLimits() *limits {
	return &limits{
		open: map[owner]int{}, buckets: map[string]*pacing.Bucket{}, inside: map[spool.Turn]*pacing.Bucket{},
	}
}

// enter counts a connection of c. ofUser is the most that one user of unix sockets may
// have, where the client has no limit of its own.
func (l *limits) enter(c policy.Client, p smtpd.Peer, ofUser int) (owner, error) {
	if c.NeedsLogin() {
		return owner{}, nil
	}
	who, most, refusal := owner{client: c.Name}, c.MaxConnections, c.TooMany
	if p.Unix && most == 0 {
		who.user, most = placeOf(p), ofUser
		refusal = func() error {
			return errUser.Becausef("%s has %d connections already, a quarter of smtp.max_connections; "+
				"find out which program opens so many, or raise that number", who.user, most)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if most > 0 && l.open[who] >= most {
		return owner{}, refusal()
	}
	l.open[who]++
	return who, nil
}

func (l *limits) leave(who owner) {
	if who == (owner{}) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[who]--; l.open[who] <= 0 {
		delete(l.open, who)
	}
}

// message takes one message from the rate of c, and from that of the address or local
// user inside it. If it is not accepted, the caller must call giveBack: only accepted
// messages count.
func (l *limits) message(c policy.Client, who spool.Turn, now time.Time) (giveBack func(), err error) {
	l.mu.Lock()
	l.sweep(now)
	all, one := bucketOf(l.buckets, c.Name, c.Rate), (*pacing.Bucket)(nil)
	if c.RatePerAddress.Count > 0 {
		one = bucketOf(l.inside, who, c.RatePerAddress)
	}
	l.mu.Unlock()
	wait, ok := all.Take(now)
	if !ok {
		return nil, c.TooFast(wait)
	}
	if one == nil {
		return sync.OnceFunc(all.Return), nil
	}
	if wait, ok = one.Take(now); !ok {
		all.Return()
		return nil, c.AddressTooFast(who.Member, wait)
	}
	return sync.OnceFunc(func() {
		all.Return()
		one.Return()
	}), nil
}

// bucketOf finds the bucket of a rate, which a reload may change.
func bucketOf[K comparable](buckets map[K]*pacing.Bucket, key K, rate pacing.Rate) *pacing.Bucket {
	b := buckets[key]
	if b == nil || b.Rate() != rate {
		b = pacing.NewBucket(rate)
		buckets[key] = b
	}
	return b
}

// sweep drops buckets that new ones would equal. Of one in use the caller has taken
// something, or is about to: at worst that token is not missed.
func (l *limits) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Minute && !now.Before(l.swept) {
		return
	}
	l.swept = now
	maps.DeleteFunc(l.inside, func(_ spool.Turn, b *pacing.Bucket) bool { return b.Full(now) })
}

// place is where a peer is: its address; on a unix socket, where nobody has an
// address, the user of the system.
type place struct {
	network netip.Prefix
	user    string // empty if the kernel does not say
}

func placeOf(p smtpd.Peer) place {
	a := p.Addr.Addr()
	return place{netip.PrefixFrom(a, a.BitLen()), p.User}
}

// wide is what one peer has to itself: of IPv6 its /64 network.
func (p place) wide() place {
	p.network = envelope.NetworkOf(p.network.Addr())
	return p
}

func (p place) String() string {
	switch {
	case p.network.IsSingleIP():
		return p.network.Addr().String()
	case p.network.IsValid():
		return p.network.String()
	case p.user != "":
		return "user ID " + p.user + " on the unix socket"
	}
	return "the unix socket"
}
