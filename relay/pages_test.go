package relay_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The pages for contributors name files, tests, targets and packages that exist,
// and design.md has every package of the map.
func TestPagesForContributorsNameWhatExists(t *testing.T) {
	root := ".."
	tests, targets := testsIn(t, root), readFile(t, filepath.Join(root, "Makefile"))
	for _, page := range []string{"CONTRIBUTING.md", filepath.Join("packaging", "doc", "design.md")} {
		text := readFile(t, filepath.Join(root, page))
		for _, code := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(text, -1) {
			checkName(t, page, code[1], tests, targets)
		}
		for _, link := range regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`).FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(page), link[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, link[1])
			}
		}
	}
	design := readFile(t, filepath.Join(root, "packaging", "doc", "design.md"))
	for pkg := range layer {
		if !strings.Contains(design, "`"+pkg+"`") {
			t.Errorf("packaging/doc/design.md has no row for %s: say its one idea and what it must not know", pkg)
		}
	}
}

func checkName(t *testing.T, page, name, tests, targets string) {
	t.Helper()
	word, rest, _ := strings.Cut(name, " ")
	switch {
	case regexp.MustCompile(`^Test\w+$`).MatchString(name):
		if !strings.Contains(tests, "func "+name+"(t *testing.T)") {
			t.Errorf("%s names %s, which is no test", page, name)
		}
	case word == "make" && rest != "":
		target, _, _ := strings.Cut(rest, " ")
		if !strings.Contains(targets, "\n"+target+": ") {
			t.Errorf("%s names make %s, which is no target", page, target)
		}
	case regexp.MustCompile(`^(\.github|cmd|config|packaging|relay|systemd)/[\w./-]+$`).MatchString(name):
		if _, planned := layer[name]; planned {
			return
		}
		if _, err := os.Stat(filepath.Join("..", name)); err != nil {
			t.Errorf("%s names %s, which does not exist", page, name)
		}
	}
}

// testsIn returns the lines that begin a test.
func testsIn(t *testing.T, root string) string {
	t.Helper()
	var all strings.Builder
	begin := regexp.MustCompile(`(?m)^func Test\w+\(t \*testing\.T\)`)
	for _, folder := range []string{"cmd", "config", "relay"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, _ os.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, "_test.go") {
				for _, line := range begin.FindAllString(readFile(t, path), -1) {
					all.WriteString(line + "\n")
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
