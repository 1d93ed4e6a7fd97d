package monitor

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// The dashboard and the alert rules ask for metrics that exist, and the
// dashboard shows most of them.
func TestDashboardAndRulesNameMetricsThatExist(t *testing.T) {
	known := map[string]bool{}
	for _, m := range New(Config{}).described {
		known[m.Name] = true
		if m.Type == "histogram" {
			known[m.Name+"_bucket"] = true
		}
	}
	name := regexp.MustCompile(`\bgraphrelay_[a-z0-9_]+\b`)
	for file, least := range map[string]int{"graphrelay.dashboard.json": 20, "graphrelay.rules.yml": 12,
		"graphrelay.rules_test.yml": 10} {
		b, err := os.ReadFile(filepath.Join("..", "..", "packaging", "monitoring", file))
		if err != nil {
			t.Fatal(err)
		}
		used := map[string]bool{}
		for _, n := range name.FindAllString(string(b), -1) {
			if used[n] = true; !known[n] {
				t.Errorf("%s names %s, which no metric is called", file, n)
			}
		}
		if len(used) < least {
			t.Errorf("%s names %d metrics only", file, len(used))
		}
	}
}
