//go:build system

package system

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
)

// TestARM64 runs what was built for arm64, instruction by instruction. The rest of the
// tests does so by make test-arm64.
func TestARM64(t *testing.T) {
	t.Parallel()
	foreign.Need(t, "qemu-aarch64")
	dir := t.TempDir()
	build := func(command ...string) {
		t.Helper()
		cmd := exec.Command("go", command...)
		cmd.Dir = harness.ModuleDir(t)
		cmd.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	program, suite := filepath.Join(dir, "graphrelay"), filepath.Join(dir, "suite")
	build("build", "-trimpath", "-o", program, "./cmd/graphrelay")
	build("test", "-c", "-trimpath", "-o", suite, "./relay/spool/sqlite")
	t.Run("a message from SMTP to Graph", func(t *testing.T) {
		d := harness.StartDouble(t)
		r := harness.NewRelay(t, d)
		p := harness.Start(t, exec.Command("qemu-aarch64", program, "serve", "-c", r.Config))
		harness.Until(t, patience, "a greeting", func() bool { return !p.Ended() && greetingAt(r.Addr) != "" })
		conn := harness.Hello(t, r.Addr)
		conn.Want(conn.Send(harness.Sender, []string{"you@example.org"}, harness.CRLF("From: "+harness.Sender+
			"\nTo: you@example.org\nSubject: by another processor\n\nx\n")), 250)
		d.WaitFor(t, 1, patience)
		if err := p.Stop(grace); err != nil {
			t.Errorf("after SIGTERM: %v\n%s", err, p.Tail())
		}
	})
	t.Run("the suite of the store", func(t *testing.T) {
		host(t, "qemu-aarch64", suite, "-test.run", "^TestSQLiteConforms$", "-test.timeout", "15m")
	})
}
