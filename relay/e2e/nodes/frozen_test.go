//go:build postgres

package nodes_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
)

// A node that was frozen with messages it had claimed, and wakes when another one sends the mail
// of its mailbox, sends none of them: each arrives once, from the other node, but for those
// whose requests were under way.
func TestFrozenNodeSendsNothingWhenItWakes(t *testing.T) {
	c := newCluster(t, []harness.DoubleSetting{harness.Latency(5 * time.Second)})
	one, other := c.join(), c.join()
	for n := range 10 {
		one.take(t, harness.Sender, fmt.Sprintf("<%d@frozen.example>", n))
	}
	frozen, wakes := c.sender(harness.Sender, one, other)
	claimed := func() []string { return c.rows("SELECT message_id FROM graphrelay.message WHERE state = 1") }
	harness.Until(t, patience, "messages that are claimed and not begun", func() bool { return len(claimed()) > 4 })
	frozen.Freeze()
	had := claimed()
	harness.Until(t, patience, "the other node to send the mail", func() bool {
		sends, _ := c.sender(harness.Sender, one, other)
		return sends == wakes
	})
	begun := arrived(t, c.double)
	_ = syscall.Kill(frozen.PID(), syscall.SIGCONT)
	if err := frozen.Wait(patience); err == nil {
		t.Error("a node that woke without its lease ended as if all were well")
	}
	if out, err := wakes.Run("queue", "retry", "--all"); err != nil {
		t.Errorf("queue retry: %v: %s", err, out)
	}
	wakes.WaitEmpty(3 * patience)
	times, waited := arrived(t, c.double), 0
	for _, id := range had {
		if begun[id] > 0 {
			continue
		}
		if waited++; times[id] != 1 {
			t.Errorf("%s was claimed and not begun by a node that froze, and arrived %d times", id, times[id])
		}
	}
	if len(times) != 10 || waited == 0 {
		t.Errorf("%d messages arrived; %d of %d that were claimed had not begun", len(times), waited, len(had))
	}
	t.Logf("%d claimed, %d of them not begun", len(had), waited)
}
