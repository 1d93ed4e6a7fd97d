package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// changed fails for a release whose section is not in CHANGELOG.md; a version between
// releases needs none.
func (p *plan) changed() error {
	if strings.ContainsAny(p.version, "+~") {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(p.root, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	section := regexp.MustCompile(`(?m)^## \[` + regexp.QuoteMeta(p.version) + `\] - \d{4}-\d\d-\d\d$`)
	if !section.Match(text) {
		return fmt.Errorf("CHANGELOG.md has no section ## [%s] - YYYY-MM-DD: rename [Unreleased] and tag again",
			p.version)
	}
	return nil
}
