package bench

import (
	"fmt"
	"slices"
	"strings"
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
