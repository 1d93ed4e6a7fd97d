//go:build postgres

package nodes_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

// must runs a command on a node.
func (n *node) must(t testing.TB, want string, args ...string) {
	t.Helper()
	if out, err := n.Run(args...); err != nil || !strings.Contains(out, want) {
		t.Errorf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// find is a message in a queue as a node sees it.
func (n *node) find(id string) harness.Entry {
	list := n.Queue()
	if i := slices.IndexFunc(list, func(e harness.Entry) bool { return e.MessageID == id }); i >= 0 {
		return list[i]
	}
	return harness.Entry{}
}

type hold struct {
	Key       string
	NextProbe time.Time `json:"next_probe"`
}

// holds are those that a node knows of.
func (n *node) holds() []hold {
	var s struct{ Holds []hold }
	n.Status(&s)
	return s.Holds
}

// Commands work on any node, whichever sends the mail that they are about; and so does mail that
// is accepted there.
func TestOperatorOnTheOtherNode(t *testing.T) {
	c := newCluster(t, nil)
	one, other := c.join(), c.join()
	one.take(t, harness.Sender, "<0@operator.example>")
	sends, does := c.sender(harness.Sender, one, other)
	does.take(t, harness.Sender, "<1@operator.example>")
	c.double.WaitFor(t, 2, patience)

	// A message that waits for its next attempt is held, released, held and deleted.
	refuse := sandbox.Fault{Endpoint: "sendMail", Status: 503}
	if err := c.double.Inject(refuse); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		does.take(t, harness.Sender, fmt.Sprintf("<%d@operator.example>", n+2))
	}
	deferred := func(id string) (e harness.Entry) {
		harness.Until(t, patience, "an attempt of "+id, func() bool {
			e = sends.find(id)
			return e.State == "deferred" || e.State == "held"
		})
		return e
	}
	held, deleted := deferred("<2@operator.example>"), deferred("<3@operator.example>")
	does.must(t, "held: 2 messages", "queue", "hold", held.QueueID, deleted.QueueID)
	if e := sends.find(held.MessageID); e.State != "held" {
		t.Errorf("the node that sends sees %+v", e)
	}
	does.must(t, "1 message", "queue", "delete", "--yes", deleted.QueueID)
	c.double.ClearFaults()
	does.must(t, "due now", "queue", "retry", "--all")
	c.double.WaitFor(t, 3, patience)
	does.must(t, "released: 1 message", "queue", "release", held.QueueID)
	c.double.WaitFor(t, 4, patience)

	// A hold of the mailbox ends when a probe asked for on the other node has passed.
	c.double.SetMailboxes([]string{"else@contoso.com"})
	does.take(t, harness.Sender, "<5@operator.example>")
	var known []hold
	for _, n := range []*node{sends, does} {
		harness.Until(t, patience, "the hold", func() bool { known = n.holds(); return len(known) == 1 })
	}
	c.double.SetMailboxes(nil)
	harness.Until(t, patience, "the node to know the hold", func() bool {
		_, err := does.Run("queue", "release", "--hold", known[0].Key)
		return err == nil
	})
	last := c.double.WaitFor(t, 5, patience)[4]
	t.Logf("the hold ended %v before its next probe", known[0].NextProbe.Sub(last.At).Round(time.Second))
	for _, n := range []*node{sends, does} {
		harness.Until(t, patience, "the end of the hold", func() bool { return len(n.holds()) == 0 })
		n.WaitEmpty(patience)
	}
	for id, n := range arrived(t, c.double) {
		if n != 1 || id == deleted.MessageID {
			t.Errorf("%s arrived %d times", id, n)
		}
	}
}
