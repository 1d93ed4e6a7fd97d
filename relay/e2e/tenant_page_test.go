package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
)

// The rehearsal that packaging/doc/tenant-setup.md begins with runs as it is printed, but
// for the ports, and ends as the page says.
func TestTheRehearsalOfThePage(t *testing.T) {
	page, err := os.ReadFile("../../packaging/doc/tenant-setup.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "\n```sh\n")
	block, after, _ := strings.Cut(rest, "\n```\n")
	listen, console := harness.FreeAddr(t), harness.FreeAddr(t)
	const start, tenant = "graphrelay sandbox --dir sandbox &\n", "graphrelay sandbox tenant "
	if !strings.HasPrefix(block, start) || strings.Count(block, tenant) != 1 {
		t.Fatalf("the rehearsal is another one:\n%s", block)
	}
	script := "trap 'kill $!' EXIT\n" + strings.NewReplacer(
		start, fmt.Sprintf("graphrelay sandbox --dir sandbox --listen %s --page %s >double.log 2>&1 &\n"+
			"until grep -q Ready double.log; do sleep 0.1; done\n", listen, console),
		tenant, tenant+"--page "+console+" ").Replace(block)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-e", "-c", script)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(harness.Binary(t))+":"+os.Getenv("PATH"))
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	last := lines[len(lines)-1]
	told := strings.Join(strings.Fields(after), " ")
	if err != nil || last == "" || !strings.Contains(told, "`"+last+"`") {
		t.Errorf("%v: it ends with %q, which is not what the page says:\n%s", err, last, out)
	}
}
