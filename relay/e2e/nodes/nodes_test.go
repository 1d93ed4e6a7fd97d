//go:build postgres

package nodes_test

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

// slots is how many messages of a mailbox are sent at once, unless configured.
const slots = 3

// mailboxes are so many addresses to send from, each its own mailbox.
func mailboxes(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("m%d@contoso.com", i))
	}
	return list
}

// Every node accepts mail and sends that of its mailboxes. A node that joins gets some, one that
// stops leaves its own to the others, and nobody has to wait for the end of its lease.
func TestNodesShareTheWork(t *testing.T) {
	from := mailboxes(6)
	c := newCluster(t, []harness.DoubleSetting{harness.Latency(300 * time.Millisecond), harness.NoThrottling()},
		harness.Senders(from...))
	one, other := c.join(), c.join()
	l := startLoad(t, 4, from, one, other)
	harness.Until(t, patience, "both nodes to send", func() bool { return one.sent() > 10 && other.sent() > 10 })
	third := c.join()
	harness.Until(t, patience, "mailboxes of a node that has joined", func() bool {
		return len(c.lanes(third)) > 0 && third.sent() > 5
	})
	if err := one.Stop(patience); err != nil {
		t.Errorf("an orderly stop: %v\n%s", err, one.Tail())
	}
	if left := c.rows("SELECT id FROM graphrelay.node_lease WHERE until > now() AND id = " + one.id); len(left) > 0 {
		t.Error("a node that has stopped keeps its lease")
	}
	l.more(t, 30)
	harness.Until(t, patience, "the mailboxes of a node that has stopped to be taken over", func() bool {
		return len(c.lanes(one)) == 0 && len(c.lanes(other))+len(c.lanes(third)) == len(from)
	})
	l.judge(c, other)
	c.limits(slots)
	if unknown := c.interrupted(); len(unknown) > 0 {
		t.Errorf("%d attempts were interrupted, and no node died", len(unknown))
	}
}

// However many nodes accept mail of a mailbox, and while its mail passes from one to another, no
// more of it is sent at once than one node may send alone.
func TestLimitOfAMailboxHoldsOverAllNodes(t *testing.T) {
	from := mailboxes(5)
	c := newCluster(t, []harness.DoubleSetting{harness.Latency(time.Second), harness.NoThrottling()},
		harness.Senders(from...))
	nodes := []*node{c.join(), c.join()}
	const each = 9
	for n := range each {
		for m, mailbox := range from {
			for i, node := range nodes {
				node.take(t, mailbox, fmt.Sprintf("<%d.%d.%d@limit.example>", n, m, i))
			}
		}
	}
	nodes = append(nodes, c.join(), c.join()) // while requests are under way
	for _, n := range nodes {
		n.WaitEmpty(patience)
	}
	c.limits(slots)
	for mailbox, s := range c.double.Stats().Mailboxes {
		if s.MaxConcurrent < slots {
			t.Errorf("%s had only %d requests at once", mailbox, s.MaxConcurrent)
		}
	}
	times := arrived(t, c.double)
	for id, n := range times {
		if n != 1 {
			t.Errorf("%s arrived %d times", id, n)
		}
	}
	if want := each * len(from) * 2; len(times) != want {
		t.Errorf("%d of %d messages arrived", len(times), want)
	}
}

// When a node is killed under load another one delivers what it had accepted; one that was
// frozen ends when it wakes, and works again when it is started again.
func TestKilledAndFrozenNodes(t *testing.T) {
	from := mailboxes(4)
	c := newCluster(t, []harness.DoubleSetting{harness.Latency(20 * time.Millisecond)}, harness.Senders(from...))
	one, other := c.join(), c.join()
	l := startLoad(t, 4, from, one, other)
	harness.Until(t, patience, "both nodes to send", func() bool { return one.sent() > 10 && other.sent() > 10 })
	one.Kill()
	c.takesOver(one)
	l.more(t, 30)
	c.start(one)
	harness.Until(t, patience, "a node that has come back to send", func() bool { return one.sent() > 10 })
	other.Freeze()
	c.takesOver(other)
	l.more(t, 30)
	_ = syscall.Kill(other.PID(), syscall.SIGCONT)
	if err := other.Wait(patience); err == nil || !strings.Contains(other.Output(), endOfDisplaced) {
		t.Errorf("a node that woke without its lease: %v\n%s", err, other.Tail())
	}
	c.start(other)
	l.more(t, 30)
	l.judge(c, one)
	c.limits(slots)
	for _, n := range []*node{one, other} {
		out, err := n.Run("status")
		if err != nil || !strings.Contains(out, "store: PostgreSQL 1") ||
			!strings.Contains(out, "no synchronous standby") {
			t.Errorf("status: %v: %s", err, out)
		}
		if out, err := n.Run("reload"); err != nil {
			t.Errorf("reload: %v: %s", err, out)
		}
		if out, _ := n.Run("doctor"); strings.Contains(out, "in use by") ||
			!strings.Contains(out, "no synchronous standby: a failover can lose accepted mail") {
			t.Errorf("doctor: %s", out)
		}
		if err := n.Stop(patience); err != nil {
			t.Errorf("an orderly stop: %v\n%s", err, n.Tail())
		}
	}
}

