//go:build bench

package bench

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// machine describes where the figures come from.
func machine(dir string) string {
	return fmt.Sprintf("%d cores (%s), %s, %s, Linux %s, %s", runtime.NumCPU(), cpuModel(), diskOf(dir),
		runtime.Version(), strings.TrimSpace(readAll("/proc/sys/kernel/osrelease")), time.Now().UTC().Format(
			"2006-01-02"))
}

func cpuModel() string {
	for _, line := range strings.Split(readAll("/proc/cpuinfo"), "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

// diskOf names the file system type and device that hold dir.
func diskOf(dir string) string {
	best, text := "", "unknown disk"
	for _, line := range strings.Split(readAll("/proc/mounts"), "\n") {
		f := strings.Fields(line)
		if len(f) > 2 && strings.HasPrefix(dir+"/", strings.TrimSuffix(f[1], "/")+"/") && len(f[1]) > len(best) {
			best, text = f[1], f[2]+" on "+f[0]
		}
	}
	return text
}

func readAll(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}

// cpu is the processor time that this process, the double's, has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// preferSelf lets this process run before the relay: Graph, whose double lives
// here, does not share the relay's processors in the field. It does nothing
// where that is not allowed.
func preferSelf() {
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, task := range tasks {
		if id, err := strconv.Atoi(task.Name()); err == nil {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, -10)
		}
	}
}
