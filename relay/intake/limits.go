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

// maxStrangers is how many connections that match no client may be open from one
// address before they log in.
const maxStrangers = 20

// limits counts the connections of clients and enforces their rates. The keys
// are the names of configured clients, and addresses while a connection from
// there is open, so memory is bounded.
type limits struct {
	mu        sync.Mutex
	open      map[owner]int
	strangers int // of all of open
	buckets   map[string]*pacing.Bucket
}

// owner is whom a connection counts for: a client by name, or a stranger.
type owner struct {
	client string
	from   place
}

func (o owner) stranger() bool { return o.client == "" }

func newLimits() *limits { return &limits{open: map[owner]int{}, buckets: map[string]*pacing.Bucket{}} }

// enter counts a connection of c from a place. At most allStrangers (0 = any number)
// may be strangers: the rest is left for clients, however many addresses somebody has.
func (l *limits) enter(c policy.Client, from place, allStrangers int) (owner, error) {
	who, most, refusal := owner{client: c.Name}, c.MaxConnections, c.TooMany
	if c.NeedsLogin() {
		who, most = owner{from: from.wide()}, maxStrangers
		refusal = func() error {
			return errStrangers.Becausef("%d connections from there have not logged in; "+
				"find out who opens them, or add the network to networks of a client", maxStrangers)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case most > 0 && l.open[who] >= most:
		return owner{}, refusal()
	case who.stranger() && allStrangers > 0 && l.strangers >= allStrangers:
		return owner{}, errStrangers.Becausef("%d connections in all have not logged in, "+
			"which is half of smtp.max_connections; find out who opens them, or raise that number", l.strangers)
	}
	l.open[who]++
	if who.stranger() {
		l.strangers++
	}
	return who, nil
}

func (l *limits) leave(who owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[who]--; l.open[who] <= 0 {
		delete(l.open, who)
	}
	if who.stranger() {
		l.strangers--
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
