package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
)

// A queue that is moved is sent from its new store, and never from the old one.
func TestQueueMove(t *testing.T) {
	d := harness.NewDouble(t) // does not listen yet: mail waits
	r := harness.StartRelay(t, d)
	there := harness.NewRelay(t, d)
	c := harness.Hello(t, r.Addr)
	for _, body := range []string{"one", "two"} {
		c.Want(c.Send(harness.Sender, []string{anyone}, plain(body)), 250)
	}
	waiting := len(r.Queue())
	move := func(from, to *harness.Relay, want string, flags ...string) {
		t.Helper()
		out, err := from.Run(append([]string{"queue", "move", "--to-config", to.Config}, flags...)...)
		if !strings.Contains(out, want) {
			t.Fatalf("%v: %s\nwant %s", err, out, want)
		}
	}
	move(r, r, "Both configurations name the same store; name another one in the configuration of --to-config "+
		"["+r.Store)
	move(there, r, "There is no queue to move; name its configuration with --config ["+there.Store)
	const remedy = "stop the service, on each node and with its socket units: systemctl stop graphrelay ["
	move(r, there, "Queue is in use, so it cannot be moved; "+remedy+r.Store)
	if err := r.Stop(patience); err != nil {
		t.Fatal(err)
	}
	move(r, there, "There is no move to undo; start the service", "--abort")
	move(r, there, "moved: 2 messages (2 of them in the queue), 0 MiB of mail")
	move(r, there, "Queue has been moved already")
	const refused = "Queue has been moved to another store; name that store in the configuration"
	if out, err := r.Run("serve"); err == nil || !strings.Contains(out, refused) {
		t.Errorf("a service works on the queue that was moved away: %v: %s", err, out)
	}
	there.Start()
	if now := len(there.Queue()); waiting != 2 || now != 2 {
		t.Errorf("%d messages before, %d after", waiting, now)
	}
	d.Listen(t)
	if !harness.Holds(patience, func() bool { // again, since a failed login is remembered for some seconds
		_, _ = there.Run("queue", "retry", "--all")
		return len(there.Queue()) == 0
	}) {
		t.Fatalf("mail waits in the queue that was moved\n%s", there.Tail())
	}
	if got := len(d.Received()); got != 2 {
		t.Errorf("%d messages arrived", got)
	}
	if out, err := there.Run("trace", "--to", anyone); err != nil || strings.Count(out, "sent") < 2 {
		t.Errorf("trace: %v: %s", err, out)
	}
	if left, _ := filepath.Glob(filepath.Join(there.Dir, "*.aside*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
