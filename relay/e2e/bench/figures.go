package bench

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// median of a list; 0 of none.
func median(list []float64) float64 { return quantile(list, 0.5) }

// quantile returns the value below which the share q of the list lies.
func quantile(list []float64, q float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// ratios divides pairwise.
func ratios(a, b []float64) []float64 {
	out := make([]float64, min(len(a), len(b)))
	for i := range out {
		out[i] = a[i] / b[i]
	}
	return out
}

// report collects the rows of a Markdown table.
type report struct{ rows [][]string }

func (r *report) row(what string, cells ...any) {
	line := []string{what}
	for _, c := range cells {
		switch v := c.(type) {
		case float64:
			line = append(line, fmt.Sprintf("%.4g", v))
		default:
			line = append(line, fmt.Sprint(v))
		}
	}
	r.rows = append(r.rows, line)
}

func (r *report) String() string {
	var b strings.Builder
	b.WriteString("| what | graphrelay | beside it | target |\n|---|---|---|---|\n")
	for _, row := range r.rows {
		for len(row) < 4 {
			row = append(row, "")
		}
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
	}
	return b.String()
}

// machine describes where the figures come from.
func machine(dir string) string {
	return fmt.Sprintf("%d cores (%s), %s, %s, Linux %s, %s", runtime.NumCPU(), cpuModel(), diskOf(dir),
		runtime.Version(), strings.TrimSpace(readAll("/proc/sys/kernel/osrelease")), time.Now().UTC().Format("2006-01-02"))
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
