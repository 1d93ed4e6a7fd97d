package bench

import (
	"strings"
	"testing"
)

func TestQuantile(t *testing.T) {
	list := []float64{5, 1, 3, 2, 4}
	if m := median(list); m != 3 {
		t.Errorf("median = %v", m)
	}
	if q := quantile(list, 0.99); q != 5 {
		t.Errorf("p99 = %v", q)
	}
	if q := quantile(nil, 0.5); q != 0 {
		t.Errorf("quantile of nothing = %v", q)
	}
	if r := ratios([]float64{6, 8}, []float64{2, 4}); r[0] != 3 || r[1] != 2 {
		t.Errorf("ratios = %v", r)
	}
	if list[0] != 5 {
		t.Error("the list was sorted in place")
	}
}

func TestReportIsATable(t *testing.T) {
	var r report
	r.row("a", 12.3456, "x")
	if s := r.String(); !strings.Contains(s, "| a | 12.35 | x |  |\n") {
		t.Errorf("%s", s)
	}
}