// endOfDisplaced is the last line of a node whose lease another one has ended.
const endOfDisplaced = "graphrelay: Another node"

// takesOver waits until another node has ended the lease of one that says nothing any more, and
// sends the mail of its mailboxes.
func (c *cluster) takesOver(silent *node) {
	c.t.Helper()
	lanes, began := c.lanes(silent), time.Now()
	if len(lanes) == 0 {
		c.t.Error("the node had no mailbox")
	}
	harness.Until(c.t, patience, "the lease of a node to be ended", func() bool {
		return len(c.rows("SELECT id FROM graphrelay.node_lease WHERE id = "+silent.id)) == 0
	})
	before := len(c.double.Received())
	harness.Until(c.t, patience, "the first message of a mailbox of that node", func() bool {
		return slices.ContainsFunc(c.double.Received()[before:], func(m harness.Message) bool {
			return slices.Contains(lanes, m.Mailbox)
		})
	})
	c.t.Logf("the first message left after %v", time.Since(began).Round(100*time.Millisecond))
}

// When the database fails over to its standby under load, the nodes go on with it.
func TestDatabaseFailsOver(t *testing.T) {
	from := mailboxes(4)
	c := newCluster(t, []harness.DoubleSetting{harness.Latency(20 * time.Millisecond)}, harness.Senders(from...))
	standby := c.server.Standby(t)
	hosts := fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d", c.server.Port, standby.Port)
	c.url = strings.Replace(c.url, fmt.Sprintf("127.0.0.1:%d", c.server.Port), hosts, 1)
	one, other := c.join(), c.join()
	l := startLoad(t, 4, from, one, other)
	harness.Until(t, patience, "both nodes to send", func() bool { return one.sent() > 10 && other.sent() > 10 })
	if err := c.server.Kill(); err != nil {
		t.Fatal(err)
	}
	standby.Promote(t)
	c.server = standby
	l.more(t, 30)
	for _, n := range []*node{one, other} { // as systemd does where a node's lease has expired meanwhile
		if n.Ended() {
			c.start(n)
		}
	}
	sent := [2]int{one.sent(), other.sent()}
	harness.Until(t, patience, "both nodes to send again", func() bool {
		return one.sent() > sent[0] && other.sent() > sent[1]
	})
	l.judge(c, one)
	c.limits(slots)
}

// A mailbox that Microsoft has told to wait waits on, whoever sends its mail next.
func TestRetryAfterOutlivesItsNode(t *testing.T) {
	const wait = time.Minute
	c := newCluster(t, nil)
	one, other := c.join(), c.join()
	throttled := sandbox.Fault{Endpoint: "sendMail", Status: 429, RetryAfter: wait, Count: 1}
	if err := c.double.Inject(throttled); err != nil {
		t.Fatal(err)
	}
	asked := time.Now()
	one.take(t, harness.Sender, "<first@wait.example>")
	sends, next := c.sender(harness.Sender, one, other)
	harness.Until(t, patience, "the pause to be kept", func() bool {
		return slices.ContainsFunc(c.rows("SELECT pace FROM graphrelay.lane"), func(pace string) bool {
			return strings.Contains(pace, "asked")
		})
	})
	sends.Kill()
	next.take(t, harness.Sender, "<second@wait.example>")
	for _, m := range c.double.WaitFor(t, 2, 2*patience) {
		if early := asked.Add(wait).Sub(m.At); early > 0 {
			t.Errorf("%s arrived %v before the time that Microsoft named", m.MessageID, early)
		}
	}
	if got := c.double.Stats().Answers["sendMail"][429]; got != 1 {
		t.Errorf("%d requests were answered 429", got)
	}
}
