package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTheChartInstallsItsImage(t *testing.T) {
	p := &plan{root: t.TempDir(), out: t.TempDir(), version: "0.0.0~git2026.abcdef", at: time.Unix(1_700_000_000, 0)}
	for name, text := range map[string]string{
		"Chart.yaml":       "apiVersion: v2\nname: graphrelay\nversion: 0.1.0\nappVersion: \"0.1.0\"\n",
		"templates/a.yaml": "a: b\n", "test/chart_test.go": "package test\n",
	} {
		if err := write(p.root, "packaging/chart/"+name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.chart(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(p.out, "graphrelay-0.0.0-git2026.abcdef.tgz")
	var chart []byte
	if err := run(exec.Command("tar", "-xzOf", file, "graphrelay/Chart.yaml"), &chart); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(chart), "version: 0.0.0-git2026.abcdef\n"+
		`appVersion: "0.0.0-git2026.abcdef"`+"\n") {
		t.Errorf("Chart.yaml is\n%s", chart)
	}
	if err := run(exec.Command("tar", "-xzOf", file, "graphrelay/test/chart_test.go"), nil); err == nil {
		t.Error("the chart's tests are in it")
	}
}
