package sandbox

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each mark in a comment, such as [D user-sendmail example 4; S SMTP2Graph], names
// grounds that SOURCES.md lists, and SOURCES.md lists no others.
func TestSourcesListEveryMark(t *testing.T) {
	page, err := os.ReadFile("SOURCES.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^\\[`]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		listed[row[1]] = false
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	marks := 0
	for _, path := range files {
		if path == "doc.go" || path == "sources_test.go" {
			continue // they explain the marks
		}
		for _, name := range namesIn(t, path) {
			marks++
			if _, known := listed[name]; name != "" && !known {
				t.Errorf("%s: SOURCES.md has no row for `%s`", path, name)
			}
			listed[name] = true
		}
	}
	if marks < 40 {
		t.Errorf("found only %d marks; the search is broken", marks)
	}
	for name, used := range listed {
		if !used {
			t.Errorf("SOURCES.md lists `%s`, which no comment names", name)
		}
	}
}

// namesIn returns the names of the marks in the comments of a file, "" for a mark
// without a name. A document must have one.
func namesIn(t *testing.T, path string) (names []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	mark, grounds := regexp.MustCompile(`\[([DSIK](?:[ ,;][^\]]*)?)\]`), regexp.MustCompile(`[,;] `)
	for _, group := range file.Comments {
		text := strings.Join(strings.Fields(group.Text()), " ")
		for _, found := range mark.FindAllStringSubmatch(text, -1) {
			for _, ground := range grounds.Split(found[1], -1) {
				kind, name, _ := strings.Cut(ground, " ")
				if !strings.Contains("DSIK", kind) { // a further document
					kind, name = "D", ground
				}
				name, _, _ = strings.Cut(name, " ")
				if name == "" && (kind == "D" || kind == "S") {
					t.Errorf("%s: %s names no document or source", path, found[0])
				}
				names = append(names, strings.TrimSuffix(name, ":"))
			}
		}
	}
	return names
}
