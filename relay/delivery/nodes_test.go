package delivery

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
	"graphrelay/relay/spool"
)

// nodes share a store in memory: each lane is of one of them, or of none.
type nodes struct {
	store *testStore
	all   []*node

	mu     sync.Mutex
	owner  map[string]*node  // by the Key of the mailbox
	moving map[string]*node  // who gets it as soon as no attempt is open there
	paces  map[string]string // what was carried
	began  []string          // "node mailbox", of each request, in order
	astray []string          // requests and claims in the lanes of others
}

// node is the store as one of them sees it, and its Delivery.
type node struct {
	*testStore
	*rig
	*nodes
	name string
	news chan struct{}
}

// newNodes starts nodes that share a store and a double. They own nothing yet.
func newNodes(t *testing.T, latency time.Duration, names ...string) *nodes {
	ns := &nodes{owner: map[string]*node{}, moving: map[string]*node{}, paces: map[string]string{}}
	graph := newDouble(latency)
	for _, name := range names {
		n := &node{rig: newRig(t, latency), nodes: ns, name: name, news: make(chan struct{}, 1)}
		if ns.store == nil {
			ns.store = n.rig.store
		}
		n.rig.store, n.testStore, n.rig.graph = ns.store, ns.store, graph
		n.cfg.Store = n
		n.cfg.Route = func(envelope.Address) (Route, bool) { return Route{Identity: "contoso", Sender: n}, true }
		ns.all = append(ns.all, n)
	}
	for _, n := range ns.all {
		n.start()
	}
	return ns
}

func (ns *nodes) stop() {
	for _, n := range ns.all {
		n.rig.stop()
	}
}

// give has a node send the mail of a mailbox, once the one before has no open attempt there.
func (ns *nodes) give(mailbox envelope.Address, to *node) {
	ns.mu.Lock()
	ns.moving[mailbox.Key()] = to
	ns.mu.Unlock()
	ns.tell()
}

// tell gives all nodes news.
func (ns *nodes) tell() {
	for _, n := range ns.all {
		want(n.news)
	}
}

// Mine implements spool.Nodes. A lane that moves is nobody's until its attempts are over.
func (n *node) Mine(mailbox envelope.Address) bool {
	lanes, _ := n.Mem.Lanes(context.Background())
	n.nodes.mu.Lock()
	defer n.nodes.mu.Unlock()
	key := mailbox.Key()
	if to := n.moving[key]; to != nil {
		if slices.ContainsFunc(lanes, func(l spool.Lane) bool { return l.Mailbox.Equal(mailbox) && l.Sending > 0 }) {
			return false
		}
		n.owner[key] = to
		delete(n.moving, key)
	}
	return n.owner[key] == n
}

func (n *node) Leads() bool           { return n == n.all[0] }
func (n *node) News() <-chan struct{} { return n.news }

// Carry keeps what the node says that has the lane.
func (n *node) Carry(mailbox envelope.Address, pace string) {
	n.nodes.mu.Lock()
	defer n.nodes.mu.Unlock()
	if n.owner[mailbox.Key()] == n {
		n.paces[mailbox.Key()] = pace
	}
}

func (n *node) Carried(mailbox envelope.Address) string {
	n.nodes.mu.Lock()
	defer n.nodes.mu.Unlock()
	return n.paces[mailbox.Key()]
}

// Claim returns none of another one's.
func (n *node) Claim(ctx context.Context, c spool.Claim) ([]spool.Record, error) {
	if !n.Mine(c.Mailbox) {
		n.nodes.mu.Lock()
		defer n.nodes.mu.Unlock()
		n.astray = append(n.astray, n.name+" claims "+c.Mailbox.Key())
		return nil, nil
	}
	return n.testStore.Claim(ctx, c)
}

func (n *node) Settle(ctx context.Context, o spool.Settlement) error {
	defer n.tell()
	return n.testStore.Settle(ctx, o)
}

func (n *node) Holds(ctx context.Context) ([]spool.Hold, error) { return n.testStore.Holds(ctx) }

func (n *node) SetHold(ctx context.Context, h spool.Hold) error {
	defer n.tell()
	return n.testStore.SetHold(ctx, h)
}

