//go:build postgres

package nodes_test

import (
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/spool/postgres/pgtest"
)

// A node that was frozen with messages it had claimed, and wakes when another one has the
// queue, sends none of them: each arrives once, from the other node, but for those whose
// requests were under way.
func TestFrozenNodeSendsNothingWhenItWakes(t *testing.T) {
	t.Parallel()
	server := pgtest.For(t)
	url := server.Database(t)
	d := harness.StartDouble(t, harness.Latency(5*time.Second))
	one, other := startPair(t, d, url)
	for n := range 10 {
		nc, err := net.Dial("tcp", one.Addr)
		if err == nil {
			err = deliver(nc, fmt.Sprintf("<%d@frozen.example>", n))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	name := pgtest.Name(url)
	var claimed []string
	harness.Until(t, patience, "messages that are claimed and not begun", func() bool {
		claimed = server.Exec(t, name, "SELECT message_id FROM graphrelay.message WHERE state = 1")
		return len(claimed) > 4
	})
	one.Freeze()
	claimed = server.Exec(t, name, "SELECT message_id FROM graphrelay.message WHERE state = 1")
	other.WaitReady()
	times := func() map[string]int {
		times := map[string]int{}
		for _, m := range d.Received() {
			times[m.MessageID]++
		}
		return times
	}
	begun := times()
	_ = syscall.Kill(one.PID(), syscall.SIGCONT)
	if err := one.Wait(patience); err == nil {
		t.Error("a node that woke without the lease ended as if all were well")
	}
	if out, err := other.Run("queue", "retry", "--all"); err != nil {
		t.Errorf("queue retry: %v: %s", err, out)
	}
	other.WaitEmpty(3 * patience)
	waited := 0
	for _, id := range claimed {
		if begun[id] > 0 {
			continue
		}
		if waited++; times()[id] != 1 {
			t.Errorf("%s was claimed and not begun by a node that froze, and arrived %d times", id, times()[id])
		}
	}
	if len(times()) != 10 || waited == 0 {
		t.Errorf("%d messages arrived; %d of %d that were claimed had not begun", len(times()), waited, len(claimed))
	}
	t.Logf("%d claimed, %d of them not begun", len(claimed), waited)
}
