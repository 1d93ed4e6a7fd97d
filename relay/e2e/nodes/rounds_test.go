//go:build postgres

package nodes_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

// round is one fault, or one thing that administrators do, of which the ledger must know nothing.
type round struct {
	name string
	do   func(c *cluster, n *node, l *load)
}

var rounds = []round{
	{"kill a node", func(c *cluster, n *node, _ *load) {
		n.Kill()
		somewhile(20)
		c.start(n)
	}},
	{"freeze a node beyond its lease", func(c *cluster, n *node, _ *load) {
		n.Freeze()
		time.Sleep(20 * time.Second)
		_ = syscall.Kill(n.PID(), syscall.SIGCONT)
		if err := n.Wait(patience); err == nil {
			c.t.Error("a node that woke without its lease ended as if all were well")
		}
		c.start(n)
	}},
	{"freeze a node for a moment", func(_ *cluster, n *node, _ *load) {
		n.Freeze()
		somewhile(8)
		_ = syscall.Kill(n.PID(), syscall.SIGCONT)
	}},
	{"restart a node", func(c *cluster, n *node, _ *load) {
		if err := n.Stop(patience); err != nil {
			c.t.Errorf("an orderly stop: %v\n%s", err, n.Tail())
		}
		c.start(n)
	}},
	{"a node joins and leaves", func(c *cluster, _ *node, l *load) {
		guest := c.join()
		l.more(c.t, 50)
		if err := guest.Stop(patience); err != nil {
			c.t.Errorf("an orderly stop: %v\n%s", err, guest.Tail())
		}
	}},
	{"the database crashes", func(c *cluster, _ *node, _ *load) {
		if err := c.server.Kill(); err != nil {
			c.t.Fatal(err)
		}
		somewhile(5)
		if err := c.server.Launch(); err != nil {
			c.t.Fatal(err)
		}
	}},
	{"hold, retry and release", func(c *cluster, n *node, l *load) {
		n.must(c.t, "", "queue", "hold", "--mailbox", l.mailboxes[rand.IntN(len(l.mailboxes))])
		l.more(c.t, 10)
		n.must(c.t, "", "queue", "retry", "--all")
		n.must(c.t, "", "queue", "release", "--all")
	}},
}

func somewhile(seconds int) { time.Sleep(time.Duration(rand.IntN(seconds*1000)) * time.Millisecond) }

// Three nodes under load, one of which, or the database, has a fault in each of NODES_ROUNDS rounds,
// while the double throttles and fails now and then: every message that was answered 250 arrives,
// none twice but those whose attempt was interrupted, and never more at once from a mailbox than
// one node may send, but for the one that a mailbox keeps while a dead node's requests may run.
func TestRoundsOfFaults(t *testing.T) {
	count, err := strconv.Atoi(os.Getenv("NODES_ROUNDS"))
	if err != nil {
		count = 3
	}
	c := newCluster(t, []harness.DoubleSetting{harness.Latency(200 * time.Millisecond), harness.NoThrottling()},
		harness.Senders(mailboxes(6)...))
	nodes := []*node{c.join(), c.join(), c.join()}
	for _, f := range []sandbox.Fault{
		{Endpoint: "sendMail", Status: 429, RetryAfter: 3 * time.Second, Percent: 1},
		{Endpoint: "sendMail", Status: 503, Percent: 1},
	} {
		if err := c.double.Inject(f); err != nil {
			t.Fatal(err)
		}
	}
	l := startLoad(t, 5, mailboxes(6), nodes...)
	l.more(t, 50)
	for n := range count {
		r := rounds[rand.IntN(len(rounds))]
		t.Logf("%s round %d: %s", time.Now().UTC().Format(time.TimeOnly), n, r.name)
		r.do(c, nodes[rand.IntN(len(nodes))], l)
		l.more(t, 40)
		for _, n := range nodes { // as systemd does
			if n.Ended() {
				t.Logf("a node ended:\n%s", n.Tail())
				c.start(n)
			}
		}
	}
	l.end()
	c.double.ClearFaults()
	nodes[0].must(t, "", "queue", "release", "--all")
	l.judge(c, nodes[0])
	c.limits(slots + 1)
}
