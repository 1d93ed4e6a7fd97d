package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Binary builds graphrelay with build tags, as `make build` does, and returns
// its path. It is kept in the module's .cache, where a second call finds it up
// to date. More flags for the build may stand in $GRAPHRELAY_BUILD_FLAGS, such
// as -race.
func Binary(t testing.TB, tags ...string) string {
	t.Helper()
	dir := filepath.Join(ModuleDir(t), ".cache", "e2e")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	unlock := LockFile(t, filepath.Join(dir, "lock"))
	defer unlock()
	path := filepath.Join(dir, strings.Join(append([]string{"graphrelay"}, tags...), "-"))
	more := strings.Fields(os.Getenv("GRAPHRELAY_BUILD_FLAGS"))
	args := append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", path, "-tags", strings.Join(tags, ",")},
		more...)
	build := exec.Command("go", append(args, "graphrelay/cmd/graphrelay")...)
	if !slices.Contains(more, "-race") { // which needs cgo
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
	}
	out, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("build graphrelay: %v\n%s", err, out)
	}
	return path
}

// ModuleDir is the folder of go.mod.
func ModuleDir(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatalf("go env GOMOD: %v", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
}

// LockFile keeps test processes that run at the same time from building at once.
func LockFile(t testing.TB, path string) (unlock func()) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return func() { f.Close() }
}
