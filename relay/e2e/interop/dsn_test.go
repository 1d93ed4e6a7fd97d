//go:build interop

package interop

import (
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/relay/e2e/foreign"
)

// TestPythonReadsReports: the reports that relay/dsn makes (its own test holds
// them to these files) can be read by a program of other people.
func TestPythonReadsReports(t *testing.T) {
	python := foreign.Python(t)
	for name, want := range map[string][]string{
		"failed.eml": {"Not sent: Rechnung für März | auto-replied | dns; relay.contoso.local",
			"rfc822; one@example.net | failed | 5.1.3", "=?utf-8?q?Rechnung_f=C3=BCr_M=C3=A4rz?="},
		"delayed.eml": {"Delayed: Rechnung für März | auto-replied", "rfc822; one@example.net | delayed | 4.7.0"},
	} {
		report, err := filepath.Abs("../../dsn/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		cmd := python("testdata/parse_dsn.py", report)
		cmd.Env = append(cmd.Environ(), "PYTHONIOENCODING=utf-8")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		for _, s := range want {
			if !strings.Contains(string(out), s) {
				t.Errorf("%s: Python reads\n%s, which lacks %q", name, out, s)
			}
		}
	}
}
