package intake

import (
	"net/netip"
	"sync"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/pacing"
	"graphrelay/relay/policy"
	"graphrelay/relay/smtpd"
)

// limits counts the connections of clients and enforces their rates. The keys are
// the names of configured clients, and users of unix sockets while a connection of
// theirs is open, so memory is bounded.
type limits struct {
	mu      sync.Mutex
	open    map[owner]int
	buckets map[string]*pacing.Bucket
}

// owner is whom a connection counts for: a client by name, on a unix socket each user
// of it; nobody before a login that must come first.
type owner struct {
	client string
	user   place
}

func newLimits() *limits { return &limits{open: map[owner]int{}, buckets: map[string]*pacing.Bucket{}} }

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

// message takes one message from c's rate. If it is not accepted, the caller must
// call giveBack: only accepted messages count.
func (l *limits) message(c policy.Client, now time.Time) (giveBack func(), err error) {
	l.mu.Lock()
	b := l.buckets[c.Name]
	if b == nil || b.Rate() != c.Rate { // a reload may change it
		b = pacing.NewBucket(c.Rate)
		l.buckets[c.Name] = b
	}
	l.mu.Unlock()
	if wait, ok := b.Take(now); !ok {
		return nil, c.TooFast(wait)
	}
	return sync.OnceFunc(b.Return), nil
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