// Send notes who sends.
func (n *node) Send(ctx context.Context, mailbox envelope.Address, m graph.Mail) outcome.Answer {
	n.nodes.mu.Lock()
	at := n.name + " " + mailbox.Key()
	n.began = append(n.began, at)
	if n.owner[mailbox.Key()] != n {
		n.astray = append(n.astray, at)
	}
	n.nodes.mu.Unlock()
	return n.graph.Send(ctx, mailbox, m)
}

// sent counts the requests of each node and mailbox.
func (ns *nodes) sent() map[string]int {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	sent := map[string]int{}
	for _, s := range ns.began {
		sent[s]++
	}
	return sent
}

func (ns *nodes) wantSent(t *testing.T, want map[string]int) {
	t.Helper()
	if got := ns.sent(); !maps.Equal(got, want) {
		t.Errorf("sent %v, want %v", got, want)
	}
	if len(ns.astray) > 0 {
		t.Errorf("in lanes of others: %v", ns.astray)
	}
}

// TestALaneIsOfOneNode: whichever node takes a message in, and whatever is asked of the
// other one, the one whose lane it is sends it.
func TestALaneIsOfOneNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := newNodes(t, time.Second, "a", "b")
		a, b, box := ns.all[0], ns.all[1], addr(t, "box@contoso.com")
		b.wait(time.Second) // both have polled
		ns.give(box, a)
		m := ns.store.get(ns.store.put(box, box)).Message
		b.Notify(m)
		b.Wake(box)
		b.Delivery.ProbeNow()
		if s := b.Delivery.Status(); len(s.Lanes) > 0 {
			t.Errorf("lanes of another one: %+v", s.Lanes)
		}
		if b.Reserve(m, time.Now()) != nil {
			t.Error("the first attempt was reserved in another one's lane")
		}
		b.wait(10 * time.Minute)
		ns.wantSent(t, map[string]int{"a box@contoso.com": 1})
		ns.stop()
	})
}

// TestALaneMoves: the one that had it finishes what is under way, takes back what has not
// begun, and begins nothing more; then the other one goes on.
func TestALaneMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := newNodes(t, 10*time.Second, "a", "b")
		a, b, box := ns.all[0], ns.all[1], addr(t, "box@contoso.com")
		ns.give(box, a)
		for range 20 {
			ns.store.put(box, box)
		}
		a.wait(2 * time.Second) // for the polls
		ns.wantSent(t, map[string]int{"a box@contoso.com": 3})
		ns.give(box, b)
		b.wait(5 * time.Second)
		if got := ns.store.Counts()[spool.Sending]; got != 3 {
			t.Errorf("%d attempts are open, want those under way", got)
		}
		b.wait(10 * time.Second)
		if s := a.Delivery.Status(); len(s.Lanes) > 0 {
			t.Errorf("the lane that moved is still here: %+v", s.Lanes)
		}
		b.wait(5 * time.Minute)
		ns.wantSent(t, map[string]int{"a box@contoso.com": 3, "b box@contoso.com": 17})
		if got := b.graph.most["box@contoso.com"]; got != 3 {
			t.Errorf("%d requests at once, want 3", got)
		}
		ns.stop()
	})
}

// TestNothingIsReservedInALaneThatMoves, though nothing waits in it.
func TestNothingIsReservedInALaneThatMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := newNodes(t, 10*time.Second, "a", "b")
		a, b, box := ns.all[0], ns.all[1], addr(t, "box@contoso.com")
		ns.give(box, a)
		a.wait(2 * time.Second) // for the polls
		first := ns.store.get(ns.store.put(box, box)).Message
		a.Notify(first)
		a.wait(time.Second)
		second := first
		second.ID = "2"
		for _, mine := range []bool{true, false} {
			if !mine {
				ns.give(box, b)
			}
			end := a.Reserve(second, time.Now())
			if (end != nil) != mine {
				t.Errorf("reserved: %t, want %t", end != nil, mine)
			}
			if end != nil {
				end(false)
			}
		}
		ns.stop()
	})
}

// TestNewsWakesThePoll: mail that another node took in leaves within the spacing of polls.
func TestNewsWakesThePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := newNodes(t, time.Second, "a", "b")
		a, box := ns.all[0], addr(t, "box@contoso.com")
		ns.give(box, a)
		a.wait(30 * time.Second)
		id := ns.store.put(box, box)
		ns.tell()
		a.wait(3 * time.Second)
		a.wantState(id, spool.Sent)
		ns.stop()
	})
}
