package foreign

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
)

// CacheDir returns the folder in which fetched programs are kept, made if absent.
func CacheDir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("GRAPHRELAY_CACHE")
	if dir == "" {
		dir = filepath.Join(harness.ModuleDir(t), ".cache")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// LeaveOut ends the test because something it needs is not to be had: a
// failure where CI=true, else a skip that says what was left out.
func LeaveOut(t testing.TB, format string, args ...any) {
	t.Helper()
	text := fmt.Sprintf(format, args...)
	if os.Getenv("CI") == "true" {
		t.Fatalf("cannot run in CI: %s", text)
	}
	t.Skipf("LEFT OUT: %s", text)
}

// NeedRoot leaves the test out for anybody but root.
func NeedRoot(t testing.TB, why string) {
	t.Helper()
	if os.Geteuid() != 0 {
		LeaveOut(t, "needs root: %s", why)
	}
}

// Need leaves the test out where one of the machine's programs is missing.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			LeaveOut(t, "needs the program %s", p)
		}
	}
}

// entry returns the folder name below the cache, filled by fill when it is not
// there yet. fill works in a folder of its own that becomes the entry by a
// rename, so a broken-off fetch leaves nothing behind.
func entry(t testing.TB, name string, fill func(dir string) error) string {
	t.Helper()
	cache := CacheDir(t)
	unlock := harness.LockFile(t, filepath.Join(cache, "lock"))
	defer unlock()
	final := filepath.Join(cache, name)
	if _, err := os.Stat(final); err == nil {
		return final
	}
	work := final + ".part"
	if err := os.RemoveAll(work); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(work, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := fill(work); err != nil {
		os.RemoveAll(work)
		LeaveOut(t, "fetching %s: %v", name, err)
	}
	if err := os.Rename(work, final); err != nil {
		t.Fatal(err)
	}
	return final
}

func run(dir, program string, args ...string) error {
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, tail(out, 500))
	}
	return nil
}

func tail(b []byte, n int) string {
	return strings.TrimSpace(string(b[max(0, len(b)-n):]))
}
