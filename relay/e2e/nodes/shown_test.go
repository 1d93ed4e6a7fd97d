//go:build postgres

package nodes_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
	"graphrelay/relay/state"
)

// shown is what status --json says of the nodes, and of what one does for all of them.
type shown struct {
	Nodes  []state.Node
	Holds  []hold
	Audits []struct{ Passed bool }
	Canary struct{ Stage string }
}

func (n *node) status() (s shown) {
	n.Status(&s)
	return s
}

// leader waits until one of the nodes leads, and all of them show it.
func leader(t *testing.T, nodes ...*node) (leads int) {
	t.Helper()
	harness.Until(t, patience, "all nodes and their leader to be shown", func() bool {
		for i, n := range nodes {
			s := n.status()
			is := slices.IndexFunc(s.Nodes, func(n state.Node) bool { return n.Leads })
			if len(s.Nodes) != len(nodes) || is < 0 {
				return false
			}
			if s.Nodes[is].This {
				leads = i
			}
		}
		return true
	})
	return leads
}

func mayReadHeaders(o *sandbox.Options) { o.Granted = []string{"Mail.ReadBasic"} }

// What is done once for all is done by one of the nodes, and shown by each: an audit, which stops
// the mail of all of them until any is asked to try again, and the canary. When that node is
// killed, the other goes on with both.
func TestOneNodeLeads(t *testing.T) {
	const denied = "denied@contoso.com"
	c := newCluster(t, []harness.DoubleSetting{mayReadHeaders}, harness.With("identity", "denied_mailbox: "+denied),
		harness.With("top", "audit: {every: 24h, on_failure: stop, canary: "+harness.Sender+"}"))
	nodes := []*node{c.join(), c.join()}
	i := leader(t, nodes...)
	leads, follows := nodes[i], nodes[1-i]
	both := func(what string, is func(s shown) bool) {
		t.Helper()
		for _, n := range nodes {
			harness.Until(t, patience, what, func() bool { return is(n.status()) })
		}
	}
	both("the audit's stop", func(s shown) bool {
		return len(s.Holds) == 1 && len(s.Audits) == 1 && !s.Audits[0].Passed
	})
	follows.take(t, harness.Sender, "<0@shown.example>")
	c.double.SetAllowed([]string{harness.Sender})
	follows.must(t, "auditing for hold audit:default", "queue", "release", "--hold", "audit:default")
	both("the end of the stop", func(s shown) bool {
		return len(s.Holds) == 0 && len(s.Audits) == 1 && s.Audits[0].Passed
	})
	c.double.WaitFor(t, 2, patience) // with the canary
	both("the canary's arrival", func(s shown) bool { return s.Canary.Stage == "arrived" })
	lines := regexp.MustCompile(`(?m)^node: \S+/\d+(, this one)?(, leads)?: sends for \d mailbox(es)?, seen \d+ s ago$`)
	for _, n := range nodes {
		if out, err := n.Run("status"); err != nil || len(lines.FindAllString(out, -1)) != 2 ||
			strings.Count(out, ", leads:") != 1 || strings.Count(out, ", this one") != 1 {
			t.Errorf("status: %v: %s", err, out)
		}
		page := n.Page("/metrics")
		for _, want := range []string{"node_lanes{", "node_leads{", "node_seen_seconds{"} {
			if strings.Count(page, "\ngraphrelay_"+want) != 2 {
				t.Errorf("metrics: %s", page)
			}
		}
		if out, _ := n.Run("doctor"); !strings.Contains(out, "nodes that work on the queue: ") {
			t.Errorf("doctor: %s", out)
		}
	}
	leads.Kill()
	if leader(t, follows); len(c.rows("SELECT 1 FROM graphrelay.node_lease WHERE until > now()")) != 1 {
		t.Error("the lease of the node that was killed lasts")
	}
	follows.take(t, harness.Sender, "<1@shown.example>")
	canaries := 0
	for _, m := range c.double.WaitFor(t, 3, patience) {
		if strings.HasPrefix(m.MessageID, "<canary-") {
			canaries++
		}
	}
	if s := follows.status(); s.Canary.Stage != "arrived" || len(s.Audits) != 1 || !s.Audits[0].Passed {
		t.Errorf("the node that is left shows %+v", s)
	}
	if n := len(c.double.Received()); canaries != 1 || n != 3 {
		t.Errorf("%d canaries, and %d messages in all", canaries, n)
	}
}

// A queue is moved away while no node works on it, even if the last one was killed a moment ago.
func TestMoveWaitsForTheNodes(t *testing.T) {
	c := newCluster(t, nil)
	one, other := c.join(), c.join()
	there := harness.NewRelay(t, c.double)
	if err := one.Stop(patience); err != nil {
		t.Error(err)
	}
	move := []string{"queue", "move", "--to-config", there.Config}
	out, err := one.Run(move...)
	if err == nil || !strings.Contains(out, "works on the queue; waiting for up to 20 s") ||
		!strings.Contains(out, "Queue is in use, so it cannot be moved; stop the service") {
		t.Errorf("%v: %s", err, out)
	}
	other.Kill()
	if out, err = one.Run(move...); err != nil || !strings.Contains(out, "works on the queue; waiting for") ||
		!strings.Contains(out, "moved: 0 messages") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := other.Run("serve"); err == nil || !strings.Contains(out, "Queue has been moved to another store") {
		t.Errorf("%v: %s", err, out)
	}
	there.Start()
}

// Bounces are read in the mailboxes of all nodes by the one that leads, and each is reported once,
// though it dies and another reads on.
func TestBouncesOfAllNodesAreReadOnce(t *testing.T) {
	from := mailboxes(4)
	c := newCluster(t, []harness.DoubleSetting{func(o *sandbox.Options) { o.Granted = []string{"Mail.Read"} }},
		harness.Senders(from...), harness.With("delivery", "track_bounces: full"),
		harness.With("top", "reports: {postmaster: admin@contoso.com}", "default_sender: "+from[0]))
	nodes := []*node{c.join(), c.join()}
	i := leader(t, nodes...)
	bounce := func(round, known int) {
		t.Helper()
		for _, m := range from {
			nodes[1-i].take(t, m, fmt.Sprintf("<%d.%s>", round, m))
		}
		c.double.WaitFor(t, known+len(from), patience)
		for _, m := range c.double.Messages()[known:] {
			if err := c.double.Bounce(m.ID, "exchange", "to@contoso.com"); err != nil {
				t.Fatal(err)
			}
		}
		reports := c.double.WaitFor(t, known+2*len(from), 2*patience)[known+len(from):]
		for _, m := range reports {
			if !slices.Equal(m.Recipients, []string{"admin@contoso.com"}) {
				t.Errorf("instead of a report came %+v", m)
			}
		}
	}
	bounce(1, 0)
	nodes[i].Kill()
	leader(t, nodes[1-i])
	bounce(2, 2*len(from))
	out, err := nodes[1-i].Run("trace", "--undelivered", "--since", "1h")
	if n := strings.Count(out, "bounced for"); err != nil || n != 2*len(from) || c.double.Count() != 4*len(from) {
		t.Errorf("%d bounces, %d messages in all, %v:\n%s", n, c.double.Count(), err, out)
	}
}
