//go:build interop

package interop_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
)

// Prometheus' own tool accepts the alert rules, finds that they fire when they
// should, and finds nothing wrong with the metrics of a running relay.
func TestPromtool(t *testing.T) {
	promtool := foreign.Promtool(t)
	rules := filepath.Join("..", "..", "..", "packaging", "monitoring", "graphrelay.rules")
	for _, args := range [][]string{{"check", "rules", rules + ".yml"}, {"test", "rules", rules + "_test.yml"}} {
		if out, err := promtool(args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
	d := harness.StartDouble(t)
	r := harness.StartRelay(t, d, harness.Watched())
	if out, err := r.Run("send", "--server", r.Addr, "--to", "a@example.org"); err != nil {
		t.Fatalf("send: %v: %s", err, out)
	}
	d.WaitFor(t, 1, patience)
	scrape := r.Page("/metrics")
	check := promtool("check", "metrics")
	check.Stdin = strings.NewReader(scrape)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	checkDashboard(t, promtool)
	var health struct{ Status string }
	if err := json.Unmarshal([]byte(r.Page("/readyz")), &health); err != nil || health.Status != "ok" {
		t.Errorf("/readyz = %+v, %v", health, err)
	}
}

// checkDashboard holds each query of the dashboard against Prometheus' parser,
// as a rule, with Grafana's variables filled in.
func checkDashboard(t *testing.T, promtool foreign.Program) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "packaging", "monitoring", "graphrelay.dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	variables := regexp.MustCompile(`\$__rate_interval`)
	n := 0
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			expr, _ := json.Marshal(variables.ReplaceAllString(target.Expr, "5m")) // JSON is YAML
			rules.WriteString("  - {record: dashboard:query" + strings.Repeat("x", n) + ", expr: " +
				string(expr) + "}\n")
			n++
		}
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	harness.WriteFile(t, file, rules.String())
	if out, err := promtool("check", "rules", file).CombinedOutput(); err != nil || n < 20 {
		t.Errorf("%d queries of the dashboard: %v\n%s", n, err, out)
	}
}
