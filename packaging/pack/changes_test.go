package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The form is that of Keep a Changelog: versions with their days, the newest first, and
// in them the kinds of changes.
func TestTheChangelogHasItsForm(t *testing.T) {
	text, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range formOf(string(text)) {
		t.Error(fault)
	}
}

func formOf(text string) (faults []string) {
	lines := strings.Split(text, "\n")
	if lines[0] != "# Changelog" {
		faults = append(faults, "the title is "+lines[0])
	}
	version := regexp.MustCompile(`^## \[(Unreleased|\d+\.\d+\.\d+\] - (\d{4}-\d\d-\d\d)$)`)
	kind := regexp.MustCompile(`^### (Added|Changed|Deprecated|Removed|Fixed|Security)$`)
	day, versions, kinds := "9999", 0, 0
	for _, line := range lines {
		switch {
		case strings.HasPrefix(line, "## "):
			m := version.FindStringSubmatch(line)
			switch {
			case m == nil, m[1] == "Unreleased" && versions > 0:
				faults = append(faults, "no version: "+line)
			case m[2] > day:
				faults = append(faults, "newer than the version before it: "+line)
			case m[2] != "":
				day = m[2]
			}
			versions, kinds = versions+1, 0
		case strings.HasPrefix(line, "#") && versions > 0:
			if kinds++; !kind.MatchString(line) {
				faults = append(faults, "no kind of change: "+line)
			}
		case strings.HasPrefix(line, "- ") && kinds == 0:
			faults = append(faults, "of no kind: "+line)
		}
	}
	if versions == 0 {
		faults = append(faults, "no version")
	}
	return faults
}

func TestTheFormOfAChangelogIsSeen(t *testing.T) {
	const good = "# Changelog\n\n## [Unreleased]\n\n### Fixed\n\n- x\n\n" +
		"## [1.1.0] - 2026-12-01\n\n### Added\n\n- y\n"
	if faults := formOf(good); faults != nil {
		t.Errorf("a good one has %q", faults)
	}
	for _, change := range [][2]string{{"# Changelog", "# Changes"}, {"[Unreleased]", "Not released"},
		{"### Fixed", ""}, {"### Added", "### New"}, {"[1.1.0] - 2026-12-01", "1.1.0"}} {
		if bad := strings.Replace(good, change[0], change[1], 1); formOf(bad) == nil {
			t.Errorf("no fault in %q", bad)
		}
	}
}

func TestAReleaseIsInTheChangelog(t *testing.T) {
	root := t.TempDir()
	if err := write(root, "CHANGELOG.md", []byte("## [1.2.3] - 2026-12-01\n")); err != nil {
		t.Fatal(err)
	}
	for version, want := range map[string]bool{"1.2.3": true, "1.2.4": false, "1.2.4+3.gabcdef": true,
		"0.0.0~git2026.abc": true} {
		if err := (&plan{root: root, version: version}).changed(); (err == nil) != want {
			t.Errorf("%s: %v", version, err)
		}
	}
}
