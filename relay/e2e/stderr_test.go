package e2e_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"graphrelay/relay/e2e/harness"
)

// Standard error that nobody reads does not delay mail, and one whose reader is gone
// does not end the service. What is lost is counted.
func TestStandardErrorThatNobodyReads(t *testing.T) {
	d := harness.StartDouble(t)
	r := harness.NewRelay(t, d, harness.Watched(), harness.With("log", "level: debug"))
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(write.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `exec "$0" serve -c "$1" 2>&3 3>&-`, harness.Binary(t), r.Config)
	cmd.ExtraFiles = []*os.File{write}
	p := harness.Start(t, cmd)
	write.Close()
	r.Process = p
	r.WaitReady()
	send := func(n int) {
		t.Helper()
		c := harness.Hello(t, r.Addr)
		defer c.Close()
		for range n {
			c.Want(c.Send(harness.Sender, []string{anyone}, plain("unread")), 250)
		}
	}
	send(50) // each writes more than a hundred bytes, several times
	read.Close()
	send(50)
	if p.Ended() {
		t.Fatal("the service ended")
	}
	harness.Until(t, patience, "lost lines to be counted", func() bool {
		page := r.Page("/metrics")
		return strings.Contains(page, "graphrelay_log_lines_lost_total ") &&
			!strings.Contains(page, "graphrelay_log_lines_lost_total 0\n")
	})
	if err := p.Stop(patience); err != nil {
		t.Errorf("it ends with %v", err)
	}
}
