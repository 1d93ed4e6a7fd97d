package config

import (
	"errors"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata/invalid-*.txt; then read the difference")

// Each testdata/invalid-RULE.yaml is refused with exactly the text in
// invalid-RULE.txt.
func TestInvalidFiles(t *testing.T) {
	for _, path := range invalidFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			got := refusal(t, path) + "\n"
			golden := strings.TrimSuffix(path, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := read(t, golden); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// Every message has the form that an administrator and an editor can follow.
func TestInvalidFilesNameLineAndRemedy(t *testing.T) {
	form := regexp.MustCompile(`^invalid-[a-z0-9-]+\.yaml:[1-9][0-9]*: [^;]+; [^;]+`)
	for _, path := range invalidFiles(t) {
		for line := range strings.Lines(refusal(t, path)) {
			if !form.MatchString(line) {
				t.Errorf("%s: message has no file, line, fault and remedy: %s", path, line)
			}
			if strings.Contains(line, "hunter2") {
				t.Errorf("%s: message repeats a secret: %s", path, line)
			}
		}
	}
}

// Every mistake in the source is in some golden message, so that no rule
// lacks its file.
func TestEveryRuleHasAFile(t *testing.T) {
	var messages strings.Builder
	for _, path := range invalidFiles(t) {
		messages.WriteString(refusal(t, path))
	}
	messages.WriteString(elsewhere)
	for _, wrong := range rulesInSource(t) {
		for _, piece := range regexp.MustCompile(`%[a-zA-Z0-9]+`).Split(wrong, -1) {
			if !strings.Contains(messages.String(), strings.TrimSpace(piece)) {
				t.Errorf("no testdata/invalid-*.yaml shows %q", wrong)
				break
			}
		}
	}
}

// elsewhere are the rules that a small file in testdata cannot show; other
// tests in this package hold them.
const elsewhere = `
file is larger than 1 MiB
file has more than 100 mistakes
file has more than 50,000 words
cannot be read:
`

// rulesInSource collects what is wrong from each call of Bad, Scope.Fail and
// Scope.FailIf outside check.go, whose findings TestCheck shows.
func rulesInSource(t *testing.T) []string {
	var rules []string
	for _, pattern := range []string{"*.go", "strict/*.go"} {
		sources, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range sources {
			if !strings.HasSuffix(path, "_test.go") && path != "check.go" {
				rules = append(rules, rulesIn(t, path)...)
			}
		}
	}
	if len(rules) < 100 {
		t.Fatalf("found only %d rules in the source; the search is broken", len(rules))
	}
	return rules
}

func rulesIn(t *testing.T, path string) (rules []string) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if wrong := wrongOf(call); wrong != nil {
				rules = append(rules, literals(wrong)...)
			}
		}
		return true
	})
	return rules
}

// wrongOf is the argument of a call that says what is wrong; nil in other calls.
func wrongOf(call *ast.CallExpr) ast.Expr {
	name := ""
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		name = fun.Name
	case *ast.SelectorExpr:
		name = fun.Sel.Name
	}
	switch {
	case name == "Bad":
		return call.Args[0]
	case name == "Fail" && len(call.Args) == 3:
		return call.Args[1]
	case name == "FailIf":
		return call.Args[2]
	}
	return nil
}

func literals(n ast.Node) []string {
	var found []string
	ast.Inspect(n, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				found = append(found, text)
			}
		}
		return true
	})
	return found
}

func invalidFiles(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/invalid-*.yaml")
	if err != nil || len(paths) < 40 {
		t.Fatalf("found %d files, %v", len(paths), err)
	}
	return paths
}

func refusal(t *testing.T, path string) string {
	t.Helper()
	_, err := Parse(filepath.Base(path), []byte(read(t, path)), "/etc/graphrelay")
	var all Errors
	if !errors.As(err, &all) || len(all) == 0 {
		t.Fatalf("%s: error is %v, want Errors", path, err)
	}
	return all.Error()
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
